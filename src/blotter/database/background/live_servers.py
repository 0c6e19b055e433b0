"""How many servers work on one store at present: each raises a number in a record of its own, now and then.
Beside it stands what identifies the values of settings that should be the same on all of them, so that a server
notices which are not.

A server is alive as long as its number rises, by the clock of the one who looks: the clocks of machines need not
agree. One that was killed is counted for `LIVE_SECONDS` more, and whoever sees that removes its record.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

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


_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class LiveServers:
    """`count` is called with the number of live servers, this one among them, whenever it changes. `settings` says
    by name what identifies the value that this server has; `differ` is called with the names of those for which
    another live server has another value, when one more is found."""

    def __init__(
        self,
        storage: Storage,
        count: Callable[[int], None],
        monotonic: Callable[[], float] = time.monotonic,
        *,
        settings: Mapping[str, str] = _NONE,
        differ: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self._storage = storage
        self._count = count
        self._monotonic = monotonic
        self._settings = settings
        self._encoded_settings = msgspec.json.encode(dict(settings))
        self._differ = differ
        self._differing: set[str] = set()
        self._key = _START + secrets.token_hex(8).encode()
        self._beat = 0
        self._seen: dict[bytes, tuple[bytes, float]] = {}
        """Of each other server its record, and when that was first seen."""
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
        self._compare([beat for key, (beat, _) in self._seen.items() if key not in dead])
        counted = 1 + len(self._seen) - len(dead)
        if counted != self._counted:
            self._counted = counted
            self._count(counted)

    async def leave(self) -> None:
        """This server ends. Raises StorageUnavailable."""
        await self._storage.write(lambda tx: _remove(tx, self._key))

    def _note(self, tx: WriteTransaction) -> None:
        body = b"%d %s" % (self._beat, self._encoded_settings)
        tx.put(RECORDS_SPACE, StoredItem(self._key, 0, body), tx.get(RECORDS_SPACE, self._key))

    def _compare(self, beats: list[bytes]) -> None:
        """Tells which settings others have with other values. Servers of an older version say nothing of them."""
        differing: set[str] = set()
        for beat in beats:
            theirs = msgspec.json.decode(beat.partition(b" ")[2] or b"{}", type=dict[str, str])
            ours = self._settings
            differing |= {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
        if differing - self._differing:
            self._differ(sorted(differing))
        self._differing = differing

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
