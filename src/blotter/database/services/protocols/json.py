"""JSON 1.0 and 1.1: the operation in `X-Amz-Target`, everything else in one JSON object.

Example:

    X-Amz-Target: AnyScaleFrontendService.DescribeScalingPolicies     {"ServiceNamespace":"dynamodb"}
    → 400  {"__type":"UnknownOperationException","message":"Blotter does not implement … yet."}

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

from typing import Any

import orjson

from blotter.database.http.messages import Request, Response
from blotter.database.services.errors import ServiceError, serialization_error, unknown_operation
from blotter.database.services.model import Model
from blotter.database.services.protocols import OperationCall, error_members, query_error_header
from blotter.database.services.shapes import typed_input


class JsonProtocol:
    def read(self, model: Model, request: Request) -> OperationCall:
        """Raises UnknownOperationException for a target of another service, SerializationException for a body that
        is no JSON object."""
        prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
        if prefix != model.target or not name:
            raise unknown_operation(model.title, request.headers.get("x-amz-target", ""), known=False)
        try:
            arguments = orjson.loads(request.body or b"{}")
        except orjson.JSONDecodeError:
            raise serialization_error("The body is not JSON.") from None
        if not isinstance(arguments, dict):
            raise serialization_error("The body is not a JSON object.")
        return OperationCall(name, typed_input(model, name, arguments))

    def unknown_operation(self, model: Model, request: Request, name: str) -> ServiceError:  # noqa: ARG002
        return unknown_operation(model.title, name, known=name in model.operations)

    def answer(self, model: Model, request: Request, operation: str, output: dict[str, Any]) -> Response:  # noqa: ARG002
        return Response(200, orjson.dumps(output), _headers(model))

    def error(self, model: Model, request: Request, error: ServiceError) -> Response:  # noqa: ARG002
        headers = (*_headers(model), *query_error_header(model, error))
        return Response(error.status, orjson.dumps(error_members(model, error)), headers)


def _headers(model: Model) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", f"application/x-amz-json-{model.json_version}"),)
