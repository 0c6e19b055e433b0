"""What a browser is allowed to do here: Host and Origin checks on the way in, protective headers on the way out.

The application listens on loopback without a login, so any page its user visits could try to reach it. Checking
Host stops DNS rebinding, checking Origin on writing requests stops cross-site uploads, and there is no CORS. The
content policy allows scripts and styles from this server's files only; no inline script, no outside service.
Programs that send no Origin (curl, SDKs) are not browsers and pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blotter.crimes.web.errors import error_body

log = logging.getLogger(__name__)

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not "no-referrer": with it browsers send "Origin: null" on our own form
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
}


class SecurityMiddleware:
    """Outermost: refuses foreign hosts and origins, adds the headers to every answer, hides what crashed.

    `allowed_hosts` None means that something in front (API Gateway) already decides which host names arrive here.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] | None) -> None:
        self._app = app
        self._hosts = None if allowed_hosts is None else frozenset(host.casefold() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def protected_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], scope["scheme"], headers)
        if refusal is not None:
            await refusal(scope, receive, protected_send)
            return
        try:
            await self._app(scope, receive, protected_send)
        except Exception:
            if started:
                raise  # too late for another answer: the server cuts the connection
            log.exception("a request failed: %s %s", scope["method"], scope["path"])
            body = error_body("INTERNAL_ERROR", "Something went wrong here. The server's log says what.")
            await JSONResponse(body, 500)(scope, receive, protected_send)

    def _refusal(self, method: str, scheme: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if self._hosts is not None and host_name(host) not in self._hosts:
            return JSONResponse(error_body("HOST_NOT_ALLOWED", "This host name is not served here."), 421)
        if method not in _SAFE_METHODS and not _same_origin(scheme, host, headers):
            return JSONResponse(error_body("CROSS_ORIGIN", "Requests from other sites are refused."), 403)
        return None


def host_name(host: str) -> str | None:
    """The name in a Host header without its port, in lower case; None when it is not a host."""
    try:
        split = urlsplit(f"//{host}")
        _ = split.port  # raises on a port that is none
    except ValueError:
        return None
    if split.username is not None or split.path or split.query or split.fragment:
        return None
    return split.hostname


def _same_origin(scheme: str, host: str, headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is not None:
        return origin.casefold() == f"{scheme}://{host}".casefold()
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
