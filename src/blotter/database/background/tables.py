"""What happens to tables after the answer: states end, deleted tables and indexes go, new indexes are filled.

`TableKeeper.start_due` looks at the catalog when it changed or when something is due, and starts a job for
everything that is. Each job is one table's or one index's, runs beside the others, and is tried again by itself
if it fails (`attempts`). Every job is made of short transactions that first look whether their work is still
wanted, so it may be killed anywhere and simply runs again.

The end of a state is due when its time has come by the wall clock, or when as much time as was left at the first
look has passed by the monotonic clock: a clock that is set back delays nothing. It is then stored as `PAST`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from blotter.database.background.attempts import Attempts
from blotter.database.background.index_entries import IndexKeeper, find_index, same_table
from blotter.database.background.running_jobs import RunningJobs
from blotter.database.model.table import PAST, Index, Table, is_over
from blotter.database.operations.backups.system_backups import back_up_deleted
from blotter.database.operations.contributor_insights import remove_insights_of
from blotter.database.operations.resource_policies import remove_policies
from blotter.database.operations.streams.kinesis_destinations import remove_destinations
from blotter.database.operations.streams.registry import change_stream
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

_JobKey = tuple[str, str, int]
"""(kind, table id, key space of the index or 0): what is not done twice at a time, and is tried again by
itself."""


class _Job(NamedTuple):
    key: _JobKey
    name: str
    work: Callable[[], Any]
    """Makes the coroutine that does it."""


class TableKeeper:
    """Carries out what the catalog schedules. `clock` gives seconds since the epoch; `finished` is called when a
    job has ended."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        attempts: Attempts | None = None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic
        self._attempts = Attempts(monotonic) if attempts is None else attempts
        self._finished = finished
        self.indexes = IndexKeeper(storage, monotonic)
        self._running = RunningJobs[_JobKey](self._attempts, self._ended)
        # What the last look found: for which catalog, when something is due by either clock, and the jobs that
        # wait for another attempt.
        self._seen_version: int | None = None
        self._due_by_clock = -math.inf
        self._due = -math.inf
        self._deadlines: dict[tuple[str, float], float] = {}

    async def run_once(self) -> bool:
        """Does all that is due now; returns whether there was anything."""
        started = await self.start_due()
        await self.finish()
        return started > 0

    async def start_due(self) -> int:
        """Starts a job for all that is due and not under way; returns how many."""
        now, elapsed = self._clock(), self._monotonic()
        due = now >= self._due_by_clock or elapsed >= self._due
        version, tables = await self._storage.fetch(partial(_look, seen=None if due else self._seen_version))
        if tables is None:
            return 0
        self._seen_version = version
        self._due_by_clock = self._due = math.inf
        self._deadlines = {
            (table.id, moment): self._deadline(table, moment, now, elapsed)
            for table in tables
            for moment in _moments(table)
        }
        jobs = [job for table in tables for job in self._jobs(table, now, elapsed)]
        return sum([self._start(job) for job in jobs])

    def pause(self) -> float:
        """Seconds until something is due that is known now; infinity for never."""
        return max(0.0, min(self._due - self._monotonic(), self._due_by_clock - self._clock()))

    async def finish(self) -> None:
        """Returns when the jobs under way have ended."""
        await self._running.finish()

    async def stop(self) -> None:
        """Cancels the jobs under way."""
        await self._running.stop()

    def _start(self, job: _Job) -> bool:
        if job.key in self._running:
            return False
        if not self._attempts.may_run(job.key):
            self._due = min(self._due, self._monotonic() + self._attempts.pause(job.key))
            return False
        self._running.start(job.key, job.name, job.work)
        return True

    def _ended(self, key: _JobKey, canceled: bool) -> None:
        if not canceled:  # a failure waits for its next attempt; a success may have made something else due
            self._due = min(self._due, self._monotonic() + self._attempts.pause(key))
        self._finished()

    def _deadline(self, table: Table, moment: float, now: float, elapsed: float) -> float:
        """When a moment has come by the monotonic clock."""
        left = 0.0 if is_over(moment, now) else moment - now
        return min(elapsed + left, self._deadlines.get((table.id, moment), math.inf))

    def _has_come(self, table: Table, moment: float, now: float, elapsed: float) -> bool:
        deadline = self._deadlines.get((table.id, moment), -math.inf)  # PAST has none
        if is_over(moment, now) or elapsed >= deadline:
            return True
        self._due_by_clock = min(self._due_by_clock, moment)
        self._due = min(self._due, deadline)
        return False

    def _jobs(self, table: Table, now: float, elapsed: float) -> Iterator[_Job]:
        def has_come(moment: float) -> bool:
            return self._has_come(table, moment, now, elapsed)

        write = self._storage.write
        if table.deleting_until is not None:
            if has_come(table.deleting_until) and not table.is_being_copied:
                work = partial(write, partial(_remove_table, table=table, now=now))
                yield _Job(("delete", table.id, 0), f"deleting table {table.arn}", work)
            return
        if table.loading is not None:  # its job does everything
            return
        over = frozenset(moment for moment in _moments(table) if has_come(moment))
        if settled(table, over) != table:
            work = partial(write, partial(_settle, table=table, over=over))
            yield _Job(("settle", table.id, 0), f"ending a state of table {table.arn}", work)
        for index in table.indexes:
            name, space = index.name, index.space
            if not has_come(index.active_at):
                continue
            if index.deleting:
                work = partial(write, partial(_remove_index, table=table, space=space))
                yield _Job(("delete", table.id, space), f"deleting index {name} of table {table.arn}", work)
            elif index.backfilling:
                fill = partial(self.indexes.fill, table, index)
                yield _Job(("fill", table.id, space), f"filling index {name} of table {table.arn}", fill)
            elif not index.verified:
                verify = partial(self.indexes.verify, table, index)
                yield _Job(("verify", table.id, space), f"checking index {name} of table {table.arn}", verify)


