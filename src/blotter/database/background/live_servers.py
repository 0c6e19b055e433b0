"""How many servers work on one store at present: each raises a number in a record of its own, now and then.

A server is alive as long as its number rises, by the clock of the one who looks: the clocks of machines need not
agree. One that was killed is counted for `LIVE_SECONDS` more, and whoever sees that removes its record.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.records import records_in

BEAT_SECONDS: Final = 2.0
LIVE_SECONDS: Final = 10.0
_START: Final = b"server/"
_END: Final = b"server0"


class LiveServers:
    """`count` is called with the number of live servers, this one among them, whenever it changes."""

    def __init__(
        self,
        storage: Storage,
        count: Callable[[int], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._count = count
        self._monotonic = monotonic
        self._key = _START + secrets.token_hex(8).encode()
        self._beat = 0
        self._seen: dict[bytes, tuple[bytes, float]] = {}
        """Of each other server the number, and when it was first seen."""
        self._counted = 1

    async def run_once(self) -> None:
        """Raises this server's number and looks at the others'. Raises StorageUnavailable."""
        self._beat += 1
        await self._storage.write(self._note)
        found = await self._storage.fetch(_beats)
        now = self._monotonic()
        self._seen = {key: self._when_seen(key, beat, now) for key, beat in found.items() if key != self._key}
        dead = [key for key, (_, since) in self._seen.items() if now - since > LIVE_SECONDS]
        if dead:
            await self._storage.write(lambda tx: self._bury(tx, dead))
        counted = 1 + len(self._seen) - len(dead)
        if counted != self._counted:
            self._counted = counted
            self._count(counted)

    async def leave(self) -> None:
        """This server ends. Raises StorageUnavailable."""
        await self._storage.write(lambda tx: _remove(tx, self._key))

    def _note(self, tx: WriteTransaction) -> None:
        body = b"%d" % self._beat
        tx.put(RECORDS_SPACE, StoredItem(self._key, 0, body), tx.get(RECORDS_SPACE, self._key))

    def _when_seen(self, key: bytes, beat: bytes, now: float) -> tuple[bytes, float]:
        before = self._seen.get(key)
        return before if before is not None and before[0] == beat else (beat, now)

    def _bury(self, tx: WriteTransaction, dead: list[bytes]) -> None:
        """Removes the records of servers that are dead, unless one lives after all."""
        for key in dead:
            stored = tx.get(RECORDS_SPACE, key)
            if stored is not None and stored.body == self._seen[key][0]:
                tx.delete(RECORDS_SPACE, stored)


def _beats(tx: ReadTransaction) -> dict[bytes, bytes]:
    return {key: body for key, _, body in records_in(tx, _START, _END)}


def _remove(tx: WriteTransaction, key: bytes) -> None:
    stored = tx.get(RECORDS_SPACE, key)
    if stored is not None:
        tx.delete(RECORDS_SPACE, stored)
