"""The web application under uvicorn, on one address, which stops without waiting for open event streams.

On SIGTERM or SIGINT uvicorn waits for running answers, and an event stream runs as long as its page is open.
This server informs the streams first; they end within one poll. `blotter crimes serve` and
`blotter up` run it; a test starts it in a thread.
"""

from __future__ import annotations

import socket

import uvicorn

from blotter.crimes.web.app import create_app
from blotter.crimes.web.connections import BoundedProtocol
from blotter.crimes.web.services import Services

_GRACE_SECONDS = 10
_CONNECTIONS = 4000  # more are answered 503; event streams have their own, lower limit (`live.Pace`)


class WebServer(uvicorn.Server):
    """`run()` serves until a signal or `stop()`; after that `url` is still its address."""

    def __init__(self, services: Services, host: str, port: int, *, access_log: bool = False) -> None:
        app = create_app(services, closing=lambda: self.should_exit)
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                access_log=access_log,
                log_level="warning",
                server_header=False,
                http=BoundedProtocol,
                ws="none",
                limit_concurrency=_CONNECTIONS,
                proxy_headers=False,  # limits depend on the client's address: never take it from a header
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._socket: socket.socket | None = None

    def bind(self) -> str:
        """Take the address (port 0: a free one) and set `url`. Raises OSError when it is taken."""
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.config.host, self.config.port))
            listening.listen(self.config.backlog)  # from here on a client waits instead of being refused
        except OSError:
            listening.close()
            raise
        self._socket = listening
        host = f"[{self.config.host}]" if family == socket.AF_INET6 else self.config.host
        return f"http://{host}:{listening.getsockname()[1]}"

    def serve_forever(self) -> None:
        """Serve on the bound address until a signal or `stop`."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        self.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask the server to end; may be called from any thread."""
        self.should_exit = True
