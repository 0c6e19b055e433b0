"""How a plan is executed over the store, in one of four ways.

    Reading    at once, inline; on a thread when it turns out to be heavy; later when the store is across a network
    Slicing    the first slice at once, the others alternating with those of other long reads; all of them later
               when the store is across a network
    Writing    in the write lock, in a batch with others
    … heavy    on a thread over a snapshot, then confirmed and applied in the write lock (`operations.optimistic`)

The work that delays other requests, on the event loop and in the write lock, is limited: a transaction counts
the bytes of large values before they are decoded or encoded, and raises `TooMuchWork`. What exceeds the limit is
started again on a thread. A light request pays for none of this. Nothing here depends on a single operation.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.conflicts import NOTHING_HELD, OngoingTransactions, Targets, targets_of
from blotter.database.operations.context import Context
from blotter.database.operations.operation import OnConflict, Reading, Slices, Slicing, Writing
from blotter.database.operations.optimistic import NotOptimistic, OptimisticTransaction
from blotter.database.operations.touches import Plan
from blotter.database.storage.protocol import (
    UNLIMITED,
    ReadTransaction,
    Snapshot,
    SnapshotOutlived,
    SnapshotTooOld,
    Storage,
    TooMuchWork,
    WriteTransaction,
)
from blotter.database.work_thread import WorkThread

WORK_IN_LOCK = 512 * 1024
"""Bytes of large values, as stored, that one handler may decode and encode in the write lock: some 30 ms, if they
consist of the smallest values there are."""
ATTEMPTS = 8
"""How often a heavy write is run ahead before it is refused because other writes keep changing its items."""

MOST_RUNNING = 8
"""Long reads of one process that run at a time."""
RUN_SECONDS = 0.003
"""How long the event loop runs slices before it serves others. A slice may take longer."""
MOST_SNAPSHOTS = 3
"""A long read that cannot use its snapshot, because it is too old at once, gets so many."""


class Ends(ABC):
    """How a request ends: its response to a result or an error, which may have to wait until it is recorded. A
    base class and not a protocol, so that compiled code calls it directly: once for every request."""

    @abstractmethod
    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response | Pending: ...

    @abstractmethod
    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response | Pending: ...


class Job:
    """A plan to execute, for whom, and how its request ends."""

    __slots__ = ("context", "ends", "plan", "request")

    def __init__(self, plan: Plan, context: Context, request: Request, ends: Ends) -> None:
        self.plan = plan
        self.context = context
        self.request = request
        self.ends = ends

    def succeeded(self, result: Result) -> Response | Pending:
        return self.ends.succeeded(result, self.request, self.context, self.plan)

    def failed(self, error: BaseException) -> Response | Pending:
        if isinstance(error, DynamoDBError):
            error.without_trace()
        return self.ends.failed(error, self.request, self.context, self.plan)


class Executor:
    """Executes plans over one store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transactions = OngoingTransactions()
        self._long_reads = _LongReads()

    def execute(
        self,
        execution: Reading[Any] | Slicing[Any] | Writing[Any],
        plan: Plan,
        context: Context,
        request: Request,
        ends: Ends,
    ) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises what the execution raises before it
        has to wait for anything."""
        if isinstance(execution, Reading):
            snapshot = self._storage.read()
            if snapshot is None:
                return self._read_later(execution, Job(plan, context, request, ends), self._storage.submit_read)
            try:
                with snapshot as tx:
                    if self._transactions.concern_read(execution):
                        self._transactions.refuse(plan, tx, context)
                    result: Result = execution.execute(plan, tx, context)
            except TooMuchWork:
                return self._read_later(execution, Job(plan, context, request, ends), self._storage.submit_aside)
            return ends.succeeded(result, request, context, plan)
        if isinstance(execution, Writing):
            return self._write(execution, Job(plan, context, request, ends))
        return self._read_in_slices(execution, plan, context, request, ends)

    # Reading

    def _read_later(self, reading: Reading[Any], job: Job, submit: Callable[[Any, Any], object]) -> Pending:
        """A read of a store across a network, or a heavy one."""
        pending = Pending()

        def execute(tx: ReadTransaction) -> Result:
            if pending.abandoned:
                raise _GONE
            if self._transactions.concern_read(reading):
                self._transactions.refuse(job.plan, tx, job.context)
            result: Result = reading.execute(job.plan, tx, job.context)
            return result

        def settled(result: Any, error: BaseException | None) -> None:
            pending.settle_with(job.succeeded(result) if error is None else job.failed(error))

        submit(execute, settled)
        return pending

    def _read_in_slices(
        self, slicing: Slicing[Any], plan: Plan, context: Context, request: Request, ends: Ends
    ) -> Response | Pending:
        """The first slice at once, which is all for most queries; the rest alternating with other long reads. All
        of them alternating when there are many long reads, so that a crowd of those does not stop everything."""
        if not self._long_reads.has_room:
            read = _LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=0)
            self._long_reads.begin(read)
            return read
        snapshot = self._storage.open_snapshot()
        if snapshot is None:
            return self._read_slices_later(slicing, Job(plan, context, request, ends))
        try:
            slices = slicing.execute(plan, snapshot, context)
            work = next(slices)
        except StopIteration as done:
            snapshot.close()
            return ends.succeeded(done.value, request, context, plan)
        except SnapshotTooOld:
            snapshot.close()
            read = _LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=1)
        except BaseException:
            snapshot.close()
            raise
        else:
            read = _LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=1)
            read.resume(snapshot, slices, work)
        self._long_reads.add(read)
        return read

    def _read_slices_later(self, slicing: Slicing[Any], job: Job) -> Pending:
        """A long read of a store across a network, which runs it."""
        pending, attempts = Pending(), 0

        def start(tx: ReadTransaction) -> Slices:
            if pending.abandoned:
                raise _GONE
            slices: Slices = slicing.execute(job.plan, tx, job.context)
            return slices

        def settled(result: Any, error: BaseException | None) -> None:
            nonlocal attempts
            attempts += 1
            if isinstance(error, SnapshotTooOld) and attempts < MOST_SNAPSHOTS:
                self._storage.submit_slices(start, settled)
                return
            pending.settle_with(job.succeeded(result) if error is None else job.failed(error))

        self._storage.submit_slices(start, settled)
        return pending

    # Writing

    def _write(self, writing: Writing[Any], job: Job) -> Pending:
        write = _Write(self._storage, self._transactions, writing, job)
        if self._transactions.concern_write(writing):
            snapshot = self._storage.read()
            if snapshot is None:
                self._storage.submit_read(write.targets, write.found)
                return write
            with snapshot as tx:
                targets = write.targets(tx)
            write.hold(targets)
        write.submit()
        return write


class _Outdated(Exception):
    """What a run ahead has read was changed before it could be confirmed."""


class _Ahead(NamedTuple):
    """What came of running a handler on a snapshot: a result or an error, valid when the transaction is
    confirmed."""

    transaction: OptimisticTransaction
    result: Result | None
    error: DynamoDBError | None


class _Write(Pending):
    """A write under way. The storage calls `execute`, perhaps more than once, and then `committed` with what the
    last run returned or raised. A heavy one goes `run_ahead` → `ran_ahead` → `execute` in between."""

    __slots__ = ("_ahead", "_attempts", "_held", "_job", "_limit", "_storage", "_transactions", "_writing")

    def __init__(
        self, storage: Storage, transactions: OngoingTransactions, writing: Writing[Any], job: Job
    ) -> None:
        super().__init__()
        self._storage = storage
        self._transactions = transactions
        self._writing = writing
        self._job = job
        self._held = NOTHING_HELD
        self._limit = WORK_IN_LOCK
        self._ahead: _Ahead | None = None
        self._attempts = 0

    def targets(self, tx: ReadTransaction) -> Targets:
        """The items of a transaction."""
        return targets_of(self._job.plan.touches(), tx, self._job.context)

    def hold(self, targets: Targets) -> None:
        """Holds the items of a transaction, so that no other one touches them before it has ended."""
        self._held = self._transactions.hold(self._writing, targets)

    def found(self, targets: Any, error: BaseException | None) -> None:
        """Continues with the items, unless one belongs to another transaction."""
        self._continue(error, lambda: self._hold_and_submit(targets))

    def _hold_and_submit(self, targets: Targets) -> None:
        self.hold(targets)
        self.submit()

    def submit(self) -> None:
        try:
            self._storage.submit(self.execute, self.committed)
        except BaseException:
            self._transactions.release(self._held)
            raise

    def execute(self, tx: WriteTransaction) -> Result:
        ahead, job = self._ahead, self._job
        if ahead is None:
            tx.limit_work(self._limit)
            result: Result = self._writing.execute(job.plan, tx, job.context)
            return result
        if not ahead.transaction.confirm(tx):
            raise _Outdated
        if ahead.result is None:
            raise ahead.error or _Outdated()
        ahead.transaction.apply(tx)
        return ahead.result

    def committed(self, result: Any, error: BaseException | None) -> None:
        if error is not None and isinstance(error, (TooMuchWork, _Outdated)):
            self._continue(None, self._run_ahead)
            return
        self._end(result, error)

    # A heavy write

    def _run_ahead(self) -> None:
        self._ahead = None
        self._attempts += 1
        if self._attempts <= ATTEMPTS:
            self._storage.submit_aside(self._ahead_of, self._ran_ahead)
        elif self._writing.on_conflict is OnConflict.CANCEL:
            self._end(None, self._transactions.conflict(self._job.plan))
        else:
            self._submit_unlimited()

    def _ahead_of(self, snapshot: ReadTransaction) -> _Ahead | None:
        """Runs the handler, on a thread. None when it can only be run in the write lock."""
        transaction, job = OptimisticTransaction(snapshot), self._job
        try:
            return _Ahead(transaction, self._writing.execute(job.plan, transaction, job.context), None)
        except NotOptimistic:
            return None
        except DynamoDBError as error:
            return _Ahead(transaction, None, error)

    def _ran_ahead(self, ahead: Any, error: BaseException | None) -> None:
        self._ahead = ahead
        self._continue(error, self._submit_unlimited if ahead is None else self.submit)

    def _submit_unlimited(self) -> None:
        self._limit = UNLIMITED
        self.submit()

    # The end

    def _continue(self, error: BaseException | None, step: Callable[[], None]) -> None:
        """The next step, unless there was an error; an error of the step itself ends the write too."""
        if error is None:
            try:
                step()
                return
            except Exception as failure:
                error = failure
        self._end(None, error)

    def _end(self, result: Any, error: BaseException | None) -> None:
        self._transactions.release(self._held)
        self.settle_with(self._job.succeeded(result) if error is None else self._job.failed(error))


_GONE = DynamoDBError("InternalServerError", "The client closed the connection.", 500)


class _LongRead(Pending):
    """A read in slices over a snapshot. Only a running one has a snapshot.

    A read whose snapshot ended before it had read anything (the process may have been suspended meanwhile) starts
    over with another snapshot, a few times at most.
    """

    __slots__ = ("_failure", "_job", "_slices", "_slicing", "_snapshot", "_snapshots", "_storage", "work")

    def __init__(self, storage: Storage, slicing: Slicing[Any], job: Job, *, snapshots: int) -> None:
        """`snapshots` is how many it has had."""
        super().__init__()
        self._storage = storage
        self._slicing = slicing
        self._job = job
        self._snapshots = snapshots
        self._snapshot: Snapshot | None = None
        self._slices: Slices | None = None
        self._failure: BaseException | None = None
        self.work: Callable[[], object] | None = None
        """What has to be done, on a thread, before the next step."""

    def resume(self, snapshot: Snapshot, slices: Slices, work: Callable[[], object] | None) -> None:
        """Continues after a first slice."""
        self._snapshot = snapshot
        self._slices = slices
        self.work = work

    def worked(self, error: BaseException | None) -> None:
        """Its work was done, or failed."""
        self.work = None
        self._failure = error

    def step(self) -> Response | Pending | None:
        """Reads one slice. Returns the response once the read is complete or has failed; None before, perhaps with
        work to be done."""
        job = self._job
        try:
            if self._failure is not None:
                raise self._failure
            if self._slices is None:
                self._snapshots += 1
                self._snapshot = snapshot = self._storage.open_snapshot()
                assert snapshot is not None  # a store that had a snapshot for the first slice always has
                self._slices = self._slicing.execute(job.plan, snapshot, job.context)
            self.work = next(self._slices)
        except StopIteration as done:
            self.stop()
            return job.succeeded(done.value)
        except SnapshotOutlived:
            self.stop()
            self._snapshots -= 1
        except SnapshotTooOld as error:
            self.stop()
            return job.failed(error) if self._snapshots >= MOST_SNAPSHOTS else None
        except Exception as error:
            self.stop()
            return job.failed(error)
        return None

    def give_up(self) -> Response | Pending:
        """The response to a client that is gone."""
        self.stop()
        return self._job.failed(_GONE)

    def stop(self) -> None:
        """Gives its snapshot up; the next step starts over."""
        self._slices = self.work = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None


class _LongReads:
    """The long reads of a process: a few run, alternating slice by slice; the others wait in the order of their
    arrival. What is new while that many run gets its first slice before it waits: for most queries that is all.

    So a read that runs ends long before its snapshot is too old, however many there are, and the number of
    snapshots, each of which has a connection and its cache, is bounded. Work on large items is done by a thread,
    one read after another.
    """

    def __init__(self) -> None:
        self._new: deque[_LongRead] = deque()
        self._running: deque[_LongRead] = deque()
        self._waiting: deque[_LongRead] = deque()
        self._active = 0
        """The running reads, and those whose work the thread has."""
        self._large_items: WorkThread | None = None
        self._scheduled = False

    @property
    def has_room(self) -> bool:
        """Whether another one may run."""
        return self._active < MOST_RUNNING

    def add(self, read: _LongRead) -> None:
        """Takes a read after its first slice, which it repeats if it has to wait."""
        if self.has_room:
            self._active += 1
            self._go_on(read)
        else:
            read.stop()
            self._waiting.append(read)
        self._schedule()

    def begin(self, read: _LongRead) -> None:
        """Takes a read that has not begun, while there is no room."""
        self._new.append(read)
        self._schedule()

    def _go_on(self, read: _LongRead) -> None:
        if read.work is None:
            self._running.append(read)
            return
        if self._large_items is None:
            self._large_items = WorkThread("large-items", computes=True)
        self._large_items.run(asyncio.get_running_loop(), read.work, lambda error: self._worked(read, error))

    def _worked(self, read: _LongRead, error: BaseException | None) -> None:
        read.worked(error)
        self._running.append(read)
        self._schedule()

    def _schedule(self) -> None:
        if (self._running or self._new) and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """First slices, and slices of the running reads, by turns, for a few milliseconds at most."""
        new, running, deadline = self._new, self._running, time.monotonic() + RUN_SECONDS
        while new or running:
            if new:
                self._begin(new.popleft())
            if running:
                self._step(running.popleft())
            if time.monotonic() > deadline:
                break
        self._scheduled = False
        self._schedule()

    def _begin(self, read: _LongRead) -> None:
        response = read.give_up() if read.abandoned else read.step()
        if response is None:
            self.add(read)
        else:
            read.settle_with(response)

    def _step(self, read: _LongRead) -> None:
        response = read.give_up() if read.abandoned else read.step()
        if response is None:
            self._go_on(read)
            return
        self._active -= 1
        while self._waiting and self.has_room:
            self._active += 1
            self._running.append(self._waiting.popleft())
        read.settle_with(response)
