"""Which of the servers on one store leads: the one whose connection has an advisory lock.

The lock alone is not enough: a leader that was cut off does not know yet that another one has taken its place. So
each leader has a term, a number that rises: it is in the one row of `leader`, and every write of a leader compares
it, in the transaction that writes. What a deposed leader still tries is refused, and what it had begun is
committed before its successor has raised the term, because that waits for the row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.pool import Connect, discard
from blotter.database.storage.postgres.statements import Connection
from blotter.database.storage.protocol import StorageUnavailable

log = logging.getLogger(__name__)

_CLASS: Final = 0x626C6F03
"""The class of the lock; its other half names the schema."""
ASK_SECONDS: Final = 1.0
"""Between two attempts to lead, and two looks whether this process still does."""
LOST_SECONDS: Final = 3.0
"""Until it is attempted after a lost connection: when a primary has just been found, requests come first."""
PATIENCE_SECONDS: Final = 5.0
"""A leader whose connection gives no answer for so long stops."""
# The server notices within ten seconds that a leader's machine is gone, and releases its lock. Not over a socket
# of the file system, which has no such options and needs none.
_KEEPALIVES: Final = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 1", "tcp_keepalives_count = 5")

SILENT_SECONDS: Final = 15.0
"""A leader that asks nothing for so long, by PostgreSQL's clock, is replaced: it is stopped or stuck, while the
kernel of its machine keeps its connection."""
_END_SILENT: Final = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = $1::int8::oid AND objid = $2::int8::oid AND objsubid = 2 AND granted
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND state = 'idle' AND state_change < now() - make_interval(secs => $3)
"""

_TRY: Final = "SELECT pg_try_advisory_lock($1::int4, $2::int4)"
_RAISE: Final = "UPDATE leader SET term = term + 1 RETURNING term"
_TERM: Final = "SELECT term FROM leader"


class Leadership:
    """`fence` is called with the term before `lead` returns: from then on writes compare it."""

    def __init__(self, connect: Connect, schema: str, fence: Callable[[int], None]) -> None:
        self._connect = connect
        self._lock = crc32(schema.encode()) - (1 << 31)
        self._fence = fence
        self._connection: Connection | None = None
        self._watch: asyncio.Task[None] | None = None

    async def lead(self) -> asyncio.Future[None]:
        """See `Storage.lead`. Goes on asking while the store cannot be reached."""
        if self._watch is not None:
            await self.close()
            await asyncio.sleep(LOST_SECONDS)
        while True:
            try:
                term = await self._try()
                if term is not None:
                    return self._lead(term)
                pause = ASK_SECONDS
            except (StorageUnavailable, *STORE_FAILURES):
                pause = LOST_SECONDS
            await asyncio.sleep(pause)

    async def _try(self) -> int | None:
        """The term, if this process leads from now on."""
        connection = await self._connected()
        try:
            if not await connection.fetchval(_TRY, _CLASS, self._lock):
                await connection.fetch(_END_SILENT, _CLASS, self._lock % (1 << 32), SILENT_SECONDS)
                return None
            term: int = await connection.fetchval(_RAISE)
        except BaseException:
            self._drop()
            raise
        return term

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            for setting in _KEEPALIVES:
                await self._connection.execute(f"SET {setting}")
        return self._connection

    def _lead(self, term: int) -> asyncio.Future[None]:
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fence(term)
        self._watch = asyncio.get_running_loop().create_task(self._watch_over(term, lost))
        return lost

    async def _watch_over(self, term: int, lost: asyncio.Future[None]) -> None:
        """Settles `lost` once the connection is gone, or another one leads."""
        connection = self._connection
        assert connection is not None
        gone = asyncio.Event()

        def ended(_: Any) -> None:
            gone.set()

        connection.add_termination_listener(ended)
        try:
            while not gone.is_set() and await connection.fetchval(_TERM, timeout=PATIENCE_SECONDS) == term:
                with suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), ASK_SECONDS)
        except STORE_FAILURES as error:
            log.warning("the store does not answer whether this server still leads: %s", type(error).__name__)
        finally:
            self._drop()
            if not lost.done():
                lost.set_result(None)

    async def close(self) -> None:
        """Leads no longer. Another server may at once."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        self._drop()

    def forget(self) -> None:
        """Drops the connection: its event loop has ended."""
        self._watch = None
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            discard(self._connection)
            self._connection = None
