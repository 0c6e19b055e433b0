"""DynamoDB and DynamoDB Streams as services: what of HTTP is theirs, in front of the pipeline that answers them.

Their API is `POST /` with a JSON body; both are signed for "dynamodb" and distinguished by the target header,
which the pipeline reads. Everything else gets AWS's answer to a wrong address. Compiled: every DynamoDB request
comes through here.
"""

from __future__ import annotations

import orjson

from blotter.database.http.messages import Handler, Pending, Request, Response

# Recorded from AWS (dynalite's test/connection.js): what a request gets that is none of DynamoDB's.
NOT_DYNAMODB = Response(404, b"<UnknownOperationException/>\n", (("Content-Type", "application/xml"),))

# What a handler's failure is answered with when nothing more is known.
INTERNAL_ERROR = Response(
    500, b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}'
)

_JSON = ("application/json", "application/x-amz-json-1.0")


class DynamoDBService:
    """Passes requests to the pipeline."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def answer(self, request: Request) -> Response | Pending:
        if request.method == "POST" and request.target[:2] in ("/", "/?"):
            media_type = request.headers.get("content-type")
            if media_type in _JSON or not request.body or _plain(media_type) in _JSON:
                return self._handler(request)
        return NOT_DYNAMODB

    def refuse(self, request: Request, message: str) -> Response:  # noqa: ARG002
        body = {"__type": "com.amazon.coral.service#AccessDeniedException", "message": message}
        return Response(403, orjson.dumps(body))


def health(region: str) -> Response:
    """AWS's answer to `GET /`. The line ends with a blank."""
    line = f"healthy: dynamodb.{region}.amazonaws.com "
    return Response(200, line.encode(), (("Content-Type", "text/plain"),))


def _plain(content_type: str | None) -> str:
    return (content_type or "").split(";", 1)[0].strip()
