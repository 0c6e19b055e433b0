"""START HERE: the way of a request, one call per stage.

    parse → authenticate → decode → validate → prepare → execute (in a storage transaction) → answer

`Pipeline.answer` is this line. Which of two errors a doubly wrong request gets is decided by the order of these
calls and by nothing else. A point read is answered at once; a write or a long read comes back as `Pending` and is
settled later. Nothing here knows sockets, SQL or a single operation.
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
from blotter.database.operations.access import Access
from blotter.database.operations.conflicts import OngoingTransactions, Target
from blotter.database.operations.context import Context
from blotter.database.operations.registry import OPERATIONS, Operation
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.storage.protocol import (
    ReadTransaction,
    Snapshot,
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

# A member looked up in its enumeration costs 0.1 µs.
_PLANNED, _READ, _WRITE = Access.PLANNED, Access.READ, Access.WRITE


class Pipeline:
    """Answers requests over one store. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        storage: Storage,
        authenticate: Callable[[SignedRequest], Identity],
        *,
        table_delay: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._authenticate = authenticate
        self._table_delay = table_delay
        self._clock = clock
        self._transactions = OngoingTransactions()

    def answer(self, request: Request) -> Response | Pending:
        """The answer, or what it will come as. Raises nothing: every failure is an answer too."""
        try:
            body = request.body
            if "content-encoding" in request.headers:
                body = unpack(body, request.headers["content-encoding"], _MAX_BODY)
            name = parse_target(request.headers.get("x-amz-target"), body)
            identity = self._authenticate(request)
            arguments = decode_request(name, body)
            check_request(name, arguments)
            operation = _operation(name)
            plan = arguments if operation.prepare is None else operation.prepare(arguments)
            host = request.headers.get("host", "")
            context = Context(identity.account, identity.region, self._clock(), self._table_delay, "user", host)
            return self._execute(operation, plan, context, request)
        except Exception as error:
            return _refused(error, request)

    def _execute(self, operation: Operation, plan: Any, context: Context, request: Request) -> Response | Pending:
        access: Access = plan.access if operation.access is _PLANNED else operation.access
        if access is _READ:
            snapshot = self._storage.read()
            if snapshot is None:
                return self._read_later(operation, plan, context, request)
            with snapshot as tx:
                if self._transactions.concern(plan):
                    self._transactions.hold(plan, tx, context)
                return Response(200, operation.execute(plan, tx, context))
        if access is _WRITE:
            return self._write(operation, plan, context, request)
        return self._read_in_slices(operation, plan, context, request)

    def _read_later(self, operation: Operation, plan: Any, context: Context, request: Request) -> Pending:
        """A point read of a store that has to be waited for."""
        pending = Pending()

        def execute(tx: ReadTransaction) -> bytes:
            if self._transactions.concern(plan):
                self._transactions.hold(plan, tx, context)
            body: bytes = operation.execute(plan, tx, context)
            return body

        def settled(body: Any, error: BaseException | None) -> None:
            pending.settle(Response(200, body) if error is None else _refused(error, request))

        self._storage.submit_read(execute, settled)
        return pending

    def _write(self, operation: Operation, plan: Any, context: Context, request: Request) -> Pending:
        write = _Write(operation, plan, context, request, self._transactions)
        if self._transactions.concern(plan):
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
        """Goes on with a write after its items are held, if they are."""
        try:
            if error is not None:
                raise error
            self._submit(write)
        except Exception as failure:
            write.committed(None, failure)

    def _read_in_slices(
        self, operation: Operation, plan: Any, context: Context, request: Request
    ) -> Response | Pending:
        """The first slice at once, which is all for most queries; the rest one by one, others in between."""
        snapshot = self._storage.open_snapshot()
        try:
            slices = operation.execute(plan, snapshot, context)
            next(slices)
        except StopIteration as done:
            snapshot.close()
            return Response(200, done.value)
        except BaseException:
            snapshot.close()
            raise
        return _Slices(slices, snapshot, request)


class _Write(Pending):
    """A write on its way. The storage calls `execute`, perhaps more than once, and `committed` when what came of
    it may be told."""

    __slots__ = ("_context", "_held", "_operation", "_plan", "_request", "_transactions")

    def __init__(
        self,
        operation: Operation,
        plan: Any,
        context: Context,
        request: Request,
        transactions: OngoingTransactions,
    ) -> None:
        super().__init__()
        self._operation = operation
        self._plan = plan
        self._context = context
        self._request = request
        self._transactions = transactions
        self._held: frozenset[Target] = frozenset()

    def hold(self, tx: ReadTransaction) -> None:
        self._held = self._transactions.hold(self._plan, tx, self._context)

    def release(self) -> None:
        self._transactions.release(self._held)

    def execute(self, tx: WriteTransaction) -> bytes:
        answer: bytes = self._operation.execute(self._plan, tx, self._context)
        return answer

    def committed(self, answer: Any, error: BaseException | None) -> None:
        self.release()
        self.settle(Response(200, answer) if error is None else _refused(error, self._request))


class _Slices(Pending):
    """A long read after its first slice: one more in each turn of the event loop, until it is whole."""

    __slots__ = ("_loop", "_request", "_slices", "_snapshot")

    def __init__(self, slices: Generator[None, None, bytes], snapshot: Snapshot, request: Request) -> None:
        super().__init__()
        self._slices = slices
        self._snapshot = snapshot
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        try:
            next(self._slices)
        except StopIteration as done:
            self._end(Response(200, done.value))
        except Exception as error:
            self._end(_refused(error, self._request))
        else:
            self._loop.call_soon(self._next)

    def _end(self, response: Response) -> None:
        try:
            self._snapshot.close()
        finally:
            self.settle(response)


def _operation(name: str) -> Operation:
    operation = OPERATIONS.get(name)
    if operation is None:
        raise DynamoDBError("UnknownOperationException", f"Blotter does not implement {name} yet.")
    return operation


def _refused(error: BaseException, request: Request) -> Response:
    if isinstance(error, DynamoDBError):
        return Response(error.status, encode_error(error))
    if isinstance(error, ContentEncodingError):
        log.warning("request %s: %s", request.id, error)
        body = encode_error(DynamoDBError("InternalServerError", "Internal server error", 500))
        return Response(error.status, body if error.status == 500 else b"")
    if isinstance(error, StorageUnavailable):
        log.warning("request %s: storage unavailable: %s", request.id, error)
    else:
        log.error("request %s failed", request.id, exc_info=error)
    return Response(500, encode_error(DynamoDBError("InternalServerError", "Internal server error", 500)))
