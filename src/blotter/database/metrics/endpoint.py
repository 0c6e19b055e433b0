"""`GET /metrics` on the port of `--metrics-port`, for Prometheus, which shows no credentials.

So it listens on loopback unless told otherwise. Web pages are kept out as from an open server: by the Host and
Origin headers (`http/origins.py`). The text is made on a thread: of 60,000 series it takes a second or two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.http.origins import Origins
from blotter.database.metrics.names import Metric
from blotter.database.metrics.prometheus import encode
from blotter.database.metrics.totals import Total
from blotter.database.work_thread import WorkThread

log = logging.getLogger(__name__)

_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)
PATH = "/metrics"


class MetricsEndpoint:
    """A handler of requests. `totals` is called on the event loop."""

    def __init__(self, totals: Callable[[], dict[Metric, Total]], origins: Origins) -> None:
        self._totals = totals
        self._origins = origins
        self._thread: WorkThread | None = None

    def __call__(self, request: Request) -> Response | Pending:
        refusal = self._origins.refuse(request.headers.get("host"), request.headers.get("origin"))
        if refusal is not None:
            return Response(403, f"{refusal}\n".encode(), _TEXT)
        if request.target.partition("?")[0] != PATH:
            return Response(404, b"There is only /metrics here.\n", _TEXT)
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"Only GET and HEAD.\n", (*_TEXT, ("Allow", "GET, HEAD")))
        return self._answer(request.headers.get("accept", ""))

    def _answer(self, accept: str) -> Pending:
        if self._thread is None:
            self._thread = WorkThread("metrics-text")
        pending, totals = Pending(), self._totals()
        texts: list[tuple[bytes, str]] = []

        def done(error: BaseException | None) -> None:
            if error is None:
                body, content_type = texts[0]
                pending.settle(Response(200, body, (("Content-Type", content_type),)))
            else:
                log.error("the text of /metrics could not be made", exc_info=error)
                pending.settle(Response(500, b"Internal server error\n", _TEXT))

        self._thread.run(asyncio.get_running_loop(), lambda: texts.append(encode(totals, accept)), done)
        return pending
