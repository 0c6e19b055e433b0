"""Readers of the change log and trimming, on every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from blotter.database.storage import change_log
from blotter.database.storage.change_log import STREAMS, Bounds, add_reader, confirm, find_reader, is_due, trim
from blotter.database.storage.protocol import NO_SHARD, Change, Storage, WriteTransaction

Run = Callable[[Any], Any]
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "SLICE", 4)


def fill(storage: Storage, run: Run, *times: float) -> None:
    def append(tx: WriteTransaction) -> None:
        for time in times:
            tx.append_change(Change(0, time, "t", NO_SHARD, b"key", None, b"x" * 97))

    run(storage.write(append))


def trim_all(storage: Storage, run: Run, now: float, bounds: Bounds = Bounds()) -> list[float]:  # noqa: B008
    """The times of the entries that are left."""
    while run(storage.fetch(lambda tx: is_due(tx, now, bounds))):
        run(storage.write(lambda tx: trim(tx, now, bounds)))
    assert not run(storage.write(lambda tx: trim(tx, now, bounds)))
    with storage.read() as tx:
        return [each.time for each in tx.log(0, 999)]


def test_streams_keep_the_last_day_and_nobody_else_anything(storage: Storage, run: Run) -> None:
    fill(storage, run, *range(10), DAY, DAY + 1)
    assert trim_all(storage, run, DAY) == [*range(10), DAY, DAY + 1]
    assert trim_all(storage, run, DAY + 5) == [5, 6, 7, 8, 9, DAY, DAY + 1]
    assert trim_all(storage, run, 3 * DAY) == []


def test_trimming_waits_for_the_slowest_reader(storage: Storage, run: Run) -> None:
    fill(storage, run, 0)
    for name in ("archive", "replica"):
        run(storage.write(lambda tx, name=name: add_reader(tx, name, 1.0)))
    fill(storage, run, *range(1, 11))
    with storage.read() as tx:
        sequences = [each.sequence for each in tx.log(0, 99)]
    assert trim_all(storage, run, 3 * DAY) == [*range(1, 11)], "a reader begins after what is there"
    run(storage.write(lambda tx: confirm(tx, "archive", sequences[8], 5.0)))
    assert trim_all(storage, run, 3 * DAY) == [*range(1, 11)]
    run(storage.write(lambda tx: confirm(tx, "replica", sequences[3], 5.0)))
    assert trim_all(storage, run, 3 * DAY) == [*range(4, 11)]
    run(storage.write(lambda tx: confirm(tx, "replica", sequences[1], 5.0)))
    with storage.read() as tx:
        found = find_reader(tx, "replica")
    assert found is not None
    assert found.position == sequences[3], "a position never moves back"
    run(storage.write(lambda tx: tx.remove_log_reader("replica")))
    assert trim_all(storage, run, 3 * DAY) == [9, 10]


def test_a_reader_too_far_behind_in_time_is_lost(
    storage: Storage, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run(storage.write(lambda tx: add_reader(tx, "archive", 0.0)))
    fill(storage, run, *range(10))
    bounds = Bounds(seconds=2 * DAY)
    assert trim_all(storage, run, 2 * DAY, bounds) == [*range(10)]
    assert "archive" not in caplog.text
    assert trim_all(storage, run, 2 * DAY + 1, bounds) == []
    assert "no longer waits for its reader 'archive', which is 10 entries behind" in caplog.text
    with storage.read() as tx:
        found = find_reader(tx, "archive")
        assert found is not None
        assert found.lost_at == 2 * DAY + 1
        assert found.position < tx.first_change() - 1, "the reader can tell that entries are missing"
        assert find_reader(tx, "replica") is None
    again = run(storage.write(lambda tx: add_reader(tx, "archive", 3 * DAY)))
    assert again.lost_at is None


def test_readers_of_a_log_too_large_are_lost_slowest_first(
    storage: Storage, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run(storage.write(lambda tx: add_reader(tx, "slow", 0.0)))
    fill(storage, run, 0, 1)
    run(storage.write(lambda tx: add_reader(tx, "quick", 2.0)))
    fill(storage, run, 2, 3)
    assert trim_all(storage, run, 2 * DAY, Bounds(bytes=400)) == [0, 1, 2, 3]
    assert trim_all(storage, run, 2 * DAY, Bounds(bytes=399)) == [2, 3]
    with storage.read() as tx:
        assert [(each.name, each.lost_at is None) for each in tx.log_readers()] == [
            ("quick", True),
            ("slow", False),
            ("streams", True),
        ]
    assert "'slow'" in caplog.text


def test_streams_are_never_lost(storage: Storage, run: Run) -> None:
    fill(storage, run, *range(10))
    assert trim_all(storage, run, DAY, Bounds(0.0, 0)) == [*range(10)]
    with storage.read() as tx:
        assert tx.log_readers() == [replace(STREAMS, progressed_at=0.0)]
