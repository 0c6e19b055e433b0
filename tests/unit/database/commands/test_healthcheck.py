"""`blotter healthcheck` against a server that is ready, one that is not, and none."""

from __future__ import annotations

import socket
import threading

import pytest
from click.testing import CliRunner

from blotter.database.commands.healthcheck import healthcheck, problem
from tests.postgres_server import free_port


def _answering(answer: bytes) -> int:
    """The port of a server that gives one answer to one client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(4096)
            client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def test_ready() -> None:
    port = _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + b'{"status":"ok"}')
    done = CliRunner().invoke(healthcheck, ["--host", "0.0.0.0", "--port", str(port)])
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nwhy?", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
)
def test_not_ready(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("BLOTTER_PORT", str(_answering(answer)))
    done = CliRunner().invoke(healthcheck)
    assert done.exit_code == 1
    assert done.stderr.startswith("blotter healthcheck: ")
    assert done.stderr.count("\n") == 1


def test_not_there() -> None:
    assert "no answer from 127.0.0.1" in str(problem("127.0.0.1", free_port(), 5))


def test_a_wrong_setting_is_a_usage_error() -> None:
    assert CliRunner().invoke(healthcheck, ["--port", "x"]).exit_code == 2
