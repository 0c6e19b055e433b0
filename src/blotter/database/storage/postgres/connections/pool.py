"""The connections of one process: opened when they are needed, used by one task at a time, dropped when they
broke.

`connect` makes one, checked and to a primary (`connecting`). A connection that was lost is closed without a word
to the server: what was sent on it may still be committed, and nothing may cancel that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.statements import Connection

Connect = Callable[[], Awaitable[Connection]]


class Connections(Protocol):
    """What the storage needs of a `connecting.Connector`."""

    async def connect(self) -> Any:
        """A connection that knows its `primary`. Raises StorageUnavailable."""

    def start_watching(self) -> None: ...

    def apart(self) -> Connections:
        """Others like these, for another event loop."""

    async def close(self) -> None: ...


async def confirm_read(connection: Connection) -> None:
    """Returns once what was read over a connection may be given away: a primary that was cut off from its standbys
    may have been replaced by another one. Raises StorageUnavailable."""
    primary = connection.primary
    if not primary.has_lease():
        try:
            await primary.proof()
        except STORE_FAILURES as error:  # Never one of them: what was committed would be done again.
            raise unavailable(error) from error


class Pool:
    """Up to `most` connections on one event loop."""

    def __init__(self, connect: Connect, most: int) -> None:
        self._connect = connect
        self._most = most
        self._used = 0
        self._free: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one task. Raises StorageUnavailable when none can be made."""
        connection = await self.acquire()
        try:
            yield connection
        except BaseException:
            # In a transaction, or in the middle of a statement: another one costs less than to find out.
            self.release(connection, broken=True)
            raise
        self.release(connection)

    async def acquire(self) -> Connection:
        """The same; the caller gives it back with `release`."""
        if self._used < self._most:
            self._used += 1
        else:
            await self._wait()
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self._connect()
        except STORE_FAILURES as error:
            self._pass_on()
            raise unavailable(error) from error
        except BaseException:
            self._pass_on()
            raise

    def release(self, connection: Connection, *, broken: bool = False) -> None:
        if broken:
            discard(connection)
        elif not connection.is_closed():
            self._free.append(connection)
        self._pass_on()

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Lets the next one that waits have what was given back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._used -= 1

    async def close(self) -> None:
        """Closes those that wait."""
        while self._free:
            await close(self._free.pop())

    def forget(self) -> None:
        """Drops all of them: their event loop has ended."""
        while self._free:
            discard(self._free.pop())


async def fetch(connection: Connection, statement: str, *values: Any) -> list[Any]:
    """The rows of a statement that is prepared once for a connection. For what is asked most often."""
    prepared = connection.prepared.get(statement)
    if prepared is None:
        prepared = connection.prepared[statement] = await connection.prepare(statement)
    rows: list[Any] = await prepared.fetch(*values)
    return rows


async def close(connection: Connection) -> None:
    """Ends a connection properly, if it answers."""
    with suppress(*STORE_FAILURES):
        await connection.close(timeout=5)


def discard(connection: Any) -> None:
    """Ends a connection at once."""
    with suppress(RuntimeError, *STORE_FAILURES):
        connection.terminate()
