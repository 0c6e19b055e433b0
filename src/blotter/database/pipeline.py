"""START HERE: the way of a request, one call per stage.

    parse → authenticate → decode → validate → prepare → execute (in a storage transaction) → answer

`Pipeline.answer` is this line. Which of two errors a doubly wrong request gets is decided by the order of these
calls and by nothing else. A point read is answered at once; a write or a long read comes back as a coroutine,
which the HTTP server waits for. Nothing here knows sockets, SQL or a single operation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from blotter.database.http.messages import Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.access import Access
from blotter.database.operations.conflicts import OngoingTransactions, Target
from blotter.database.operations.context import Context
from blotter.database.operations.registry import OPERATIONS, Operation
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.storage.protocol import Snapshot, Storage, StorageUnavailable
from blotter.database.validation import check_request
from blotter.database.wire.decode import decode_request
from blotter.database.wire.encode import encode_error
from blotter.database.wire.target import parse_target

log = logging.getLogger(__name__)

Answer = Response | Coroutine[Any, Any, Response]


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

    def answer(self, request: Request) -> Answer:
        """The answer, or what to await for it. Raises nothing: every failure is an answer too."""
        try:
            name = parse_target(request.headers.get("x-amz-target"), request.body)
            identity = self._authenticate(request)
            arguments = decode_request(name, request.body)
            check_request(name, arguments)
            operation = _operation(name)
            plan = arguments if operation.prepare is None else operation.prepare(arguments)
            host = request.headers.get("host", "")
            context = Context(identity.account, identity.region, self._clock(), self._table_delay, "user", host)
            return self._execute(operation, plan, context, request)
        except Exception as error:
            return _refused(error, request)

    def _execute(self, operation: Operation, plan: Any, context: Context, request: Request) -> Answer:
        access: Access = plan.access if operation.access is Access.PLANNED else operation.access
        match access:
            case Access.READ:
                with self._storage.read() as tx:
                    if self._transactions.concern(plan):
                        self._transactions.hold(plan, tx, context)
                    return Response(200, operation.execute(plan, tx, context))
            case Access.WRITE:
                return self._write(operation, plan, context, request)
            case _:
                return self._read_in_slices(operation, plan, context, request)

    async def _write(self, operation: Operation, plan: Any, context: Context, request: Request) -> Response:
        held: frozenset[Target] = frozenset()
        try:
            if self._transactions.concern(plan):
                with self._storage.read() as tx:
                    held = self._transactions.hold(plan, tx, context)
            return Response(200, await self._storage.write(lambda tx: operation.execute(plan, tx, context)))
        except Exception as error:
            return _refused(error, request)
        finally:
            self._transactions.release(held)

    def _read_in_slices(self, operation: Operation, plan: Any, context: Context, request: Request) -> Answer:
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
        return _remaining_slices(slices, snapshot, request)


async def _remaining_slices(
    slices: Generator[None, None, bytes], snapshot: Snapshot, request: Request
) -> Response:
    try:
        while True:
            await asyncio.sleep(0)
            next(slices)
    except StopIteration as done:
        return Response(200, done.value)
    except Exception as error:
        return _refused(error, request)
    finally:
        snapshot.close()


def _operation(name: str) -> Operation:
    operation = OPERATIONS.get(name)
    if operation is None:
        raise DynamoDBError("UnknownOperationException", f"Blotter does not implement {name} yet.")
    return operation


def _refused(error: Exception, request: Request) -> Response:
    if isinstance(error, DynamoDBError):
        return Response(error.status, encode_error(error))
    if isinstance(error, StorageUnavailable):
        log.warning("request %s: storage unavailable: %s", request.id, error)
    else:
        log.error("request %s failed", request.id, exc_info=error)
    return Response(500, encode_error(DynamoDBError("InternalServerError", "Internal server error", 500)))