def settled(table: Table, over: frozenset[float]) -> Table:
    """The table with every state ended that ends at one of these moments."""
    indexes = tuple(_settled_index(index, over) for index in table.indexes)
    if table.active_at in over:
        table = replace(table, active_at=PAST)
    if table.updating_until in over:
        table = replace(table, updating_until=PAST, changing=None, before=None)
    if table.warm_until in over:
        table = replace(table, warm_until=PAST, warm_before=None)
    if table.encryption_until in over:
        table = replace(table, encryption_until=PAST, encryption_before=None)
    if table.stream is not None and table.stream.settles_at in over:
        table = replace(table, stream=replace(table.stream, settles_at=PAST))
    return table if indexes == table.indexes else replace(table, indexes=indexes)


def _settled_index(index: Index, over: frozenset[float]) -> Index:
    if index.active_at in over and not index.deleting:
        index = replace(index, active_at=PAST)
    if index.updating_until in over:
        index = replace(index, updating_until=PAST, throughput_before=None)
    if index.warm_until in over:
        index = replace(index, warm_until=PAST, warm_before=None)
    return index


def _look(tx: ReadTransaction, seen: int | None) -> tuple[int, list[Table] | None]:
    """The catalog's version and its tables; None if it is the version that was seen."""
    version = tx.catalog_version()
    return version, None if version == seen else list(tx.tables())


def _moments(table: Table) -> Iterator[float]:
    """When states of the table end, except for those that have ended for good."""
    moments = [table.active_at, table.updating_until, table.warm_until, table.encryption_until]
    for index in table.indexes:
        moments += [index.active_at, index.updating_until, index.warm_until]
    if table.deleting_until is not None:
        moments.append(table.deleting_until)
    if table.stream is not None:
        moments.append(table.stream.settles_at)
    return (moment for moment in moments if moment != PAST)


def _settle(tx: WriteTransaction, table: Table, over: frozenset[float]) -> None:
    current = same_table(tx, table)
    if current is None:
        return
    new = settled(current, over)
    if new.stream is not None and new.stream != current.stream:
        new = change_stream(tx, new, new.stream)
    if new != current:
        tx.save_table(new)


def _remove_table(tx: WriteTransaction, table: Table, now: float) -> None:
    current = same_table(tx, table)
    if current is None or current.deleting_until is None or current.is_being_copied:
        return
    if current.recovery is not None:
        back_up_deleted(tx, current, now)
    else:
        remove_policies(tx, current)
        remove_destinations(tx, current, now)
        remove_insights_of(tx, current)
        tx.remove_table(current)


def _remove_index(tx: WriteTransaction, table: Table, space: int) -> None:
    found = find_index(tx, table, space)
    if found is None or not found[1].deleting:
        return
    current, index = found
    remove_insights_of(tx, current, index.name)
    tx.save_table(replace(current, indexes=tuple(other for other in current.indexes if other.space != space)))
    for dropped in index.spaces:
        tx.drop_space(dropped)
