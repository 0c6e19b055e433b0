"""The search for a primary, with hosts that the test lets answer and a clock that it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from blotter.database.storage.postgres.connections import searching
from blotter.database.storage.postgres.connections.searching import (
    MOST_BESIDE,
    ConnectError,
    GoesOn,
    Search,
    ask_all,
)
from blotter.database.storage.postgres.connections.url import Host
from tests.waiting import until

_A, _B = Host("a", 5432), Host("b", 5432)
_PATIENCE = 1000.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a slow machine takes for a test: only the test's clock lets it end."""
    monkeypatch.setattr(searching, "PATIENCE", _PATIENCE)
    monkeypatch.setattr(searching, "KEPT_SECONDS", _PATIENCE)


class _Connection:
    def __init__(self) -> None:
        self.is_ended = False

    def is_closed(self) -> bool:
        return self.is_ended

    def terminate(self) -> None:
        self.is_ended = True


class _Hosts:
    """`answers` says what a host does when it is asked: without an entry it says nothing."""

    def __init__(self) -> None:
        self.answers: dict[Host, Callable[[], _Connection]] = {}
        self.asked: list[Host] = []
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    async def open(self, host: Host, _: GoesOn) -> Any:
        self.asked.append(host)
        if host not in self.answers:
            await asyncio.Event().wait()
        return self.answers[host]()

    def search(self) -> Search:
        return Search(self.open, [_A, _B], self.now)


def _refuse(text: str, *, transient: bool) -> Callable[[], _Connection]:
    def answer() -> _Connection:
        raise ConnectError(text, transient)

    return answer


def _never() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _on_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    asyncio.run(run())


def test_a_host_that_says_nothing_keeps_nobody_waiting_for_one_that_is_promoted_later() -> None:
    async def work() -> None:
        hosts = _Hosts()
        hosts.answers[_B] = _refuse("b: a standby", transient=True)
        search = hosts.search()
        waiting = asyncio.ensure_future(search.beside(_never(), 0))
        await until(lambda: hosts.asked.count(_B) > 2)
        assert hosts.asked.count(_A) == 1
        hosts.answers[_B] = _Connection
        assert isinstance(await waiting, _Connection)
        await search.close()

    _on_loop(work)


def test_one_search_serves_all_and_its_connection_goes_to_one() -> None:
    async def work() -> None:
        hosts = _Hosts()
        hosts.answers[_B] = _Connection
        search = hosts.search()
        found = await asyncio.gather(*(search.beside(_never(), 0) for _ in range(3)))
        assert [connection is not None for connection in found].count(True) == 1
        assert sorted(hosts.asked) == [_A, _B]
        await search.close()

    _on_loop(work)


def test_some_who_wait_connect_as_soon_as_the_primary_is_sighted() -> None:
    """The first connection to it may be in use only a moment later; theirs are ready then, too."""

    async def work() -> None:
        hosts = _Hosts()
        search = hosts.search()
        waiting = [asyncio.ensure_future(search.beside(_never(), 0)) for _ in range(MOST_BESIDE + 2)]
        await until(lambda: len(hosts.asked) == 2)
        hosts.answers[_B] = _Connection
        search.sight(_B)
        search.sight(_B)
        await until(lambda: [each.done() for each in waiting].count(True) == MOST_BESIDE)
        assert hosts.asked.count(_B) == 1 + MOST_BESIDE
        assert hosts.asked.count(_A) == 1
        await search.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, _Connection) for each in ended].count(True) == MOST_BESIDE

    _on_loop(work)


def test_who_cannot_connect_to_the_sighted_primary_gets_the_connection_of_the_search() -> None:
    async def work() -> None:
        hosts = _Hosts()
        search = hosts.search()
        waiting = asyncio.ensure_future(search.beside(_never(), 0))
        await until(lambda: len(hosts.asked) == 2)
        hosts.answers[_B] = _refuse("too many connections", transient=True)
        search.sight(_B)
        await until(lambda: len(hosts.asked) == 3)
        assert not waiting.done()
        await search.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    _on_loop(work)


def test_the_connection_that_was_begun_before_the_search_is_taken_if_it_comes_first() -> None:
    async def work() -> None:
        hosts = _Hosts()
        search, slow, first = hosts.search(), _never(), _Connection()
        waiting = asyncio.ensure_future(search.beside(slow, 0))
        await until(lambda: len(hosts.asked) == 2)
        slow.set_result(first)
        assert await waiting is first
        await search.close()

    _on_loop(work)


