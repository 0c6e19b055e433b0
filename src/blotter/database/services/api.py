"""A service other than DynamoDB: reads a request in the service's protocol, runs the operation, writes the answer.

    choose protocol → read → authenticate → find operation → run → write

The order decides which of two errors a request gets. A service without any operation answers each in the same
way, with an error that names the service and the operation. Operations here are small and quick: they run at
once, on the event loop, and touch no storage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.messages import Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.services.errors import ServiceError
from blotter.database.services.form import MAX_BODY
from blotter.database.services.model import load_model
from blotter.database.services.protocols import ServiceProtocol, choose

log = logging.getLogger(__name__)

Operation = Callable[[dict[str, Any], Identity], dict[str, Any]]
"""`operation(arguments, caller)` → the members of its output. Raises ServiceError."""

Authenticate = Callable[[SignedRequest], Identity]


class ApiService:
    """Answers the requests of one service. `name` is that of its model, `operations` its registry."""

    def __init__(self, name: str, operations: Mapping[str, Operation], authenticate: Authenticate) -> None:
        self._name = name
        self._operations = operations
        self._authenticate = authenticate

    def answer(self, request: Request) -> Response:
        """The response to a request. Raises nothing: every failure is a response too."""
        protocol = choose(load_model(self._name), request)
        try:
            return self._run(protocol, request)
        except ServiceError as error:
            return self._error(protocol, request, error)
        except DynamoDBError as error:  # Authentication is shared with DynamoDB, and so is its error.
            return self._error(protocol, request, ServiceError(error.code, error.message, error.status))
        except ContentEncodingError as error:
            log.warning("request %s: %s", request.id, error)
            code = "InternalFailure" if error.status == 500 else "RequestEntityTooLarge"
            return self._error(protocol, request, ServiceError(code, str(error), error.status))
        except Exception:
            log.exception("request %s failed", request.id)
            return self._error(protocol, request, ServiceError("InternalFailure", "Internal failure", 500))

    def refuse(self, request: Request, message: str) -> Response:
        protocol = choose(load_model(self._name), request)
        return self._error(protocol, request, ServiceError("AccessDeniedException", message, 403))

    def _run(self, protocol: ServiceProtocol, request: Request) -> Response:
        model = load_model(self._name)
        if len(request.body) > MAX_BODY:
            raise ServiceError("RequestEntityTooLarge", f"The body is larger than {MAX_BODY} bytes.", 413)
        name, arguments = protocol.read(model, _unpacked(request))
        caller = self._authenticate(request)
        operation = self._operations.get(name)
        if operation is None:
            raise protocol.unknown_operation(model, request, name)
        return protocol.answer(model, request, name, operation(arguments, caller))

    def _error(self, protocol: ServiceProtocol, request: Request, error: ServiceError) -> Response:
        return protocol.error(load_model(self._name), request, error)


def _unpacked(request: Request) -> Request:
    """The request with its body as its protocol reads it. CloudWatch's SDKs compress large bodies."""
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return request
    return msgspec.structs.replace(request, body=unpack(request.body, encoding, MAX_BODY))
