"""How services put requests and answers into bytes: one module for each of AWS's protocols.

Each reads an operation's name and its input out of a request, and writes an answer or an error. A client's
headers show which one it uses; `choose` finds it among those that the service's model names. Nothing here does
I/O or depends on an operation.

| protocol | request | answer |
| --- | --- | --- |
| `json` 1.0, 1.1 | `X-Amz-Target: <target>.<operation>`, JSON body | JSON |
| `query` | `Action=<operation>&Version=<version>` as a form or in the URL | XML |
| `smithy-rpc-v2-cbor` | `/service/<target>/operation/<operation>`, `smithy-protocol: rpc-v2-cbor`, CBOR | CBOR |
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from blotter.database.http.messages import Request, Response
from blotter.database.services.errors import ServiceError
from blotter.database.services.model import Model


class OperationCall(NamedTuple):
    """What a request contains: an operation's name and the members of its input, not yet checked to exist."""

    operation: str
    arguments: dict[str, Any]


class ServiceProtocol(Protocol):
    """One way of speaking to services."""

    def read(self, model: Model, request: Request) -> OperationCall:
        """The operation and its input. Raises ServiceError for what cannot be read."""

    def unknown_operation(self, model: Model, request: Request, name: str) -> ServiceError:
        """The error for an operation that is not implemented, or does not exist."""

    def answer(self, model: Model, request: Request, operation: str, output: dict[str, Any]) -> Response:
        """The output of an operation as a 200."""

    def error(self, model: Model, request: Request, error: ServiceError) -> Response:
        """A refusal."""


def choose(model: Model, request: Request) -> ServiceProtocol:
    """The protocol of a request to a service; of one that shows none, the first that the model names."""
    name = _spoken(request)
    if name not in model.protocols:
        name = model.protocols[0]
    if name == "query":
        from blotter.database.services.protocols.query import QueryProtocol

        return QueryProtocol()
    if name == "smithy-rpc-v2-cbor":
        from blotter.database.services.protocols.cbor import CborProtocol

        return CborProtocol()
    from blotter.database.services.protocols.json import JsonProtocol

    return JsonProtocol()


def _spoken(request: Request) -> str:
    if request.headers.get("smithy-protocol", "") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    if "x-amz-target" in request.headers:
        return "json"
    return "query"


# What JSON and CBOR answers share.

_COMMON = {"ValidationException": "com.amazon.coral.validate#"}


def error_members(model: Model, error: ServiceError) -> dict[str, str]:
    """The members of a refusal: its type, with the namespace of a service that has one, and its message, if it has
    one."""
    namespace = _COMMON.get(error.code, model.error_namespace) if error.code in model.errors else ""
    members = {"__type": f"{namespace}{error.code}"}
    return members | {"message": error.message} if error.message else members


def query_error_header(model: Model, error: ServiceError) -> tuple[tuple[str, str], ...]:
    """What tells a client of the newer protocols how the query protocol calls an error, for services that spoke it
    before."""
    if not model.query_compatible:
        return ()
    fault = "Sender" if error.status < 500 else "Receiver"
    return (("x-amzn-query-error", f"{model.errors.get(error.code, error.code)};{fault}"),)