@pytest.mark.parametrize("next_one", [True, False])
def test_a_connection_that_nobody_waited_for_any_more_is_for_the_next_one_or_ended(next_one: bool) -> None:
    async def work() -> None:
        hosts = _Hosts()
        made = _Connection()
        hosts.answers[_A] = _refuse("down", transient=True)
        search, slow = hosts.search(), _never()
        waiting = asyncio.ensure_future(search.beside(slow, 0))
        await until(lambda: hosts.asked)
        slow.set_result(_Connection())
        await waiting
        found = asyncio.Event()
        hosts.answers[_A] = lambda: (found.set(), made)[1]
        await found.wait()
        await until(search.is_over)
        if next_one:
            assert search.take() is made
            assert search.take() is None
        await search.close()
        assert made.is_ended != next_one

    _on_loop(work)


def test_a_connection_that_nobody_wants_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "KEPT_SECONDS", 0.0)

    async def work() -> None:
        hosts = _Hosts()
        made = _Connection()
        hosts.answers[_A] = lambda: made
        search, slow = hosts.search(), _never()
        slow.set_result(_Connection())
        await search.beside(slow, 0)
        await until(lambda: made.is_ended)
        assert search.take() is None
        await search.close()

    _on_loop(work)


def test_a_connection_that_has_ended_since_it_was_found_is_not_taken() -> None:
    async def work() -> None:
        hosts = _Hosts()
        made = _Connection()
        hosts.answers[_A] = lambda: made
        search, slow = hosts.search(), _never()
        slow.set_result(_Connection())
        await search.beside(slow, 0)
        await until(search.is_over)
        made.terminate()
        assert search.take() is None

    _on_loop(work)


def test_who_has_waited_long_enough_is_refused_and_those_who_come_later_at_once() -> None:
    async def work() -> None:
        hosts = _Hosts()
        hosts.answers[_A] = _refuse("a: Connection refused", transient=True)
        search = hosts.search()
        waiting = asyncio.ensure_future(search.beside(_never(), 0))
        await until(lambda: hosts.asked.count(_A) > 1)
        waiting.cancel()
        hosts.seconds = _PATIENCE
        with pytest.raises(ConnectError, match="a: Connection refused; b:5432: no answer in time") as refused:
            await search.beside(_never(), _PATIENCE)
        assert refused.value.is_transient
        assert not search.is_over()
        await search.close()

    _on_loop(work)


def test_what_does_not_pass_by_itself_is_told_at_once() -> None:
    async def work() -> None:
        hosts = _Hosts()
        hosts.answers[_A] = hosts.answers[_B] = _refuse("no store", transient=False)
        search = hosts.search()
        with pytest.raises(ConnectError, match="no store; no store"):
            await search.beside(_never(), 0)
        assert sorted(hosts.asked) == [_A, _B]

    _on_loop(work)


def test_a_search_that_nobody_has_asked_for_long_ends() -> None:
    async def work() -> None:
        hosts = _Hosts()
        hosts.answers[_A] = hosts.answers[_B] = _refuse("down", transient=True)
        search = hosts.search()
        waiting = asyncio.ensure_future(search.beside(_never(), 0))
        await until(lambda: len(hosts.asked) >= 2)
        hosts.seconds = 100.0  # The caller would wait for longer.
        with pytest.raises(ConnectError, match="down"):
            await waiting
        await search.close()

    _on_loop(work)


def test_a_mistake_of_ours_is_not_taken_for_a_host_that_is_down() -> None:
    async def fail(_host: Host, _goes_on: GoesOn) -> Any:
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        asyncio.run(ask_all(fail, [_A], lambda: True, {}))


def test_of_two_that_are_found_together_the_one_that_lasts_is_taken() -> None:
    """The newer primary ends the connections to the older one."""

    async def work() -> None:
        hosts = _Hosts()
        ended, lasting = _Connection(), _Connection()
        ended.terminate()
        hosts.answers[_A], hosts.answers[_B] = (lambda: ended), (lambda: lasting)
        connection: Any = await ask_all(hosts.open, [_A, _B], lambda: False, {})
        assert connection is lasting

    _on_loop(work)
