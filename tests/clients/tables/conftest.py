"""`blotter tables` against real endpoints over HTTP: Blotter, and moto's server as an independent reference.

`endpoint` is the URL of each. `blotter` runs the command in this process with an environment and a
configuration of its own, so that tests share nothing but the server. `faults` is an endpoint in front of another
that fails at chosen requests.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

import blotter as blotter_package
from blotter.cli import main
from tests.conftest import serve_command
from tests.moto_server import moto_server

SEED_TABLE = """\
[tables.results]
partition_key = { name = "file_key", type = "S" }
billing_mode = "PAY_PER_REQUEST"
"""

CONFIGURATION = """\
app = "%s"

[environments.dev]
region = "us-east-1"

"""


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with moto_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def blotter_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as users start it: tables are CREATING, UPDATING and DELETING for a moment."""
    ready, theirs = os.pipe()
    data = tmp_path_factory.mktemp("blotter") / "data"
    command, environment = serve_command(
        "--port", "0", "--workers", "1", "--data-dir", str(data), "--ready-fd", str(theirs)
    )
    with (data.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, pass_fds=[theirs], stdout=log, stderr=log)
    os.close(theirs)
    with os.fdopen(ready) as told:
        url = told.readline().strip()
    assert url, (data.parent / "log").read_text()
    yield url
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(params=["moto", "blotter"])
def endpoint(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Blotter:
    """The command with its own environment and configuration. `app` makes table names unique to the test."""

    seed = SEED_TABLE
    on_moto = True

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder, self.app = folder, f"t{uuid.uuid4().hex[:10]}"
        self.file = folder / "blotter.toml"
        self.environ = {
            "BLOTTER_CONFIG": str(self.file),
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_CONFIG_FILE": str(folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.declare()

    @property
    def table(self) -> str:
        return f"{self.app}-results-dev"

    def declare(self, tables: str = SEED_TABLE) -> None:
        self.file.write_text(CONFIGURATION % self.app + tables)

    def process_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BLOTTER_"))}
        return kept | self.environ | {"PYTHONPATH": str(Path(blotter_package.__file__).parents[1])}

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """The command as a process of its own, to be stopped and killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "blotter", "tables", *arguments],
            env=self.process_environment() | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **environ: str | None) -> Answer:
        foreign = {name: None for name in os.environ if name.startswith(("AWS_", "BLOTTER_"))}
        result = CliRunner().invoke(main, ["tables", *arguments], env=foreign | self.environ | environ)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def blotter(request: pytest.FixtureRequest, tmp_path: Path, endpoint: str) -> Blotter:
    command = Blotter(tmp_path, endpoint)
    command.on_moto = request.node.callspec.params["endpoint"] == "moto"
    return command


@pytest.fixture
def blotter_on_moto(tmp_path: Path, moto_url: str) -> Blotter:
    """For what depends on the command alone."""
    return Blotter(tmp_path, moto_url)


# What happens at a request: an answer instead of the endpoint's, or a function called before and after forwarding.
class Refuse(NamedTuple):
    """Answer with this error and do not forward."""

    code: str
    message: str
    status: int = 400


class FaultyEndpoint:
    """An endpoint that forwards to another and injects faults at the n-th request (from 1)."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self.operations: list[str] = []
        self.refusals: dict[int, Refuse] = {}
        self.before: dict[int, Callable[[], None]] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.hang_up_before: set[int] = set()
        self.hang_up_after: set[int] = set()
        self._lock = threading.Lock()
        faults = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                faults._handle(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients get killed here
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self._lock:
            self.operations.append(request.headers.get("X-Amz-Target", "").rpartition(".")[2])
            number = len(self.operations)
        self.before.get(number, lambda: None)()
        if number in self.hang_up_before:
            request.close_connection = True
            return None
        refusal = self.refusals.get(number)
        if refusal:
            answer = json.dumps({"__type": f"x#{refusal.code}", "message": refusal.message}).encode()
            headers = {"Content-Type": "application/x-amz-json-1.0"}
            return self._answer(request, refusal.status, answer, headers)
        try:
            status, answer, headers = self._forward(request, body)
        except OSError:  # the endpoint behind it has ended, and with it the test
            request.close_connection = True
            return None
        self.after.get(number, lambda: None)()
        if number in self.hang_up_after:
            request.close_connection = True
            return None
        return self._answer(request, status, answer, headers)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        upstream = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=20)
        kept = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        upstream.request("POST", request.path, body, {**kept, "Host": self._upstream.netloc})
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        passed = {
            k: v
            for k, v in answer.getheaders()
            if k.lower() in ("x-amzn-requestid", "x-amz-crc32", "content-type")
        }
        return answer.status, content, passed

    def _answer(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            request.close_connection = True  # the client was killed: that was the test


@pytest.fixture
def faults(endpoint: str) -> Iterator[FaultyEndpoint]:
    between = FaultyEndpoint(endpoint)
    yield between
    between.stop()


@pytest.fixture
def faults_on_moto(moto_url: str) -> Iterator[FaultyEndpoint]:
    between = FaultyEndpoint(moto_url)
    yield between
    between.stop()
