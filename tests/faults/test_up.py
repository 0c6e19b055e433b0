"""`blotter up` where its ports are taken: it ends in the words of who could not listen and never says it is up.

What answers on a port may be anything, another DynamoDB included; it must not be taken for our own and set up.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import blotter


class _Other(BaseHTTPRequestHandler):
    """Another program that says 200 to everything."""

    asked: list[str]

    def _answer(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keeps the test's output clean."""


@pytest.fixture
def other_port() -> Iterator[int]:
    _Other.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_taken_port_ends_it(tmp_path: Path, other_port: int) -> None:
    (tmp_path / "blotter.toml").write_text(
        f'app = "x"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "http://127.0.0.1:{other_port}"\n'
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\n'
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BLOTTER_", "AWS_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "blotter", "up", "--data-dir", str(tmp_path / "data")],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(Path(blotter.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "is up" not in ended.stdout
    assert f"cannot listen on 127.0.0.1 port {other_port}" in ended.stderr
    assert _Other.asked == []
