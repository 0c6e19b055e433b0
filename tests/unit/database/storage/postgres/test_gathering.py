"""How many handlers a batch waits for, with the clock and the arrivals of the test."""

from __future__ import annotations

import pytest

from blotter.database.storage.postgres.gathering import LONGEST, MOST, SHORTEST, Gathering


class Clients:
    """Some clients. All that are answered come back soon, or a part of them, and the others late. A batch takes
    2 ms and begins once enough wait or the longest wait is over."""

    def __init__(self, clients: int, comes_back: float = 1.0, after: float = 0.0003) -> None:
        self.gathering = Gathering()
        self.now = 0.0
        self._clients = clients
        self._comes_back = comes_back
        self._after = after
        self.sizes: list[int] = []
        self._coming: list[float] = [0.00001 * n for n in range(clients)]
        self._waiting = 0

    def run(self, batches: int) -> Clients:
        for _ in range(batches):
            self._batch()
        return self

    def _batch(self) -> None:
        deadline = self.now + self.gathering.longest_wait
        while self._waiting < self.gathering.wanted and self._coming[0] <= deadline:
            self._arrive()
        if self._waiting < self.gathering.wanted:
            self.now = deadline
            self.gathering.stop()
        while not self._waiting:
            self._arrive()
        size, self._waiting = self._waiting, 0
        end = self.now + 0.002
        while self._coming and self._coming[0] <= end:
            self._arrive()
        self.now = end
        self.sizes.append(size)
        soon = round(size * self._comes_back)
        self._coming += [end + self._after + 0.00001 * n for n in range(soon)]
        self._coming += [end + 0.05 + 0.00001 * n for n in range(size - soon)]
        self._coming.sort()
        self.gathering.batch_ended(end, 0.002, size, self._waiting)

    def _arrive(self) -> None:
        self.now = max(self.now, self._coming.pop(0))
        self._waiting += 1
        self.gathering.note_arrival(self.now)


@pytest.mark.parametrize("clients", [2, 3, 8, 20])
def test_clients_that_come_back_at_once_share_a_batch(clients: int) -> None:
    sizes = Clients(clients).run(60).sizes
    assert min(sizes[-10:]) >= clients - 1
    assert max(sizes[-10:]) == clients


def test_one_client_never_waits_for_others() -> None:
    clients = Clients(1)
    for _ in range(40):
        clients.run(1)
        assert clients.gathering.wanted == 1


@pytest.mark.parametrize("comes_back", [0.0, 0.3])
def test_nobody_waits_where_few_come_back(comes_back: float) -> None:
    assert Clients(10, comes_back).run(60).gathering.wanted == 1


def test_clients_that_stop_coming_back_are_soon_not_waited_for() -> None:
    clients = Clients(8).run(60)
    assert clients.gathering.wanted > 1
    clients._comes_back = 0.0
    assert clients.run(10).gathering.wanted == 1


def test_a_large_batch_waits_for_nobody() -> None:
    clients = Clients(200)
    for _ in range(60):
        clients.run(1)
        assert clients.gathering.wanted <= MOST


def test_a_wait_is_a_part_of_what_a_batch_takes_within_limits() -> None:
    gathering = Gathering()
    for took, expected in ((0.012, 0.003), (0.0001, SHORTEST), (3.0, LONGEST)):
        gathering.batch_ended(10.0, took, 1, 0)
        assert gathering.longest_wait == pytest.approx(expected)
