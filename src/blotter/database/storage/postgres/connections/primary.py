"""One primary that this process is connected to, and the proof that it still is the primary: its lease.

With synchronous standbys, a primary that was cut off from them still answers reads while another one, promoted in
its place, accepts writes. So what was read from a primary is given to clients only after a proof: a commit that
the standbys have confirmed, and that was *begun after* the read, or less than `LEASE` seconds before its answer
came. When that commit was begun, nobody had been promoted. A front end that finds another timeline than the one
which wrote last waits for longer than `LEASE` before it lets anything be written (`connecting`), however the
standby was promoted; so what an old primary shows within the lease is not stale yet.

Without synchronous standbys there is nothing to prove, and nothing is done: `is_synchronous` is False.

A proof is never canceled: a commit that waits for standbys becomes visible, unreplicated, if its wait is canceled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from blotter.database.storage.postgres.connections.url import Host
from blotter.database.storage.protocol import StorageUnavailable

if TYPE_CHECKING:
    from blotter.database.storage.postgres.connections.store_connection import StoreConnection

LEASE: Final = 0.5
"""Seconds from the beginning of a confirmed commit in which reads need no other proof."""
PROMOTION_WAIT: Final = 0.6
"""Seconds that nothing is written to a primary of a new timeline. Longer than `LEASE`."""
_RENEW_AFTER: Final = LEASE / 3
_PATIENCE: Final = 3.0
"""Seconds that a read waits for its proof before its client gets an error."""
_CLOSING: Final = 0.2

BARRIER: Final = "SELECT pg_logical_emit_message(true, 'blotter', '')"
"""Commits a record of the write-ahead log that changes nothing, so that the standbys have to confirm it."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def seconds_since_boot() -> float:
    """A clock that goes on while the machine sleeps, where there is one."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class Primary:
    """A server in one life as the primary. `prove` makes a commit that standbys confirm, and returns after it."""

    def __init__(
        self,
        host: Host,
        timeline: int,
        started: float,
        is_synchronous: bool,
        prove: Callable[[Primary], Awaitable[None]],
        now: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self.host = host
        self.timeline = timeline
        """Raised by each promotion."""
        self.life = (timeline, started)
        """Different after each promotion and each restart: `started` is when the server was started, in its own
        seconds since the epoch."""
        self.is_synchronous = is_synchronous
        self.is_deposed = False
        """Whether it is known that there is a newer primary."""
        self.connections: WeakSet[StoreConnection] = WeakSet()
        self._prove = prove
        self._now = now
        self._proven_at = self._doubted_at = float("-inf")
        self._renewed_since = float("inf")
        self._renewal: asyncio.Task[None] | None = None

    def note_standbys(self, is_synchronous: bool) -> None:
        """Takes note of whether commits wait for standbys. Those of before it prove nothing."""
        if is_synchronous and not self.is_synchronous:
            self.doubt()
        self.is_synchronous = is_synchronous

    def note_commit(self, begun: float) -> None:
        """Counts a commit with something written that was begun at `begun`, in seconds of `seconds_since_boot`,
        and that this primary has reported as done, without a warning."""
        if begun >= self._doubted_at:
            self._proven_at = max(self._proven_at, begun)

    def has_lease(self) -> bool:
        """Whether what was read from it before this call may be given away. Begins a renewal in good time."""
        if not self.is_synchronous:
            return not self.is_deposed
        age = self._now() - self._proven_at
        if age > _RENEW_AFTER and not self.is_deposed:
            self._renew()
        return age < LEASE and not self.is_deposed

    async def proof(self) -> None:
        """Returns once a commit that was begun after this call is confirmed, so that what was read before may be
        given away. Raises StorageUnavailable if there is a newer primary, or for want of an answer."""
        asked = self._now()
        try:
            async with asyncio.timeout(_PATIENCE):
                while self._proven_at < asked:
                    if self.is_deposed:
                        raise StorageUnavailable(f"{self.host} is the primary no longer")
                    await asyncio.shield(self._renew())
        except TimeoutError:
            raise StorageUnavailable(f"no standby confirms what {self.host} commits") from None

    def _renew(self) -> asyncio.Task[None]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew_once())
            self._renewal.add_done_callback(_ignore)
        return self._renewal

    async def _renew_once(self) -> None:
        begun = self._renewed_since = self._now()
        await self._prove(self)
        self.note_commit(begun)

    def is_in_doubt(self) -> bool:
        """Whether a proof has been under way for longer than a lease lasts."""
        if self._renewal is None or self._renewal.done():
            return False
        return self._now() - self._renewed_since > LEASE

    async def close(self) -> None:
        """Ends a renewal in progress, whose connection was ended before."""
        if self._renewal is not None:
            await asyncio.wait({self._renewal}, timeout=_CLOSING)
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    def doubt(self) -> None:
        """Ends the lease: the next read needs a new proof, by a commit that is begun after this."""
        self._proven_at = float("-inf")
        self._doubted_at = self._now()

    def depose(self) -> None:
        """Takes note that there is a newer primary, and ends the connections."""
        self.is_deposed = True
        self.end_connections()

    def end_connections(self) -> None:
        """What waits for an answer gets an error; what was sent is not canceled."""
        self.doubt()
        for connection in list(self.connections):
            connection.terminate()


def _ignore(task: asyncio.Task[None]) -> None:
    """Who waits for a renewal gets its error; where nobody waits, the next read asks again."""
    if not task.cancelled():
        task.exception()
