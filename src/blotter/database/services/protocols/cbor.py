"""Smithy RPC v2 CBOR: the operation in the path, everything else in one CBOR map. CloudWatch's SDKs use it.

Example (CBOR in diagnostic notation):

    POST /service/GraniteServiceVersion20100801/operation/ListMetrics    smithy-protocol: rpc-v2-cbor
    {"Namespace": "AWS/DynamoDB"}
    → 400  {"__type": "UnknownOperationException", "message": "Blotter does not implement … yet."}

Bodies come from any client, and CBOR has tags that build more than plain data (regular expressions, shared
references, numbers of any length): only timestamps, big integers and decimal fractions are read, which is all
that the protocol uses. `cbor2` bounds the nesting and reads no more than is there, whatever length a body
announces. Source: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import io
from typing import Any

import cbor2

from blotter.database.http.messages import Request, Response
from blotter.database.services.errors import ServiceError, serialization_error, unknown_operation
from blotter.database.services.form import RPC_PATH
from blotter.database.services.model import Model
from blotter.database.services.protocols import OperationCall, error_members, query_error_header
from blotter.database.services.shapes import typed_input, with_timestamps

_HEADERS = (("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"))
_MAX_DEPTH = 64


class CborProtocol:
    def read(self, model: Model, request: Request) -> OperationCall:
        """Raises UnknownOperationException for a path of another form or service, SerializationException for a
        body that is no CBOR map."""
        match = RPC_PATH.fullmatch(request.target)
        if match is None or match[1] != model.target:
            raise unknown_operation(model.title, request.target, known=False)
        arguments = _load(request.body) if request.body else {}
        return OperationCall(match[2], typed_input(model, match[2], arguments))

    def unknown_operation(self, model: Model, request: Request, name: str) -> ServiceError:  # noqa: ARG002
        return unknown_operation(model.title, name, known=name in model.operations)

    def answer(self, model: Model, request: Request, operation: str, output: dict[str, Any]) -> Response:  # noqa: ARG002
        shape = model.operations[operation].output
        tagged = with_timestamps(model, shape, output, _tagged) if shape else output
        return Response(200, cbor2.dumps(tagged), _HEADERS)

    def error(self, model: Model, request: Request, error: ServiceError) -> Response:  # noqa: ARG002
        headers = (*_HEADERS, *query_error_header(model, error))
        return Response(error.status, cbor2.dumps(error_members(model, error)), headers)


def _tagged(seconds: float) -> cbor2.CBORTag:
    """A timestamp: seconds since the epoch."""
    return cbor2.CBORTag(1, seconds)


def _load(body: bytes) -> dict[str, Any]:
    stream = io.BytesIO(body)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=_REFUSED_TAGS,
        max_depth=_MAX_DEPTH,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except cbor2.CBORDecodeError as error:
        raise serialization_error(f"The body is not CBOR: {error}") from None
    if stream.tell() != len(body):
        raise serialization_error("The body is more than one CBOR value.")
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise serialization_error("The body is not a CBOR map with text keys.")
    return value


def _refuse_tag(*_: Any) -> Any:
    raise cbor2.CBORDecodeError("a tag that the protocol does not use")


# What `cbor2` would decode by itself: dates as text, bigfloats, shared and string references, rationals, regular
# expressions, MIME, UUIDs, addresses, sets, complex numbers.
_REFUSED_TAGS = dict.fromkeys(
    (0, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)
