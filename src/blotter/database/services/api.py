"""A service other than DynamoDB: reads a request in the service's protocol, runs the operation, writes the answer.

    choose protocol → read → authenticate → find operation → run → write → record

The order decides which of two errors a request gets. A service without any operation answers each in the same
way, with an error that names the service and the operation. An operation says what it needs of the store:

    Direct     nothing; it runs at once, on the event loop
    Reading    a snapshot; it runs at once unless the store is across a network
    Writing    a serializable write transaction; it is answered after the commit that holds it was synced
    Apart      files that it reads; it runs on a thread

A handler over the store may be run more than once; what it wrote before it raised is rolled back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from blotter.database.audit.finished import Finished
from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity
from blotter.database.services.errors import ServiceError
from blotter.database.services.form import MAX_BODY
from blotter.database.services.model import Model, load_model
from blotter.database.services.protocols import OperationCall, ServiceProtocol, choose
from blotter.database.storage.at_hand import NotAtHand
from blotter.database.storage.protocol import ReadTransaction, Storage, StorageUnavailable, WriteTransaction
from blotter.database.work_thread import WorkThread

log = logging.getLogger(__name__)

SMALL_BODY = 8 * 1024
"""Bodies of more bytes are read after authentication."""
LARGE_BODY = 64 * 1024
"""Bodies of more bytes are read on a thread: those of a megabyte take up to half a second."""

Output = dict[str, Any]
"""The members of an operation's output."""


class Call(msgspec.Struct, frozen=True):
    """One call of an operation. `now` is in seconds since the epoch, the same for every run of its handler."""

    operation: str
    arguments: dict[str, Any]
    caller: Identity
    now: float
    request: Request


class Direct(msgspec.Struct, frozen=True):
    """An operation that needs no store. Raises ServiceError."""

    run: Callable[[Call], Output]


class Reading(msgspec.Struct, frozen=True):
    """An operation that reads the store. Raises ServiceError. With `heavy` it runs on the store's thread for long
    computations, where nobody waits for it."""

    run: Callable[[Call, ReadTransaction], Output]
    heavy: bool = False


class Writing(msgspec.Struct, frozen=True):
    """An operation that changes the store. Raises ServiceError, and nothing is changed then."""

    run: Callable[[Call, WriteTransaction], Output]


class Apart(msgspec.Struct, frozen=True):
    """An operation that reads files, on a thread of the service, one after another. Raises ServiceError."""

    run: Callable[[Call], Output]


Operation = Direct | Reading | Writing | Apart

Authenticate = Callable[[Request], Identity]


class Audit(Protocol):
    """Records requests."""

    @property
    def failing(self) -> bool:
        """Whether requests cannot be recorded at present, and so must be refused."""

    def finished(self, finished: Finished, answer: Response, refusal: Response) -> Response | Pending:
        """The answer once the request is recorded; `refusal` if it cannot be."""


class ApiService:
    """Answers the requests of one service. `name` is that of its model; `load` makes its registry, on the first
    request to the service."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Mapping[str, Operation]],
        authenticate: Authenticate,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        audit: Audit | None = None,
    ) -> None:
        self._audit = audit
        self._name = name
        self._load = load
        self._operations: Mapping[str, Operation] | None = None
        self._thread: WorkThread | None = None
        self._reader: WorkThread | None = None
        self._authenticate = authenticate
        self._storage = storage
        self._clock = clock

    def answer(self, request: Request) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises nothing: every failure is a response
        too."""
        model = load_model(self._name)
        ending = _Ending(model, choose(model, request), request, self._clock(), self._audit)
        try:
            return self._run(model, ending)
        except NotAtHand as needed:
            return self._again(request, needed, ending)
        except Exception as error:
            return ending.failed(error)

    def _again(self, request: Request, needed: NotAtHand, ending: _Ending) -> Pending:
        """Answers the request once the store was read."""
        pending = Pending()

        def read(found: Any, error: BaseException | None) -> None:
            if error is None:
                needed.use(found, lambda: pending.settle_with(self.answer(request)))
            else:
                pending.settle_with(ending.failed(error))

        self._storage.submit_read(needed.read, read)
        return pending

    def refuse(self, request: Request, message: str) -> Response:
        model = load_model(self._name)
        error = ServiceError("AccessDeniedException", message, 403)
        return choose(model, request).error(model, request, error)

    def _run(self, model: Model, ending: _Ending) -> Response | Pending:
        request, protocol = ending.request, ending.protocol
        if len(request.body) > MAX_BODY:
            raise ServiceError("RequestEntityTooLarge", f"The body is larger than {MAX_BODY} bytes.", 413)
        if len(request.body) > SMALL_BODY or "content-encoding" in request.headers:
            # Whoever is refused causes no work on a large body.
            ending.caller = self._authenticate(request)
        unpacked = _unpacked(request)
        if len(unpacked.body) > LARGE_BODY:
            return self._read_on_thread(model, ending, unpacked)
        read = protocol.read(model, unpacked)
        if ending.caller is None:
            ending.operation, ending.arguments = read
            ending.caller = self._authenticate(request)
        return self._execute(model, ending, read, ending.caller)

    def _read_on_thread(self, model: Model, ending: _Ending, unpacked: Request) -> Pending:
        """Reads a large body, and executes the request back on the event loop."""
        if self._reader is None:
            self._reader = WorkThread(f"{self._name}-bodies", computes=True)
        pending = Pending()
        found: list[OperationCall] = []

        def read() -> None:
            found.append(ending.protocol.read(model, unpacked))

        def execute(error: BaseException | None) -> None:
            answer: Response | Pending
            try:
                if error is not None:
                    raise error
                assert ending.caller is not None  # large bodies are read after authentication
                answer = self._execute(model, ending, found.pop(), ending.caller)
            except NotAtHand as needed:
                answer = self._again(ending.request, needed, ending)
            except Exception as failure:
                answer = ending.failed(failure)
            pending.settle_with(answer)

        self._reader.run(asyncio.get_running_loop(), read, execute)
        return pending

    def _execute(
        self, model: Model, ending: _Ending, read_call: OperationCall, caller: Identity
    ) -> Response | Pending:
        request, protocol = ending.request, ending.protocol
        name, arguments = read_call
        ending.operation, ending.arguments = name, arguments
        operation = self._find(name)
        if operation is None:
            raise protocol.unknown_operation(model, request, name)
        if self._audit is not None and self._audit.failing:
            raise ServiceError("InternalFailure", "Internal failure", 500)
        call = Call(name, arguments, caller, ending.at, request)
        if isinstance(operation, Direct):
            return ending.succeeded(operation.run(call))
        running = _Running(ending)
        if isinstance(operation, Apart):
            apart = operation.run
            self._on_thread(lambda: apart(call), running.ended)
            return running.answer
        if isinstance(operation, Writing):
            write = operation.run
            self._storage.submit(lambda tx: write(call, tx), running.ended)
            return running.answer
        read = operation.run
        if operation.heavy:
            self._storage.submit_aside(lambda tx: read(call, tx), running.ended)
            return running.answer
        snapshot = self._storage.read()
        if snapshot is None:
            self._storage.submit_read(lambda tx: read(call, tx), running.ended)
            return running.answer
        with snapshot as tx:
            output = read(call, tx)
        return ending.succeeded(output)

    def _on_thread(self, work: Callable[[], Output], ended: Callable[[Any, BaseException | None], None]) -> None:
        if self._thread is None:
            self._thread = WorkThread(self._name)
        results: list[Output] = []
        self._thread.run(
            asyncio.get_running_loop(),
            lambda: results.append(work()),
            lambda error: ended(results[0] if results else None, error),
        )

    def _find(self, name: str) -> Operation | None:
        if self._operations is None:
            self._operations = self._load()
        return self._operations.get(name)


