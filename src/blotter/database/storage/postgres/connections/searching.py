"""Looking for the primary among the hosts of a store, when it is not where it was.

All hosts are asked at the same time, each again and again by a task of its own. So a host that says nothing keeps
nobody waiting, and a standby is in use a moment after its promotion: the connection over which it is asked becomes
the first one to the primary (`Connector.open`).

One search serves everybody who wants a connection meanwhile. They wait for it until `PATIENCE` seconds after it
began, so that most clients see a slow request instead of a fail-over; later they are refused at once, while the
search goes on for as long as somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

from blotter.database.storage.postgres.connections.url import Host

if TYPE_CHECKING:
    from blotter.database.storage.postgres.connections.store_connection import StoreConnection

PATIENCE: Final = 3.0
MOST_BESIDE: Final = 2
"""Connections that are made beside the first one, while that waits until it may be used: one to read, one to write
and one for proofs let a process serve. More of them, from all processes at once, would only delay each other."""
KEPT_SECONDS: Final = 1.0
"""How long a connection is kept that was found and nobody wants."""
_UNASKED_SECONDS: Final = 5.0
"""A search that nobody has asked for so long ends."""
_PAUSE: Final = 0.1
"""Seconds until a host is asked again that could not be used."""


class ConnectError(Exception):
    """No connection. `is_transient`: it may come to be without anybody's doing."""

    def __init__(self, text: str, transient: bool) -> None:
        super().__init__(text)
        self.is_transient = transient


GoesOn = Callable[[Host, ConnectError], bool]
"""Takes note of why a host cannot be used; whether it is to be asked again."""
Open = Callable[[Host, GoesOn], Coroutine[Any, Any, "StoreConnection"]]
"""Returns a connection to a host if it is the primary, or once it is. Raises ConnectError."""


