"""What goes wrong over HTTP, in one shape: `{"error": {"code", "message"}}` for programs, a page for people.

Codes are stable names for programs, messages are sentences for people and never carry a traceback, a file path
or a credential. Failures of a *file* (bad CSV, …) are not here: they are part of its result item, see
`explain.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

log = logging.getLogger(__name__)


@dataclass
class WebError(Exception):
    """An answer other than success: HTTP status, code, message, and headers that belong to it."""

    status: int
    code: str
    message: str
    headers: dict[str, str] | None = None


# status → code, for errors that the framework itself raises
_FRAMEWORK_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def result_not_found(file_key: str) -> WebError:
    return WebError(404, "RESULT_NOT_FOUND", f"There is no result for the file key {file_key!r}.")


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}


def wants_page(request: Request) -> bool:
    """Whether a person is reading: outside the API, and with a client that accepts HTML."""
    path = request.url.path
    machine = path.startswith("/api/") or path in ("/health", "/openapi.json")
    return not machine and "text/html" in request.headers.get("accept", "")


def install(app: FastAPI) -> None:
    """Answer every error, the framework's included, in the one shape."""
    app.add_exception_handler(WebError, _on_web_error)
    app.add_exception_handler(HTTPException, _on_framework_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(ClientError, _on_table_error)
    app.add_exception_handler(BotoCoreError, _on_table_error)


def answer(request: Request, error: WebError) -> Response:
    """The error as JSON, or as a page when a person is looking."""
    if wants_page(request):
        pages = request.app.state.pages
        response: Response = pages.error(request, error)
    else:
        response = JSONResponse(error_body(error.code, error.message), error.status)
    response.headers.update(error.headers or {})
    return response


def _on_web_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WebError)
    return answer(request, error)


def _on_framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK_CODES.get(error.status_code, "BAD_REQUEST")
    message = f"{error.detail}: {request.method} {request.url.path}"
    return answer(request, WebError(error.status_code, code, message, dict(error.headers or {})))


def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return answer(request, WebError(422, "INVALID_PARAMETER", f"{where}: {first['msg']}."))


def table_error(error: ClientError | BotoCoreError) -> WebError:
    """What a failure of the results table means to a client; the log has the rest."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "unknown error")
        log.error("the results table refused a request: %s", error)
        hint = " Run `blotter tables apply` first." if code == "ResourceNotFoundException" else ""
        return WebError(503, "TABLE_REFUSED", f"The results table refused the request ({code}).{hint}")
    log.error("the results table cannot be reached: %s", error)
    message = "The results table cannot be reached. Is the database running, and is its endpoint configured?"
    return WebError(503, "TABLE_UNREACHABLE", message, {"Retry-After": "2"})


def _on_table_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClientError | BotoCoreError)
    return answer(request, table_error(error))