class _Ending:
    """How one request ends: its response, and its record. It learns of the request while it is read."""

    __slots__ = ("_audit", "_model", "arguments", "at", "caller", "operation", "protocol", "request")

    def __init__(
        self, model: Model, protocol: ServiceProtocol, request: Request, at: float, audit: Audit | None
    ) -> None:
        self._model = model
        self._audit = audit
        self.protocol = protocol
        self.request = request
        self.at = at
        self.operation = ""
        self.arguments: dict[str, Any] = {}
        self.caller: Identity | None = None

    def succeeded(self, output: Output) -> Response | Pending:
        answer = self.protocol.answer(self._model, self.request, self.operation, output)
        return self._recorded(answer, output, None)

    def failed(self, error: BaseException) -> Response | Pending:
        refusal = _refusal(self.request, error)
        answer = self.protocol.error(self._model, self.request, refusal)
        return self._recorded(answer, None, (refusal.code, refusal.message))

    def _recorded(
        self, answer: Response, output: Output | None, error: tuple[str, str] | None
    ) -> Response | Pending:
        if self._audit is None or self.operation not in self._model.operations:
            return answer
        finished = Finished(
            self._model.scope,
            self._model.version,
            self.operation,
            self.arguments,
            self.request,
            self.at,
            self.caller,
            output,
            error,
        )
        unrecorded = ServiceError("InternalFailure", "Internal failure", 500)
        return self._audit.finished(finished, answer, self.protocol.error(self._model, self.request, unrecorded))


class _Running:
    """An operation that ends later. It has its answer and is none: an interpreted class cannot inherit from a
    compiled one."""

    __slots__ = ("_ending", "answer")

    def __init__(self, ending: _Ending) -> None:
        self._ending = ending
        self.answer = Pending()

    def ended(self, output: Any, error: BaseException | None) -> None:
        """Settles it with what the operation returned or raised."""
        try:
            if error is not None:
                raise error
            self.answer.settle_with(self._ending.succeeded(output))
        except Exception as failure:
            self.answer.settle_with(self._ending.failed(failure))


def _refusal(request: Request, error: BaseException) -> ServiceError:
    """An error as the client sees it. What is no refusal is logged, and the client learns nothing about it."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, DynamoDBError):  # Authentication is shared with DynamoDB, and so is its error.
        return ServiceError(error.code, error.message, error.status)
    if isinstance(error, ContentEncodingError):
        log.warning("request %s: %s", request.id, error)
        code = "InternalFailure" if error.status == 500 else "RequestEntityTooLarge"
        return ServiceError(code, str(error), error.status)
    if isinstance(error, StorageUnavailable):
        log.warning("request %s: storage unavailable: %s", request.id, error)
    else:
        log.error("request %s failed", request.id, exc_info=error)
    return ServiceError("InternalFailure", "Internal failure", 500)


def _unpacked(request: Request) -> Request:
    """The request with its body as its protocol reads it. CloudWatch's SDKs compress large bodies."""
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    return request.with_body(unpack(request.body, encoding, MAX_BODY))
