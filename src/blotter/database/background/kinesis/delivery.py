"""The delivery to one destination: from the change log, by a position of its own, into its Kinesis data stream.

The position is confirmed after Kinesis has stored what comes before it, so a crash repeats records and loses
none. In one call there is one record for each item at most, and the next one for an item is sent when the one
before is stored: Kinesis may store records of one call in any order, and some of them only. What fails is sent
again until it succeeds, with pauses that double up to a quarter of a minute, and is shown as failing meanwhile.

A new destination is looked up first: ACTIVE or ENABLE_FAILED. One that is DISABLING ends after its last change; if
that cannot be delivered, after a minute (a day, if its table is gone), with a line in the log.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from blotter.database.background.kinesis.records import Record, kinesis_record
from blotter.database.background.kinesis.stream import Stream, Undelivered
from blotter.database.model.table import is_over
from blotter.database.operations.streams.kinesis_destinations import (
    Destination,
    State,
    begin_anew,
    end,
    read_destination,
    save_destination,
)
from blotter.database.storage.change_log import confirm, find_reader
from blotter.database.storage.protocol import Change, ReadTransaction, Storage, WriteTransaction
from blotter.database.work_thread import WorkThread

T = TypeVar("T")

ENTRIES_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 1 << 20
MOST_IN_CALL: Final = 500
"""Records of one call of PutRecords; their bytes: `LARGEST_CALL`."""
LARGEST_CALL: Final = 4 << 20
GIVE_UP_ENABLING: Final = 60.0
"""Seconds that a new destination waits for an endpoint that does not answer."""
GIVE_UP_DISABLING: Final = 60.0
GIVE_UP_AFTER_TABLE: Final = 86_400.0
CONFIRM_SECONDS: Final = 5.0
"""Between confirmations when there was nothing to deliver among the changes that were read."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 15.0

log = logging.getLogger(__name__)


class _View(NamedTuple):
    """What one snapshot has for the delivery. `position` is that of the reader, None without a reader."""

    destination: Destination
    position: int | None
    lost: bool
    changes: list[Change]


class LogWindow:
    """What was last read of the change log, for deliveries that are at the same place: one reads it for all."""

    def __init__(self) -> None:
        self._after = -1
        self._changes: list[Change] = []

    def read(self, tx: ReadTransaction, after: int) -> list[Change]:
        """Some entries after a position; none only if there are none."""
        if after != self._after or not self._changes:
            self._after, self._changes = after, tx.log(after, ENTRIES_AT_ONCE, BYTES_AT_ONCE)
        return self._changes


