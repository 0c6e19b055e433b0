"""Who is talked to at all, and about what: in front of the pipeline, before authentication.

DynamoDB's API is `POST /`. Load balancers and people ask `GET /` and get AWS's health line; everything else gets
AWS's answer to a wrong address. Under open access, requests that a web page may have caused are turned away here
(`origins.py` has the rules). Knows HTTP and hosts, not operations.
"""

from __future__ import annotations

from blotter.database.http.messages import Handler, Pending, Request, Response
from blotter.database.http.origins import Origins

# Recorded from AWS (dynalite's test/connection.js): what a request gets that is none of DynamoDB's.
NOT_DYNAMODB = Response(404, b"<UnknownOperationException/>\n", (("Content-Type", "application/xml"),))

_JSON = ("application/json", "application/x-amz-json-1.0")


class Gate:
    """A handler that passes DynamoDB requests on to another handler and answers the rest itself.

    `origins` None leaves out the checks against web pages: right where every request must be signed.
    """

    __slots__ = ("_handler", "_health", "_origins")

    def __init__(self, handler: Handler, region: str, origins: Origins | None) -> None:
        self._handler = handler
        self._origins = origins
        # AWS's line ends with a blank.
        self._health = Response(200, f"healthy: dynamodb.{region}.amazonaws.com ".encode(), _PLAIN)

    def __call__(self, request: Request) -> Response | Pending:
        headers = request.headers
        if self._origins is not None:
            refusal = self._origins.refuse(headers.get("host"), headers.get("origin"))
            if refusal is not None:
                return Response(403, refusal)
        if request.method == "POST" and request.target[:2] in ("/", "/?"):
            asked = headers.get("content-type")
            if asked in _JSON or not request.body or _media_type(asked) in _JSON:
                return self._handler(request)
        elif request.method in ("GET", "HEAD"):
            return self._health if request.target == "/" else NOT_DYNAMODB
        return NOT_DYNAMODB


_PLAIN = (("Content-Type", "text/plain"),)


def _media_type(content_type: str | None) -> str:
    return (content_type or "").split(";", 1)[0].strip()