class Search:
    """The search of one process: at most one at a time, begun when it is needed."""

    def __init__(self, open_: Open, hosts: Iterable[Host], now: Callable[[], float]) -> None:
        self._open = open_
        self._hosts = tuple(hosts)
        self._now = now
        self._task: asyncio.Task[None] | None = None
        self._sighted: asyncio.Future[Host] | None = None
        self._found: StoreConnection | None = None
        self._keeping: asyncio.TimerHandle | None = None
        self._problems: dict[Host, ConnectError] = {}
        self._began = self._asked_at = 0.0
        self._beside = 0

    async def beside(self, attempt: asyncio.Future[StoreConnection], asked: float) -> StoreConnection | None:
        """The connection of `attempt`, or one to the host that is found; None if it is to be tried again. Raises
        ConnectError. `asked` is since when the caller wants one."""
        search, sighted = self._wanted()
        pending: set[asyncio.Future[Any]] = {attempt, search, sighted}
        attempts = [attempt]
        connection: StoreConnection | None = None
        try:
            while connection is None:
                patience = max(0.0, min(asked, self._began) + PATIENCE - self._now())
                done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise _refusal(self._hosts, self._problems)
                connection = next((each.result() for each in attempts if has_succeeded(each)), None)
                if connection is None and sighted in done and self._may_connect(sighted):
                    attempts.append(asyncio.ensure_future(self._open(sighted.result(), _never)))
                    pending.add(attempts[-1])
                if connection is None and search.done() and all(each.done() for each in attempts[1:]):
                    search.result()
                    connection = self.take()
                    break
        finally:
            for each in attempts[1:]:
                end_late(each, connection)
        return connection

    def _may_connect(self, sighted: asyncio.Future[Host]) -> bool:
        """Whether one more of those who wait is to connect to what is sighted."""
        if sighted.cancelled() or self._beside == MOST_BESIDE:
            return False
        self._beside += 1
        return True

    def sight(self, host: Host) -> None:
        """A host is found to be the primary, and is connected to. `MOST_BESIDE` others connect to it as well:
        until anybody may use it, a moment may pass."""
        if self._sighted is not None and not self._sighted.done():
            self._sighted.set_result(host)

    def take(self) -> StoreConnection | None:
        """The connection that was found, if nobody has it and it can still be used."""
        found, self._found = self._found, None
        if self._keeping is not None:
            self._keeping.cancel()
        return None if found is None or found.is_closed() else found

    def is_over(self) -> bool:
        """Whether no host is asked."""
        return self._task is None or self._task.done()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._end_found()

    def _end_found(self) -> None:
        found = self.take()
        if found is not None:
            found.terminate()

    def _wanted(self) -> tuple[asyncio.Task[None], asyncio.Future[Host]]:
        """The search that is under way, or a new one, and the host that it has found."""
        self._asked_at = self._now()
        if self._task is None or self._sighted is None or self._task.done():
            self._began = self._asked_at
            self._beside = 0
            self._problems.clear()
            self._sighted = asyncio.get_running_loop().create_future()
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)
        return self._task, self._sighted

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Those who wait for a search get its error."""
        if self._sighted is not None:
            self._sighted.cancel()
        if not task.cancelled():
            task.exception()

    async def _run(self) -> None:
        found = await ask_all(self._open, self._hosts, self._is_asked, self._problems)
        self._end_found()
        self._found = found
        self._keeping = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._end_found)

    def _is_asked(self) -> bool:
        return self._now() - self._asked_at < _UNASKED_SECONDS


async def ask_all(
    open_: Open, hosts: Iterable[Host], is_wanted: Callable[[], bool], problems: dict[Host, ConnectError]
) -> StoreConnection:
    """A connection to the primary, which is looked for as long as `is_wanted` says so; every host is asked once at
    least. `problems` gets why each cannot be used. Raises ConnectError."""
    hosts = tuple(hosts)

    def goes_on(host: Host, error: ConnectError) -> bool:
        problems[host] = error
        return error.is_transient and is_wanted()

    scouts = [asyncio.ensure_future(_ask(open_, host, goes_on)) for host in hosts]
    connection: StoreConnection | None = None
    pending = set(scouts)
    try:
        while pending and connection is None:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            found = [scout.result() for scout in done if has_succeeded(scout)]
            # One that was found at the same time as a newer primary has ended.
            connection = next((each for each in found if not each.is_closed()), None)
    finally:
        for scout in scouts:
            end_late(scout, connection)
    if connection is None:
        raise _refusal(hosts, problems)
    return connection


async def _ask(open_: Open, host: Host, goes_on: GoesOn) -> StoreConnection:
    while True:
        try:
            return await open_(host, goes_on)
        except ConnectError as error:
            if not goes_on(host, error):
                raise
        await asyncio.sleep(_PAUSE)


def has_succeeded(attempt: asyncio.Future[StoreConnection]) -> bool:
    """Whether there is a connection. Raises what is no ConnectError."""
    if not attempt.done():
        return False
    error = attempt.exception()
    if error is not None and not isinstance(error, ConnectError):
        raise error
    return error is None


def end_late(attempt: asyncio.Future[StoreConnection], kept: StoreConnection | None) -> None:
    """Gives up an attempt. Its connection is ended, even one that was made at this moment, unless it is `kept`."""

    def end(attempt: asyncio.Future[StoreConnection]) -> None:
        if not attempt.cancelled() and attempt.exception() is None and attempt.result() is not kept:
            attempt.result().terminate()

    attempt.cancel()
    attempt.add_done_callback(end)


def _never(_host: Host, _error: ConnectError) -> bool:
    return False


def _refusal(hosts: Iterable[Host], problems: dict[Host, ConnectError]) -> ConnectError:
    texts = [str(problems[host]) if host in problems else f"{host}: no answer in time" for host in hosts]
    transient = any(host not in problems or problems[host].is_transient for host in hosts)
    return ConnectError("PostgreSQL cannot be used: " + "; ".join(texts), transient)
