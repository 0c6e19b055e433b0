"""The first check of a request: whether its sender is allowed, and whether it is a health check.

Under open access, requests that a web page may have caused are refused here (`origins.py` has the rules). `GET /`,
`GET /health` and `GET /ready` are answered here, without credentials; everything else goes to the services. Uses
paths and hosts, no service and no operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from blotter.database.http.messages import Handler, Pending, Request, Response
from blotter.database.http.origins import Origins

Probe = Callable[[], Response | Pending]
Refuse = Callable[[Request, str], Response]


class Router:
    """A handler in front of another.

    `probes` are the paths that answer an unsigned GET or HEAD by themselves. `refuse(request, message)` makes
    the 403 of a request whose host or origin is not trusted, in the form its client can read. `origins` None
    leaves these checks out: right where every request must be signed.
    """

    __slots__ = ("_handler", "_origins", "_probes", "_refuse")

    def __init__(
        self, handler: Handler, refuse: Refuse, probes: Mapping[str, Probe], origins: Origins | None
    ) -> None:
        self._handler = handler
        self._refuse = refuse
        self._probes = dict(probes)
        self._origins = origins

    def __call__(self, request: Request) -> Response | Pending:
        if self._origins is not None:
            headers = request.headers
            refusal = self._origins.refuse(headers.get("host"), headers.get("origin"))
            if refusal is not None:
                return self._refuse(request, refusal)
        # A signed GET is for a service: S3's clients list their buckets by it.
        if request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            probe = self._probes.get(request.target)
            if probe is not None:
                return probe()
        return self._handler(request)
