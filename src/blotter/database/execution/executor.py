"""How a plan is executed over the store, in one of four ways.

    Reading    at once, inline; on a thread when it turns out to be heavy; later when the store is across a network
    Slicing    the first slice at once, the others alternating with those of other long reads (`long_reads`); all
               of them later when the store is across a network
    Writing    in the write lock, in a batch with others (`writes`)
    … heavy    on a thread over a snapshot, then confirmed and applied in the write lock (`writes`)

The work that delays other requests, on the event loop and in the write lock, is limited: a transaction counts
the bytes of large values before they are decoded or encoded, and raises `TooMuchWork`. What exceeds the limit is
started again on a thread. A light request pays for none of this. Nothing here depends on a single operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.execution.job import CLIENT_GONE, Ends, Job
from blotter.database.execution.long_reads import MOST_SNAPSHOTS, LongRead, LongReads
from blotter.database.execution.writes import HeavyWrite, Write
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.operations.answers import Result
from blotter.database.operations.conflicts import OngoingTransactions
from blotter.database.operations.context import Context
from blotter.database.operations.operation import Reading, Slices, Slicing, Writing
from blotter.database.operations.touches import Plan
from blotter.database.storage.protocol import ReadTransaction, SnapshotTooOld, Storage, TooMuchWork


class Executor:
    """Executes plans over one store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transactions = OngoingTransactions()
        self._long_reads = LongReads()

    def execute(
        self,
        execution: Reading[Any] | Slicing[Any] | Writing[Any],
        plan: Plan,
        context: Context,
        request: Request,
        ends: Ends,
        heavy: bool = False,
    ) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises what the execution raises before it
        has to wait for anything. `heavy`: what the request holds makes it a heavy one, whatever is stored."""
        if isinstance(execution, Reading):
            if heavy:
                return self._read_later(execution, Job(plan, context, request, ends), self._storage.submit_aside)
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
            return self._write(execution, Job(plan, context, request, ends), heavy)
        return self._read_in_slices(execution, plan, context, request, ends)

    # Reading

    def _read_later(self, reading: Reading[Any], job: Job, submit: Callable[[Any, Any], object]) -> Pending:
        """A read of a store across a network, or a heavy one."""
        pending = Pending()

        def execute(tx: ReadTransaction) -> Result:
            if pending.abandoned:
                raise CLIENT_GONE
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
            read = LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=0)
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
            read = LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=1)
        except BaseException:
            snapshot.close()
            raise
        else:
            read = LongRead(self._storage, slicing, Job(plan, context, request, ends), snapshots=1)
            read.resume(snapshot, slices, work)
        self._long_reads.add(read)
        return read

    def _read_slices_later(self, slicing: Slicing[Any], job: Job) -> Pending:
        """A long read of a store across a network, which runs it."""
        pending, attempts = Pending(), 0

        def start(tx: ReadTransaction) -> Slices:
            if pending.abandoned:
                raise CLIENT_GONE
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

    def _write(self, writing: Writing[Any], job: Job, heavy: bool) -> Pending:
        write = (HeavyWrite if heavy else Write)(self._storage, self._transactions, writing, job)
        if self._transactions.concern_write(writing):
            snapshot = self._storage.read()
            if snapshot is None:
                self._storage.submit_read(write.targets, write.found)
                return write
            with snapshot as tx:
                targets = write.targets(tx)
            write.hold(targets)
        write.start()
        return write
