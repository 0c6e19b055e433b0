"""A service other than DynamoDB: reads a request in the service's protocol, runs the operation, writes the answer.

    choose protocol → read → authenticate → find operation → run → write

The order decides which of two errors a request gets. A service without any operation answers each in the same
way, with an error that names the service and the operation. An operation says what it needs of the store:

    Direct     nothing; it runs at once, on the event loop
    Reading    a snapshot; it runs at once unless the store is across a network
    Writing    a serializable write transaction; it is answered after the commit that holds it was synced

A handler over the store may be run more than once; what it wrote before it raised is rolled back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.services.errors import ServiceError
from blotter.database.services.form import MAX_BODY
from blotter.database.services.model import Model, load_model
from blotter.database.services.protocols import ServiceProtocol, choose
from blotter.database.storage.protocol import ReadTransaction, Storage, StorageUnavailable, WriteTransaction

log = logging.getLogger(__name__)

SMALL_BODY = 8 * 1024
"""Bodies of more bytes are read after authentication."""

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


Operation = Direct | Reading | Writing

Authenticate = Callable[[SignedRequest], Identity]


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
    ) -> None:
        self._name = name
        self._load = load
        self._operations: Mapping[str, Operation] | None = None
        self._authenticate = authenticate
        self._storage = storage
        self._clock = clock

    def answer(self, request: Request) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises nothing: every failure is a response
        too."""
        model = load_model(self._name)
        protocol = choose(model, request)
        try:
            return self._run(model, protocol, request)
        except Exception as error:
            return _failed(model, protocol, request, error)

    def refuse(self, request: Request, message: str) -> Response:
        model = load_model(self._name)
        error = ServiceError("AccessDeniedException", message, 403)
        return choose(model, request).error(model, request, error)

    def _run(self, model: Model, protocol: ServiceProtocol, request: Request) -> Response | Pending:
        if len(request.body) > MAX_BODY:
            raise ServiceError("RequestEntityTooLarge", f"The body is larger than {MAX_BODY} bytes.", 413)
        caller = None
        if len(request.body) > SMALL_BODY or "content-encoding" in request.headers:
            caller = self._authenticate(request)  # whoever is refused causes no work on a large body
        name, arguments = protocol.read(model, _unpacked(request))
        if caller is None:
            caller = self._authenticate(request)
        operation = self._find(name)
        if operation is None:
            raise protocol.unknown_operation(model, request, name)
        call = Call(name, arguments, caller, self._clock(), request)
        if isinstance(operation, Direct):
            return protocol.answer(model, request, name, operation.run(call))
        running = _Running(model, protocol, call)
        if isinstance(operation, Writing):
            write = operation.run
            self._storage.submit(lambda tx: write(call, tx), running.ended)
            return running
        read = operation.run
        if operation.heavy:
            self._storage.submit_aside(lambda tx: read(call, tx), running.ended)
            return running
        snapshot = self._storage.read()
        if snapshot is None:
            self._storage.submit_read(lambda tx: read(call, tx), running.ended)
            return running
        with snapshot as tx:
            return protocol.answer(model, request, name, read(call, tx))

    def _find(self, name: str) -> Operation | None:
        if self._operations is None:
            self._operations = self._load()
        return self._operations.get(name)


class _Running(Pending):
    """The answer of an operation that the store runs."""

    __slots__ = ("_call", "_model", "_protocol")

    def __init__(self, model: Model, protocol: ServiceProtocol, call: Call) -> None:
        super().__init__()
        self._model = model
        self._protocol = protocol
        self._call = call

    def ended(self, output: Any, error: BaseException | None) -> None:
        """Settles it with what the operation returned or raised."""
        request = self._call.request
        try:
            if error is not None:
                raise error
            self.settle(self._protocol.answer(self._model, request, self._call.operation, output))
        except Exception as failure:
            self.settle(_failed(self._model, self._protocol, request, failure))


def _failed(model: Model, protocol: ServiceProtocol, request: Request, error: Exception) -> Response:
    """The response to an error. What is no refusal is logged, and the client learns nothing about it."""
    if isinstance(error, ServiceError):
        refusal = error
    elif isinstance(error, DynamoDBError):  # Authentication is shared with DynamoDB, and so is its error.
        refusal = ServiceError(error.code, error.message, error.status)
    elif isinstance(error, ContentEncodingError):
        log.warning("request %s: %s", request.id, error)
        code = "InternalFailure" if error.status == 500 else "RequestEntityTooLarge"
        refusal = ServiceError(code, str(error), error.status)
    else:
        if isinstance(error, StorageUnavailable):
            log.warning("request %s: storage unavailable: %s", request.id, error)
        else:
            log.error("request %s failed", request.id, exc_info=error)
        refusal = ServiceError("InternalFailure", "Internal failure", 500)
    return protocol.error(model, request, refusal)


def _unpacked(request: Request) -> Request:
    """The request with its body as its protocol reads it. CloudWatch's SDKs compress large bodies."""
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    return request.with_body(unpack(request.body, encoding, MAX_BODY))
