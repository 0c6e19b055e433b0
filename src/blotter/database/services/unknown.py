"""What is signed for a service that is not served here: an error that names it, in the form its client can read.

With `AWS_ENDPOINT_URL` alone, every client of a program comes to this port: S3's and Lambda's too. They find out
at once, and by name, that they need an endpoint of their own (`AWS_ENDPOINT_URL_S3`).
"""

from __future__ import annotations

import orjson

from blotter.database.http.messages import Request, Response
from blotter.database.services.errors import shortened
from blotter.database.services.protocols.query import as_text


class UnknownService:
    """Answers requests to the service named `scope` (its name in the credential's scope)."""

    def __init__(self, scope: str) -> None:
        self._scope = scope

    def answer(self, request: Request) -> Response:
        variable = f"AWS_ENDPOINT_URL_{self._scope.upper().replace('-', '_')}"
        return self._error(
            request,
            501,
            "NotImplemented",
            f"This is Blotter, which does not serve '{shortened(self._scope)}'. "
            f"Give its clients an endpoint of their own, for instance with {variable}.",
        )

    def refuse(self, request: Request, message: str) -> Response:
        return self._error(request, 403, "AccessDenied", message)

    def _error(self, request: Request, status: int, code: str, message: str) -> Response:
        """JSON for a client that sent JSON or a target; else the XML that S3 and the query services share."""
        media_type = request.headers.get("content-type", "")
        if "x-amz-target" in request.headers or "json" in media_type:
            return Response(status, orjson.dumps({"__type": code, "message": message}))
        text = f"<Code>{as_text(code)}</Code><Message>{as_text(message)}</Message>"
        if media_type.startswith("application/x-www-form-urlencoded"):
            body = f"<ErrorResponse><Error><Type>Sender</Type>{text}</Error></ErrorResponse>\n"
        else:
            body = f"<Error>{text}</Error>\n"
        return Response(status, body.encode(), (("Content-Type", "text/xml"),))
