"""Which counted minutes are stored: a record that is written with the points themselves, in the same transaction.

So a minute is stored once, whenever the process that stores it dies; and a reader knows of each arena of shared
memory whether its snapshot of the store has it already. Points are stored in the order of their groups, some at a
time: `position` is the last group of the arenas in `storing` that is stored.
"""

from __future__ import annotations

from typing import Final

import msgspec

from blotter.database.metrics.names import Metric
from blotter.database.metrics.point_store import group_of
from blotter.database.metrics.shared import ArenaId
from blotter.database.storage.protocol import METRICS_SPACE, ReadTransaction, StoredItem, WriteTransaction

_PREFIX: Final = b"c"
"""A record for each server that uses the store, under its run."""
_AFTER_ALL: Final = b"d"
KEPT_SECONDS: Final = 86_400.0
"""A record is of no use once its server has ended; so long it is kept after it was written."""


class Mark(msgspec.Struct, array_like=True):
    """`run` is the server's. `through` holds for each slot the generation up to which everything is stored."""

    run: str
    through: dict[int, int] = {}
    storing: list[ArenaId] = []
    position: bytes = b""
    at: float = 0.0
    """When it was saved, in seconds since the epoch."""

    def has(self, arena: ArenaId) -> bool:
        """Whether all of an arena is stored."""
        return arena.generation <= self.through.get(arena.slot, 0)


_LOOKED_AT: Final = 10_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Mark).decode


def stored_mark(tx: ReadTransaction, run: str) -> Mark:
    """What is stored of a server's run."""
    found = tx.get(METRICS_SPACE, _PREFIX + run.encode())
    return Mark(run) if found is None else _decode(found.body)


def save_mark(tx: WriteTransaction, mark: Mark) -> None:
    key, body = _PREFIX + mark.run.encode(), _encode(mark)
    tx.put(METRICS_SPACE, StoredItem(key, len(key) + len(body), body), tx.get(METRICS_SPACE, key))


def trim_marks(tx: WriteTransaction, now: float, limit: int) -> int:
    """Removes up to `limit` marks of servers that have ended; returns how many."""
    removed = 0
    for row in tx.items(METRICS_SPACE, _PREFIX, _AFTER_ALL, _LOOKED_AT):
        if removed < limit and _decode(row[2]).at < now - KEPT_SECONDS:
            tx.delete(METRICS_SPACE, StoredItem(*row))
            removed += 1
    return removed


def is_stored(mark: Mark, arena: ArenaId, metric: Metric) -> bool:
    """Whether the points of a metric in an arena are stored."""
    return mark.has(arena) or (arena in mark.storing and group_of(metric) <= mark.position)
