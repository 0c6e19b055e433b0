"""moto's server, a third party's AWS, in a thread of this process: one request after another.

moto changes what it holds in place, an item attribute by attribute, and writes its answer from what others may
change meanwhile. Of two requests at once, each could see half of the other, which no AWS does. All servers of a
process share what they hold, and so the lock. A request is read before it is taken: some clients are killed while
they send one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_one_at_a_time = threading.Lock()


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.0"  # A connection that is kept would be served after `stop`.

    def log(self, *_: object) -> None:
        """Keeps the test's output clean."""


def moto_application() -> Application:
    """moto as a WSGI application."""
    moto = DomainDispatcherApplication(create_backend_app)

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environment["wsgi.input"]
        length = environment.get("CONTENT_LENGTH")
        if length or environment.get("wsgi.input_terminated"):
            environment["wsgi.input"] = BytesIO(body.read(int(length)) if length else body.read())
        with _one_at_a_time:
            return list(moto(environment, start))

    return answer


class WsgiServer:
    """Serves an application from when it is made until `stop`; port 0 is a free one."""

    def __init__(self, application: Application, port: int = 0) -> None:
        self._server = make_server("127.0.0.1", port, application, threaded=True, request_handler=_Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Closes the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def moto_server(port: int = 0) -> Iterator[WsgiServer]:
    """moto's server, for as long as it is needed."""
    server = WsgiServer(moto_application(), port)
    try:
        yield server
    finally:
        server.stop()
