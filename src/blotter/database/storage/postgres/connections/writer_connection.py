"""One writing connection, opened again after it was lost, and what a write on it must never do: be canceled.

A statement that is canceled makes asyncpg ask the server to cancel it; a COMMIT that waits for a standby would
then be visible here and be gone after a fail-over. So statements that write have no time limit and run in tasks
that nobody cancels. For the same reason a warning during such a statement counts as a failure: it is how
PostgreSQL reports that somebody else has canceled that wait.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from zlib import crc32

from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, is_of_connection, unavailable
from blotter.database.storage.postgres.connections.notifications import channel_of
from blotter.database.storage.postgres.connections.pool import Connect, discard
from blotter.database.storage.postgres.connections.pool import close as close_connection
from blotter.database.storage.postgres.connections.primary import seconds_since_boot
from blotter.database.storage.postgres.layout.schema import lock_key
from blotter.database.storage.postgres.statements import APPLY, Connection
from blotter.database.storage.protocol import StorageUnavailable

_WRITERS = 256
# A number of its own for the rows of `statistics`, so that writers do not wait for each other. Only a preference.
_NUMBER = (
    f"SELECT number FROM generate_series(0, {_WRITERS - 1}) AS number"
    " WHERE pg_try_advisory_lock($1, number) LIMIT 1"
)


class WriterConnection:
    def __init__(self, connect: Connect, schema: str) -> None:
        self._connect = connect
        self._schema = schema
        self.channel = channel_of(schema)
        self._lock_key = lock_key(schema)
        self._connection: Connection | None = None
        self._apply: Any = None
        self._number = 0
        self._warned = False
        self.fence: int | None = None
        """The term in which this process leads; its writes fail once another process does."""

    @property
    def lock_key(self) -> int:
        return self._lock_key

    async def get(self) -> Connection:
        """The connection, made if there is none. Raises StorageUnavailable."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        try:
            connection = await self._connect()
            connection.add_log_listener(self._noticed)
            self._number = await connection.fetchval(_NUMBER, crc32(self._schema.encode()) - (1 << 31)) or 0
            self._apply = await connection.prepare(APPLY)
        except STORE_FAILURES as error:
            raise unavailable(error) from error
        self._connection = connection
        return connection

    def is_lost(self, error: BaseException) -> bool:
        """Whether the connection was lost with an error; it is not used again then."""
        if is_of_connection(error):
            self.forget()
        return self._connection is None or self._connection.is_closed()

    async def apply(self, generation: int, arguments: list[Any], notifies: bool = False) -> None:
        """Writes a batch, in the transaction that was begun or in one of its own, which `committed` awaits then;
        its commit notifies the background, if there is work for it. Raises what the store refuses."""
        channel = self.channel if notifies else None
        await self._apply.fetchval(self._lock_key, generation, self.fence, self._number, channel, *arguments)

    async def committed(self, commit: Awaitable[object], wrote: bool = True) -> None:
        """Awaits a statement that commits what the transaction wrote, if it did. Raises what the store refuses;
        StorageUnavailable when it is not known whether the commit is safe."""
        connection = self._connection
        assert connection is not None
        self._warned = False
        begun = seconds_since_boot()
        try:
            await commit
        except STORE_FAILURES as error:
            if self.is_lost(error):
                connection.primary.doubt()
                raise StorageUnavailable("the connection was lost while a write was under way") from error
            raise
        if self._warned:
            raise StorageUnavailable("PostgreSQL does not know whether a standby has the write")
        if wrote:
            connection.primary.note_commit(begun)

    async def commit(self, wrote: bool = True) -> None:
        """Ends a transaction. Raises as `committed` does."""
        await self.committed(self._commit(), wrote)

    async def _commit(self) -> None:
        assert self._connection is not None
        if await self._connection.execute("COMMIT") != "COMMIT":
            raise StorageUnavailable("PostgreSQL has undone a transaction in which a statement had failed")

    async def roll_back(self) -> None:
        """Ends a transaction without a trace. Raises what the store refuses; the connection is not used again
        then."""
        if self._connection is None:
            return
        try:
            await self._connection.execute("ROLLBACK")
        except STORE_FAILURES:
            self.forget()
            raise

    def _noticed(self, _: Connection, message: Any) -> None:
        if getattr(message, "severity_en", None) == "WARNING":
            self._warned = True

    async def close(self) -> None:
        if self._connection is not None:
            await close_connection(self._connection)
            self._connection = None

    def forget(self) -> None:
        """Drops the connection: it broke, or its event loop has ended."""
        if self._connection is not None:
            discard(self._connection)
            self._connection = None