class Delivery:
    """`clock` gives seconds since the epoch, `monotonic` measures pauses, `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        storage: Storage,
        destination: Destination,
        stream: Stream,
        log: LogWindow,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._key = destination.key
        self._reader = destination.reader
        self._stream = stream
        self._log = log
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._thread: WorkThread | None = None
        self._failures = 0
        self._pending: list[Record] = []
        self._read = 0
        """The last change that was read; those before it that are not pending are delivered."""
        self._confirmed_at = -math.inf

    async def step(self) -> float | None:
        """Does what can be done now. Returns the seconds to wait before the next step, infinity for "until there
        are new changes", or None when the destination is over."""
        view = await self._storage.fetch(self._look)
        if view is None:
            return None
        destination = view.destination
        if destination.state == "ENABLING":
            return await self._enable(destination)
        if view.lost or view.position is None:
            await self._storage.write(self._resume)
            self._read = 0
            return 0.0
        is_new = not self._pending
        if is_new:
            await self._take(destination, view)
        delivers = bool(self._pending)
        try:
            await self._deliver()
        except Undelivered as error:
            return await self._failed(destination, str(error))
        if self._pending:
            return self._pause()
        last = destination.last_sequence
        over = last is not None and (self._read >= last or (is_new and not view.changes))
        if over or delivers or self._is_confirmation_due(destination, view):
            self._confirmed_at = self._monotonic()
            await self._storage.write(partial(self._confirm, position=self._read, over=over))
        if over and not is_over(destination.settles_at, self._clock()):
            return destination.settles_at - self._clock()
        return 0.0 if over or delivers or view.changes else math.inf

    def close(self) -> None:
        """Gives up the thread; a call that is under way ends by itself."""
        if self._thread is not None:
            self._thread.leave()
            self._thread = None

    # Reading

    def _look(self, tx: ReadTransaction) -> _View | None:
        destination = read_destination(tx, self._key)
        if destination is None or not destination.is_live:
            return None
        reader = find_reader(tx, self._reader)
        if reader is None:
            return _View(destination, None, False, [])
        after = max(reader.position, self._read)
        wanted = destination.state != "ENABLING" and not self._pending
        changes = self._log.read(tx, after) if wanted else []
        return _View(destination, reader.position, reader.lost_at is not None, changes)

    async def _take(self, destination: Destination, view: _View) -> None:
        last = math.inf if destination.last_sequence is None else destination.last_sequence
        wanted = [
            change
            for change in view.changes
            if change.kind == "item" and change.table_id == destination.table_id and change.sequence <= last
        ]
        if wanted:
            self._pending = await self._on_thread(
                lambda: [kinesis_record(destination, change) for change in wanted]
            )
        self._read = view.changes[-1].sequence if view.changes else max(self._read, view.position or 0)

    def _is_confirmation_due(self, destination: Destination, view: _View) -> bool:
        if destination.failing_since is not None:
            return True
        if view.position is None or self._read <= view.position:
            return False
        return self._monotonic() - self._confirmed_at >= CONFIRM_SECONDS

    # Delivering

    async def _deliver(self) -> None:
        """Sends what is pending, as long as Kinesis takes any of it. Raises Undelivered when it takes nothing."""
        while self._pending:
            batch = next_call(self._pending)
            results = await self._on_thread(partial(self._stream.put, batch))
            stored = {record.sequence for record, why in zip(batch, results, strict=True) if why is None}
            self._pending = [record for record in self._pending if record.sequence not in stored]
            refused = next((why for why in results if why is not None), None)
            if refused is not None and not stored:
                raise Undelivered(refused)
            self._failures = 0
            if refused is not None:
                return  # the rest after a pause: the stream is at its limit

    async def _failed(self, destination: Destination, problem: str) -> float | None:
        pause = self._pause()
        self._failures += 1
        if destination.state == "DISABLING":
            limit = GIVE_UP_AFTER_TABLE if destination.table_is_gone else GIVE_UP_DISABLING
            if self._clock() - destination.changed_at >= limit:
                log.warning(
                    "changes of table %s that were made before its Kinesis destination was disabled were not "
                    "delivered to %s: %s",
                    destination.table_name,
                    destination.stream_arn,
                    problem,
                )
                await self._storage.write(partial(self._end, state="DISABLED"))
                return None
        if destination.failing_since is None or destination.problem != problem:
            if destination.failing_since is None:
                log.warning(
                    "changes of table %s cannot be delivered to %s and are kept: %s",
                    destination.table_name,
                    destination.stream_arn,
                    problem,
                )
            await self._storage.write(partial(self._note_problem, problem=problem))
        return pause

    def _pause(self) -> float:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 30))
        return pause * (1 - self._chance() / 2)

    # Enabling

    async def _enable(self, destination: Destination) -> float | None:
        try:
            refusal = await self._on_thread(self._stream.refusal)
        except Undelivered as error:
            problem = str(error)
            if self._clock() - destination.enabled_at < GIVE_UP_ENABLING:
                pause = min(1.0, self._pause())
                self._failures += 1
                if destination.problem != problem:
                    await self._storage.write(partial(self._note_problem, problem=problem))
                return pause
            refusal = problem
        self._failures = 0
        if refusal is not None:
            await self._storage.write(partial(self._end, state="ENABLE_FAILED", problem=refusal))
            return None
        now = self._clock()
        if not is_over(destination.settles_at, now):
            return destination.settles_at - now
        await self._storage.write(self._activate)
        return 0.0

    # Writing; each sees anew whether it is still wanted

    def _activate(self, tx: WriteTransaction) -> None:
        destination = read_destination(tx, self._key)
        if destination is not None and destination.state == "ENABLING":
            now = self._clock()
            active = replace(destination, state="ACTIVE", changed_at=now, problem="", failing_since=None)
            save_destination(tx, active)

    def _note_problem(self, tx: WriteTransaction, problem: str) -> None:
        destination = read_destination(tx, self._key)
        if destination is not None and destination.is_live:
            since = destination.failing_since
            if since is None and destination.state != "ENABLING":
                since = self._clock()
            save_destination(tx, replace(destination, problem=problem, failing_since=since))

    def _confirm(self, tx: WriteTransaction, position: int, over: bool) -> None:
        destination = read_destination(tx, self._key)
        if destination is None or not destination.is_live:
            return
        if over and destination.state == "DISABLING":
            if is_over(destination.settles_at, self._clock()):
                end(tx, destination, "DISABLED", self._clock())
            return
        confirm(tx, self._reader, position, self._clock())
        if destination.failing_since is not None:
            save_destination(tx, replace(destination, problem="", failing_since=None))

    def _end(self, tx: WriteTransaction, state: State, problem: str = "") -> None:
        destination = read_destination(tx, self._key)
        if destination is not None and destination.is_live:
            end(tx, destination, state, self._clock(), problem)

    def _resume(self, tx: WriteTransaction) -> None:
        """Goes on with the oldest change that is still there, after trimming gave up waiting."""
        destination = read_destination(tx, self._key)
        if destination is None or not destination.is_live:
            return
        if begin_anew(tx, destination, self._clock()) is None:
            return
        tx.after_commit(
            lambda: log.error(
                "changes of table %s waited too long for %s and were lost; delivery goes on with the oldest left",
                destination.table_name,
                destination.stream_arn,
            )
        )

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = WorkThread("kinesis")
        results: list[T] = []
        await self._thread.call(lambda: results.append(work()))
        return results[0]


def next_call(pending: Sequence[Record]) -> list[Record]:
    """The records that go into the next call: in order, and of each item only the first."""
    batch: list[Record] = []
    items: set[str] = set()
    size = 0
    for record in pending:
        if record.partition_key in items:
            continue
        if len(batch) == MOST_IN_CALL or (batch and size + record.size > LARGEST_CALL):
            break
        items.add(record.partition_key)
        batch.append(record)
        size += record.size
    return batch
