"""What a browser is allowed to do here: Host and Origin checks on the way in, protective headers on the way out.

The application has no login, so any page its user visits could try to reach it. The rules are those of the
database's open access (`blotter serve`):

- **Host.** A page that points its own name at this server (DNS rebinding) sends that name as Host. Accepted are
  loopback names and addresses, the host that was bound, the configured names and, where the server listens
  beyond loopback, any literal IP address (a page cannot rebind an address). Exactly one Host header is
  required.
- **Origin.** Browsers add it to every request of a page that is not a plain navigation: it must name this very
  host and port. A request that changes something and carries no Origin must not be marked as coming from another
  site (Sec-Fetch-Site). Programs send neither and pass. There are no CORS headers.

The content policy allows scripts and styles from this server's files only; no inline script, no outside service.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blotter.crimes.web.errors import error_body
from blotter.hosts import is_address, is_loopback

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


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Which Host headers are accepted: these names, loopback and, when `any_address`, every literal IP address."""

    names: frozenset[str] = LOOPBACK_HOSTS
    any_address: bool = False

    @classmethod
    def of(cls, bound_host: str, names: Iterable[str] = ()) -> AllowedHosts:
        """The rule for a server that listens on `bound_host`."""
        known = {bound_host.casefold(), *(name.casefold() for name in names if name)}
        return cls(LOOPBACK_HOSTS | known, not is_loopback(bound_host))

    def accept(self, host: str) -> bool:
        """Whether a Host header's value is one of them."""
        name = host_name(host)
        if name is None:
            return False
        name = name.removesuffix(".")
        if name in self.names or name.endswith(".localhost") or is_loopback(name):
            return True
        return self.any_address and is_address(name)


class SecurityMiddleware:
    """Outermost: refuses foreign hosts and origins, adds the headers to every answer, hides what crashed.

    `allowed_hosts` None means that something in front (API Gateway) already decides which host names arrive here.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: AllowedHosts | None) -> None:
        self._app = app
        self._hosts = allowed_hosts

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
        refusal = self._refusal(scope["method"], headers)
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

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) > 1:
            return JSONResponse(error_body("BAD_REQUEST", "Send one Host header."), 400)
        host = hosts[0] if hosts else ""
        if self._hosts is not None and not self._hosts.accept(host):
            return JSONResponse(error_body("HOST_NOT_ALLOWED", "This host name is not served here."), 421)
        if not _same_origin(method, host, headers):
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


def _same_origin(method: str, host: str, headers: Headers) -> bool:
    """Whether a request may come from the origin it states; TLS may end before this server."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.casefold() in (f"http://{host}".casefold(), f"https://{host}".casefold())
    return method in _SAFE_METHODS or headers.get("sec-fetch-site", "none") in ("same-origin", "none")
