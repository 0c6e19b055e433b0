"""Copies of vector indexes in memory: made when they are first searched, kept current by the journal, bounded.

A copy belongs to one partition of one index (all of it, without HASH attribute) and is in one state, a step of the
journal. Before a search it follows to the step of the search's snapshot. A copy that is being made or is following
is used by that one search until it is done. One that a search with a newer snapshot has taken further is of no use
to an older one, which then reads the index itself. So do searches of a partition that is too large for a copy.

What makes a copy takes long reads of the store in slices, perhaps over several snapshots; entries that change
meanwhile are put right afterwards by the journal, from the step before the first slice on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from blotter.database.model.keys import prefix_end
from blotter.database.model.table import Index, Table, VectorSettings
from blotter.database.operations.vectors.journal import RING, Step, changed_keys, last_step, step_at
from blotter.database.storage.protocol import ReadTransaction, Row, SnapshotOutlived, SnapshotTooOld

if TYPE_CHECKING:
    from blotter.database.operations.vectors.matrix import Matrix

Work: TypeAlias = Callable[[], object] | None

ROWS_AT_ONCE: Final = 256
BYTES_AT_ONCE: Final = 512 * 1024
_PUT_ROWS: Final = 4096
_PUT_BYTES: Final = 8 * 1024 * 1024
"""Entries that are gathered before they are added to a copy."""
_STEPS_AT_ONCE: Final = 128

LARGE_BYTES: Final = 64 * 1024 * 1024
"""Searches of a larger copy take long enough to be put in order before they compute: otherwise all of them hold
snapshots that become too old meanwhile."""
MOST_BYTES: Final = 1024 * 1024 * 1024
"""What all copies of a process may take together, unless a setting says otherwise."""


class Partition:
    """One partition of a vector index, as a search reads it."""

    __slots__ = ("end", "index", "start", "table_id", "vector")

    def __init__(self, table: Table, index: Index, vector: VectorSettings, prefix: bytes) -> None:
        self.table_id = table.id
        self.index = index
        self.vector = vector
        self.start = prefix
        self.end = prefix_end(prefix) if prefix else None

    def rows(self, tx: ReadTransaction, after: bytes | None) -> list[Row]:
        """The next entries; fewer than `ROWS_AT_ONCE`, of fewer than `BYTES_AT_ONCE`, are the last."""
        start = self.start if after is None else after + b"\x00"
        return tx.items(self.index.space, start, self.end, ROWS_AT_ONCE, BYTES_AT_ONCE)

    @staticmethod
    def are_last(rows: list[Row]) -> bool:
        return len(rows) < ROWS_AT_ONCE and sum([row[1] for row in rows]) < BYTES_AT_ONCE


class Copy:
    """A partition in memory. `busy` while a search makes it or lets it follow; `complete` once it holds a state,
    which is `step`. One that is `too_large` is empty, and only says so; one that is not `sound` is being changed,
    or a change of it failed halfway."""

    __slots__ = ("_after", "_base", "busy", "complete", "has_grown", "matrix", "sound", "step", "too_large")

    def __init__(self, matrix: Matrix, step: Step) -> None:
        self.matrix = matrix
        self.step = step
        self.busy = False
        self.complete = False
        self.too_large = False
        self.sound = True
        self.has_grown = False
        """Whether it was filled further in the latest attempt."""
        self._base = step
        self._after: bytes | None = None

    @property
    def is_large(self) -> bool:
        return self.matrix.size > LARGE_BYTES

    def is_useless(self, step: Step) -> bool:
        """Whether it has to be made anew: a change failed halfway, or it was too large long ago."""
        return not self.sound or (self.too_large and not 0 <= step.number - self.step.number < RING)

    def follow(
        self, tx: ReadTransaction, partition: Partition, step: Step, copies: Copies
    ) -> Generator[Work, None, bool]:
        """Brings the copy to a step, that of the snapshot; False when that cannot be done. Raises SnapshotTooOld
        when the snapshot ends first: what was done until then is kept."""
        if not self.complete:
            yield from self._fill(tx, partition, copies)
        while self.step != step:
            if self.too_large or self.matrix.is_wasteful:
                return False
            behind = step.number - self.step.number
            if behind < 0 or behind > max(1024, 2 * len(self.matrix)):
                return False
            keys = changed_keys(tx, partition.vector.journal, self.step, step.number, _STEPS_AT_ONCE)
            reached = step_at(tx, partition.vector.journal, self.step.number + len(keys)) if keys else None
            if keys is None or reached is None:
                return False
            mine = dict.fromkeys([key for key in keys if key.startswith(partition.start)])
            entries = [(key, tx.get(partition.index.space, key)) for key in mine]
            rows = [(entry.key, entry.size, entry.body) for _, entry in entries if entry is not None]
            if entries:
                yield partial(self._change, rows, [key for key, entry in entries if entry is None])
                self._limit(copies)
            self.step = reached
        return not self.too_large

    def _limit(self, copies: Copies) -> None:
        """Makes room for what was added; a copy that has none by itself is given up."""
        copies.make_room()
        if self.matrix.size > copies.limit:
            self.too_large = True
            self.matrix = self.matrix.emptied()

    def _fill(self, tx: ReadTransaction, partition: Partition, copies: Copies) -> Generator[Work, None, None]:
        rows: list[Row] = []
        size = 0
        last = False
        while not (last or self.too_large):
            read = partition.rows(tx, rows[-1][0] if rows else self._after)
            last = partition.are_last(read)
            rows += read
            size += sum([len(row[2]) for row in read])
            if last or len(rows) >= _PUT_ROWS or size >= _PUT_BYTES:
                if rows:
                    yield partial(self._change, rows, [])
                    self._after = rows[-1][0]
                    self.has_grown = True
                    self._limit(copies)
                rows, size = [], 0
            else:
                yield None
        self.complete = True
        self.step = self._base

    def _change(self, rows: list[Row], gone: list[bytes]) -> None:
        self.sound = False
        self.matrix.remove(gone)
        self.matrix.put(rows)
        self.sound = True


_CopyKey: TypeAlias = tuple[str, int, bytes]


class Copies:
    """The copies of a process, least recently used first. `limit` is what they may take together, in bytes."""

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self.limit = limit
        self._copies: OrderedDict[_CopyKey, Copy] = OrderedDict()

    def find(self, partition: Partition) -> Copy | None:
        key = _key(partition)
        copy = self._copies.get(key)
        if copy is not None:
            self._copies.move_to_end(key)
        return copy

    def add(self, partition: Partition, copy: Copy) -> None:
        self._copies[_key(partition)] = copy

    def forget(self, partition: Partition, copy: Copy) -> None:
        if self._copies.get(_key(partition)) is copy:
            del self._copies[_key(partition)]

    def clear(self) -> None:
        self._copies.clear()

    def make_room(self) -> None:
        """Gives up the copies that were not used for longest, until the others are within the limit."""
        size = sum(copy.matrix.size for copy in self._copies.values())
        for key, copy in list(self._copies.items()):
            if size <= self.limit:
                return
            if not copy.busy:
                size -= copy.matrix.size
                del self._copies[key]


def _key(partition: Partition) -> _CopyKey:
    return partition.table_id, partition.index.space, partition.start


COPIES: Final = Copies()


def current_copy(
    tx: ReadTransaction, partition: Partition, copies: Copies = COPIES
) -> Generator[Work, None, Copy | None]:
    """A copy in the state of the snapshot, made if there is none; None when there can be none: it would be too
    large, or others have taken it further. It stays in that state until the next step of the caller's; a large one
    is `busy` until the caller says otherwise, so that searches of it come one after another.

    Raises SnapshotOutlived when the snapshot is of no use any more after others were waited for, or when a copy
    was being made meanwhile, which the next attempt goes on with."""
    waited = False
    copy: Copy | None = None
    try:
        for _ in range(2):
            step = last_step(tx, partition.vector.journal)
            if _too_large(tx, partition, copies.limit):
                return None
            while (copy := copies.find(partition)) is not None and copy.busy:
                waited = True
                yield _turn  # the thread is busy for the one that uses it
            if copy is not None and waited and copy.is_large:
                raise SnapshotOutlived  # with a new one, there is time for the search
            if copy is not None and copy.is_useless(step):
                copies.forget(partition, copy)
                copy = None
            if copy is not None and copy.too_large:
                return None
            if copy is not None and copy.complete and copy.step.number > step.number:
                return None
            if copy is None:
                made: list[Copy] = []
                yield partial(_make, partition.vector, step, made)
                if copies.find(partition) is not None:  # another search was faster
                    continue
                copy = made[0]
                copies.add(partition, copy)
            if (yield from _followed(tx, partition, step, copy, copies)):
                return copy
            if copy.too_large:
                return None
            copies.forget(partition, copy)
    except SnapshotOutlived:
        raise
    except SnapshotTooOld:
        if waited or (copy is not None and not copy.complete and copy.has_grown):
            raise SnapshotOutlived from None
        raise
    return None


def _followed(
    tx: ReadTransaction, partition: Partition, step: Step, copy: Copy, copies: Copies
) -> Generator[Work, None, bool]:
    copy.busy = True
    copy.has_grown = keep = False
    try:
        keep = yield from copy.follow(tx, partition, step, copies)
        return keep
    finally:
        copy.busy = keep and copy.is_large


def _too_large(tx: ReadTransaction, partition: Partition, limit: int) -> bool:
    """Whether a copy of a whole index would not fit. Of one partition of many, it is not known."""
    vector = partition.vector
    if partition.start:
        return False
    return tx.statistics(partition.index.space).items * (4 * vector.dimensions + 400) > limit


def _make(vector: VectorSettings, step: Step, made: list[Copy]) -> None:
    """On the thread: the first call imports numpy."""
    from blotter.database.operations.vectors.matrix import Matrix

    made.append(Copy(Matrix(vector), step))


def _turn() -> None:
    """Nothing; done when all that the thread was given before is done."""
