"""START HERE: the way of a request, one call per stage.

    parse → authenticate → decode → validate → prepare → execute (in a storage transaction) → account → response

`Pipeline.answer` is this line. Which of two errors a doubly wrong request gets is decided by the order of these
calls and by nothing else. A point read is answered at once; a write or a long read is answered with a `Pending`
that is settled later. Whatever becomes of a request, `account` is told: what it was, what its plan touches, and
its result with the capacity it consumed, or its error. Nothing here knows sockets, SQL or a single operation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.conflicts import NOTHING_HELD, OngoingTransactions
from blotter.database.operations.context import Context
from blotter.database.operations.operation import Operation, Reading, Slicing, Writing
from blotter.database.operations.registry import OPERATIONS
from blotter.database.operations.touches import Plan
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.storage.protocol import (
    ReadTransaction,
    Snapshot,
    SnapshotTooOld,
    Storage,
    StorageUnavailable,
    WriteTransaction,
)
from blotter.database.validation import check_request
from blotter.database.wire.decode import decode_request
from blotter.database.wire.encode import encode_error
from blotter.database.wire.target import parse_target

log = logging.getLogger(__name__)

# An unpacked body may be as large as a plain one.
_MAX_BODY = Limits().body
_MOST_ATTEMPTS = 3

Account = Callable[[Request, "Context | None", "Plan | None", "Result | DynamoDBError"], None]
"""Called once for every request that ends, before its response leaves. There is no context when the request failed
before or in authentication, and no plan when it failed before it had one."""


class Pipeline:
    """Answers requests over one store. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        storage: Storage,
        authenticate: Callable[[SignedRequest], Identity],
        *,
        table_delay: float = 0.0,
        clock: Callable[[], float] = time.time,
        account: Account | None = None,
    ) -> None:
        self._storage = storage
        self._authenticate = authenticate
        self._table_delay = table_delay
        self._clock = clock
        self._account = account
        self._transactions = OngoingTransactions()

    def answer(self, request: Request) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises nothing: every failure is a response
        too."""
        context: Context | None = None
        plan: Plan | None = None
        try:
            body = request.body
            if "content-encoding" in request.headers:
                body = unpack(body, request.headers["content-encoding"], _MAX_BODY)
            name = parse_target(request.headers.get("x-amz-target"), body)
            identity = self._authenticate(request)
            context = Context(
                identity.account,
                identity.region,
                self._clock(),
                self._table_delay,
                "user",
                request.headers.get("host", ""),
                name,
                identity,
            )
            arguments = decode_request(name, body)
            check_request(name, arguments)
            operation = _operation(name)
            plan = operation.prepare(arguments)
            return self._execute(operation.execution(plan), plan, context, request)
        except Exception as error:
            return self.failed(error, request, context, plan)

    def _execute(
        self, execution: Reading[Any] | Slicing[Any] | Writing[Any], plan: Plan, context: Context, request: Request
    ) -> Response | Pending:
        if isinstance(execution, Reading):
            snapshot = self._storage.read()
            if snapshot is None:
                return self._read_later(execution, plan, context, request)
            with snapshot as tx:
                if self._transactions.concern_read(execution):
                    self._transactions.refuse(plan, tx, context)
                result: Result = execution.execute(plan, tx, context)
            return self.succeeded(result, request, context, plan)
        if isinstance(execution, Writing):
            return self._write(execution, plan, context, request)
        return self._read_in_slices(execution, plan, context, request)

    def _read_later(self, reading: Reading[Any], plan: Plan, context: Context, request: Request) -> Pending:
        """A point read of a store that is asked over a network."""
        pending = Pending()

        def execute(tx: ReadTransaction) -> Result:
            if self._transactions.concern_read(reading):
                self._transactions.refuse(plan, tx, context)
            return reading.execute(plan, tx, context)

        def settled(result: Any, error: BaseException | None) -> None:
            if error is None:
                pending.settle(self.succeeded(result, request, context, plan))
            else:
                pending.settle(self.failed(error, request, context, plan))

        self._storage.submit_read(execute, settled)
        return pending

    def _write(self, writing: Writing[Any], plan: Plan, context: Context, request: Request) -> Pending:
        write = _Write(self, writing, plan, context, request, self._transactions)
        if self._transactions.concern_write(writing):
            snapshot = self._storage.read()
            if snapshot is None:
                self._storage.submit_read(write.hold, partial(self._submit_held, write))
                return write
            with snapshot as tx:
                write.hold(tx)
        self._submit(write)
        return write

    def _submit(self, write: _Write) -> None:
        try:
            self._storage.submit(write.execute, write.committed)
        except BaseException:
            write.release()
            raise

    def _submit_held(self, write: _Write, _: Any, error: BaseException | None) -> None:
        """Continues a write after its items are held, unless one belongs to another transaction."""
        try:
            if error is not None:
                raise error
            self._submit(write)
        except Exception as failure:
            write.committed(None, failure)

    def _read_in_slices(
        self, slicing: Slicing[Any], plan: Plan, context: Context, request: Request
    ) -> Response | Pending:
        """The first slice at once, which is all for most queries; the rest one by one, others in between."""
        snapshot = self._storage.open_snapshot()
        try:
            slices = slicing.execute(plan, snapshot, context)
            next(slices)
        except StopIteration as done:
            snapshot.close()
            return self.succeeded(done.value, request, context, plan)
        except SnapshotTooOld:
            snapshot.close()
            return _Slices(self, slicing, plan, context, request, self._storage)
        except BaseException:
            snapshot.close()
            raise
        pending = _Slices(self, slicing, plan, context, request, self._storage)
        pending.resume(snapshot, slices)
        return pending

    # How requests end

    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response:
        if self._account is not None:
            self._account(request, context, plan, result)
        return Response(200, result.body)

    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response:
        """The response to an error. One that is no DynamoDBError is logged and becomes InternalServerError."""
        refusal = _refusal(error, request)
        if self._account is not None:
            self._account(request, context, plan, refusal)
        return Response(refusal.status, encode_error(refusal) if _has_body(error) else b"")


class _Write(Pending):
    """A write under way. The storage calls `execute`, perhaps more than once, and then `committed` with what the
    last run returned or raised."""

    __slots__ = ("_context", "_held", "_pipeline", "_plan", "_request", "_transactions", "_writing")

    def __init__(
        self,
        pipeline: Pipeline,
        writing: Writing[Any],
        plan: Plan,
        context: Context,
        request: Request,
        transactions: OngoingTransactions,
    ) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._writing = writing
        self._plan = plan
        self._context = context
        self._request = request
        self._transactions = transactions
        self._held = NOTHING_HELD

    def hold(self, tx: ReadTransaction) -> None:
        self._held = self._transactions.hold(self._writing, self._plan, tx, self._context)

    def release(self) -> None:
        self._transactions.release(self._held)

    def execute(self, tx: WriteTransaction) -> Result:
        result: Result = self._writing.execute(self._plan, tx, self._context)
        return result

    def committed(self, result: Any, error: BaseException | None) -> None:
        self.release()
        if error is None:
            self.settle(self._pipeline.succeeded(result, self._request, self._context, self._plan))
        else:
            self.settle(self._pipeline.failed(error, self._request, self._context, self._plan))


class _Slices(Pending):
    """A long read: one slice more in each iteration of the event loop, until it is complete.

    A read whose snapshot ended before it had read anything (the process may have been suspended meanwhile) starts
    over with another snapshot, a few times at most.
    """

    __slots__ = (
        "_attempts",
        "_context",
        "_loop",
        "_pipeline",
        "_plan",
        "_request",
        "_slices",
        "_slicing",
        "_snapshot",
        "_storage",
    )

    def __init__(
        self,
        pipeline: Pipeline,
        slicing: Slicing[Any],
        plan: Plan,
        context: Context,
        request: Request,
        storage: Storage,
    ) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._slicing = slicing
        self._plan = plan
        self._context = context
        self._request = request
        self._storage = storage
        self._attempts = 1
        self._snapshot: Snapshot | None = None
        self._slices: Generator[None, None, Result] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._next)

    def resume(self, snapshot: Snapshot, slices: Generator[None, None, Result]) -> None:
        """Goes on from a first slice."""
        self._snapshot = snapshot
        self._slices = slices

    def _next(self) -> None:
        try:
            if self._slices is None:
                self._snapshot = self._storage.open_snapshot()
                self._slices = self._slicing.execute(self._plan, self._snapshot, self._context)
            next(self._slices)
        except StopIteration as done:
            self._end(self._pipeline.succeeded(done.value, self._request, self._context, self._plan))
        except Exception as error:
            if isinstance(error, SnapshotTooOld) and self._attempts < _MOST_ATTEMPTS:
                self._attempts += 1
                self._close()
                self._slices = None
                self._loop.call_soon(self._next)
            else:
                self._end(self._pipeline.failed(error, self._request, self._context, self._plan))
        else:
            self._loop.call_soon(self._next)

    def _close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _end(self, response: Response) -> None:
        try:
            self._close()
        finally:
            self.settle(response)


def _operation(name: str) -> Operation[Any, Any]:
    operation = OPERATIONS.get(name)
    if operation is None:
        raise DynamoDBError("UnknownOperationException", f"Blotter does not implement {name} yet.")
    return operation


def _has_body(error: BaseException) -> bool:
    return not isinstance(error, ContentEncodingError) or error.status == 500


def _refusal(error: BaseException, request: Request) -> DynamoDBError:
    if isinstance(error, DynamoDBError):
        return error
    if isinstance(error, ContentEncodingError):
        log.warning("request %s: %s", request.id, error)
        return DynamoDBError("InternalServerError", "Internal server error", error.status)
    if isinstance(error, StorageUnavailable):
        log.warning("request %s: storage unavailable: %s", request.id, error)
    else:
        log.error("request %s failed", request.id, exc_info=error)
    return DynamoDBError("InternalServerError", "Internal server error", 500)
