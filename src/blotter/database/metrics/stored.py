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

_KEY: Final = b"c"


class Mark(msgspec.Struct, array_like=True):
    """`run` is the server's. `through` holds for each slot the generation up to which everything is stored."""

    run: str
    through: dict[int, int] = {}
    storing: list[ArenaId] = []
    position: bytes = b""

    def has(self, arena: ArenaId) -> bool:
        """Whether all of an arena is stored."""
        return arena.generation <= self.through.get(arena.slot, 0)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Mark).decode


def stored_mark(tx: ReadTransaction, run: str) -> Mark:
    """What is stored of a server's run. Another run's is of no interest any more: its memory is gone."""
    found = tx.get(METRICS_SPACE, _KEY)
    mark = None if found is None else _decode(found.body)
    return mark if mark is not None and mark.run == run else Mark(run)


def save_mark(tx: WriteTransaction, mark: Mark) -> None:
    body = _encode(mark)
    tx.put(METRICS_SPACE, StoredItem(_KEY, len(_KEY) + len(body), body), tx.get(METRICS_SPACE, _KEY))


def is_stored(mark: Mark, arena: ArenaId, metric: Metric) -> bool:
    """Whether the points of a metric in an arena are stored."""
    return mark.has(arena) or (arena in mark.storing and group_of(metric) <= mark.position)
