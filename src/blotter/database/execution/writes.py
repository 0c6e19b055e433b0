"""A write under way: in the write lock, in a batch with others.

A heavy one, which exceeds `WORK_IN_LOCK` there, is run ahead on a thread over a snapshot; the write lock then only
confirms that what it read is unchanged, and applies what it wrote (`operations.optimistic`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from blotter.database.execution.job import Job
from blotter.database.http.messages import Pending
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.conflicts import NOTHING_HELD, OngoingTransactions, Targets, targets_of
from blotter.database.operations.operation import OnConflict, Writing
from blotter.database.operations.optimistic import NotOptimistic, OptimisticTransaction
from blotter.database.storage.protocol import UNLIMITED, ReadTransaction, Storage, TooMuchWork, WriteTransaction

WORK_IN_LOCK = 512 * 1024
"""Bytes of large values, as stored, that one handler may decode and encode in the write lock: some 30 ms, if they
consist of the smallest values there are."""
ATTEMPTS = 8
"""How often a heavy write is run ahead before it is refused because other writes keep changing its items."""


class _Outdated(Exception):
    """What a run ahead has read was changed before it could be confirmed."""


class _Ahead(NamedTuple):
    """What came of running a handler on a snapshot: a result or an error, valid when the transaction is
    confirmed."""

    transaction: OptimisticTransaction
    result: Result | None
    error: DynamoDBError | None


class Write(Pending):
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
        self._continue(error, lambda: self._hold_and_start(targets))

    def _hold_and_start(self, targets: Targets) -> None:
        self.hold(targets)
        self.start()

    def start(self) -> None:
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


class HeavyWrite(Write):
    """A write that is known to be heavy before it begins, because of what its request holds: a condition may
    compare a million values."""

    __slots__ = ()

    def start(self) -> None:
        self._continue(None, self._run_ahead)
