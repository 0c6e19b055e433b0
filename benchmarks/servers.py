"""The servers that are compared: how each is installed, started, looked at and stopped.

Peers come from the package registries into a cache directory outside of the repository, pinned to one version,
once. A peer that cannot be installed here is left out with its reason; no figures are taken from elsewhere.
Every server keeps its data on disk where it can, in its default way; `keeps` is how durable that is.
CPU time and memory are read from /proc for the whole tree of processes, so this runs on Linux only.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import signing, wheel, workloads

_ROOT = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_DYNOXIDE_FEATURES = ("--no-default-features", "--features", "native-sqlite,http-server,cli")
MASTER_KEY_NAME = "BLOTTER_BENCHMARK_KEY"
MASTER_KEY = "5e" * 32
"""The master key of encrypted servers, which keep nothing that is secret."""
_MAVEN_COPY = ("dependency:copy-dependencies", "-DoutputDirectory=lib")
# DynamoDB Local 3.3.1 names versions of these four that Maven Central does not have.
_POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>benchmarks</groupId><artifactId>dynamodb-local</artifactId><version>1</version><dependencies>
<dependency><groupId>software.amazon.dynamodb</groupId><artifactId>DynamoDBLocal</artifactId>
<version>3.3.1</version></dependency>{}</dependencies></project>
""".format(
    "".join(
        f"<dependency><groupId>software.amazon.awssdk</groupId><artifactId>{name}</artifactId>"
        "<version>2.41.0</version></dependency>"
        for name in ("pinpoint", "cognitoidentity", "cognitoidentityprovider", "dynamodb-enhanced")
    )
)


class Server(NamedTuple):
    """One server. `command(cache, port, data)` starts it; `installed` is the path whose existence shows that the
    `install` commands, run inside the cache, need not run again."""

    name: str
    version: str
    keeps: str
    command: Callable[[Path, int, Path], list[str]]
    installed: str = ""
    install: tuple[tuple[str, ...], ...] = ()
    middle_only: bool = False
    """Measured with the middle number of connections only: it is far from being the fastest."""
    once: bool = False
    """Measured in the first round only, three times as long: it answers a few hundred requests a second."""
    tls: bool = False


def _blotter(
    *options: str, module: str = "blotter", compiled: bool = True, master_key: str = ""
) -> Callable[[Path, int, Path], list[str]]:
    def command(cache: Path, port: int, data: Path) -> list[str]:
        code = [str(wheel.unpacked(cache))] if compiled else []
        key = [f"{MASTER_KEY_NAME}={master_key}"] if master_key else []
        encrypted = ["--master-key", f"env:{MASTER_KEY_NAME}"] if master_key else []
        return [
            # The checkout comes after it, for `benchmarks`.
            *["env", f"PYTHONPATH={os.pathsep.join([*code, str(_ROOT / 'src'), str(_ROOT)])}", *key],
            *[sys.executable, "-m", module, "serve"],
            *["--port", str(port), "--data-dir", str(data), *options, *encrypted],
        ]

    return command


def _dynalite(cache: Path, port: int, data: Path) -> list[str]:
    script = str(cache / "dynalite/node_modules/.bin/dynalite")
    return ["node", script, "--host", "127.0.0.1", "--port", str(port), "--path", str(data)]


def _dynoxide(cache: Path, port: int, data: Path) -> list[str]:
    return [str(cache / "dynoxide/bin/dynoxide"), "--port", str(port), "--db-path", str(data / "dynoxide.db")]


def _dynamodb_local(cache: Path, port: int, data: Path) -> list[str]:
    jars = cache / "dynamodb-local/lib"
    main = "software.amazon.dynamodb.services.local.main.ServerRunner"
    options = ["-port", str(port), "-dbPath", str(data), "-sharedDb", "-disableTelemetry"]
    return ["java", f"-Djava.library.path={jars}", "-cp", f"{jars}/*", main, *options]


def _moto(_: Path, port: int, __: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]


_SYNCED = "synced before the answer"
BLOTTER = Server("Blotter", "compiled", _SYNCED, _blotter())
BLOTTER_SOURCE = Server(
    "Blotter, from source", "this checkout", _SYNCED, _blotter(compiled=False), middle_only=True
)
BLOTTER_ONE = Server("Blotter, one worker", "compiled", _SYNCED, _blotter("--workers", "1"))
BLOTTER_TWO = Server("Blotter, two workers", "compiled", _SYNCED, _blotter("--workers", "2"))
BLOTTER_VECTORS = Server("Blotter", "compiled", _SYNCED, _blotter("--vector-memory", "4096"))
VERIFYING = Server(
    "Blotter, access enforced",
    "compiled",
    _SYNCED,
    _blotter("--access", "enforced", module="benchmarks.verifying_server"),
)
BLOTTER_TLS = Server(
    "Blotter, TLS", "compiled", _SYNCED, _blotter("--workers", "1", "--tls-self-signed"), tls=True
)
BLOTTER_ENCRYPTED = Server("Blotter, encrypted", "compiled", _SYNCED, _blotter(master_key=MASTER_KEY))


def on_postgres(url: str) -> Server:
    """Blotter with its data in PostgreSQL."""
    return Server("Blotter on PostgreSQL", "compiled", _SYNCED, _blotter("--workers", "2", "--store", url))


PEERS = (
    Server(
        "Dynoxide",
        "3.2.0",
        "file, synced",
        _dynoxide,
        "dynoxide/bin/dynoxide",
        (("cargo", "install", "dynoxide-rs@3.2.0", "--root", "dynoxide", "-j", "1", *_DYNOXIDE_FEATURES),),
    ),
    Server(
        "dynalite",
        "4.0.0",
        "file, not synced",
        _dynalite,
        "dynalite/node_modules/dynalite",
        (("npm", "install", "--prefix", "dynalite", "dynalite@4.0.0"),),
    ),
    Server(
        "DynamoDB Local",
        "3.3.1",
        "file, SQLite",
        _dynamodb_local,
        "dynamodb-local/lib/DynamoDBLocal-3.3.1.jar",
        (("mvn", "-q", "-B", "-f", "dynamodb-local/pom.xml", *_MAVEN_COPY),),
        middle_only=True,
    ),
    Server("moto", "5.2.5", "memory only", _moto, middle_only=True, once=True),
)


_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


class Unavailable(Exception):
    """This server cannot be installed or started here; the text explains why."""


def install(server: Server, cache: Path) -> None:
    """Brings a peer into the cache. Raises Unavailable."""
    if not server.install or (cache / server.installed).exists():
        return
    (cache / "dynamodb-local").mkdir(parents=True, exist_ok=True)
    (cache / "dynamodb-local/pom.xml").write_text(_POM)
    (cache / "dynalite").mkdir(exist_ok=True)
    for command in server.install:
        try:
            done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=1200)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{command[0]}: {error}") from error
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")


class Running:
    """A started server, ready to answer. Use as a context manager; leaving stops it."""

    def __init__(self, server: Server, cache: Path, data: Path) -> None:
        self.server = server
        self.address = ("127.0.0.1", _free_port())
        self.host = f"127.0.0.1:{self.address[1]}"
        data.mkdir(parents=True, exist_ok=True)
        self._output = (data.parent / f"{data.name}.log").open("wb")
        started = time.perf_counter()
        try:
            self.process = subprocess.Popen(
                server.command(cache, self.address[1], data), stdout=self._output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise Unavailable(str(error)) from error
        self._wait(started + 60)
        self.start_seconds = time.perf_counter() - started
        time.sleep(0.5)
        self.idle_processes = self.resident()

    def _wait(self, deadline: float) -> None:
        """Until it answers."""
        while time.perf_counter() < deadline and self.process.poll() is None:
            try:
                self.call("ListTables", {})
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        self.stop()
        raise Unavailable(f"{self.server.name} did not start; its output is in {self._output.name}")

    def call(self, operation: str, body: dict[str, Any]) -> bytes:
        return ask(self.address, operation, body, tls=self.server.tls)

    def keep_to(self, core: int) -> None:
        """Runs all its processes on one core from now on."""
        for pid in self._tree():
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})

    def settle(self, seconds: float = 20.0) -> None:
        """Waits until its processes are idle, so that no measurement includes earlier requests."""
        before, end = self.cpu_seconds(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            time.sleep(0.05)
            now = self.cpu_seconds()
            if now - before <= 1 / _TICKS:
                return
            before = now

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        total = 0
        for pid in self._tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def resident(self) -> list[float]:
        """Megabytes in the memory of each of its processes, the first one's first. Pages that processes share
        count in each of them."""
        return [_status(pid, "VmRSS:") for pid in self._tree()]

    def total_memory(self) -> float:
        """Megabytes of all its processes together, shared pages counted once."""
        total = 0.0
        for pid in self._tree():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
        return total

    def peaks(self) -> list[float]:
        """The most megabytes that each of its processes has had since `forget_peaks`."""
        return [_status(pid, "VmHWM:") for pid in self._tree()]

    def forget_peaks(self) -> None:
        for pid in self._tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _tree(self) -> list[int]:
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
        tree = [self.process.pid]
        for pid in tree:
            tree += [child for child, parent in parents.items() if parent == pid]
        return tree

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._output.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def send(address: tuple[str, int], request: bytes, *, tls: bool = False) -> tuple[int, bytes]:
    """One request on a connection of its own; status and body of its answer. With `tls`, whoever answers is
    believed."""
    connected = socket.create_connection(address, 30)
    with _UNVERIFIED.wrap_socket(connected) if tls else connected as client:
        client.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, answer.read()


def ask(address: tuple[str, int], operation: str, body: dict[str, Any], *, tls: bool = False) -> bytes:
    """The body of an answer; raises RuntimeError unless its status is 200."""
    status, content = send(address, signing.request("{}:{}".format(*address), operation, body), tls=tls)
    if status != 200:
        raise RuntimeError(f"{operation}: {content.decode()[:300]}")
    return content


def make_table(call: Callable[[str, dict[str, Any]], bytes], described: dict[str, Any]) -> None:
    """CreateTable, and until the table is ACTIVE."""
    call("CreateTable", described)
    end = time.perf_counter() + 30
    while _status_of(call, described["TableName"]) != "ACTIVE":
        if time.perf_counter() > end:
            raise RuntimeError("the table did not become ACTIVE")
        time.sleep(0.02)


def fill(call: Callable[[str, dict[str, Any]], bytes]) -> None:
    """Makes the tables of `workloads.py` and puts their data in, through the server."""
    for described in workloads.TABLES:
        make_table(call, described)
    for operation, body in workloads.loading():
        call(operation, body)


def _status_of(call: Callable[[str, dict[str, Any]], bytes], table: str) -> str:
    status: str = json.loads(call("DescribeTable", {"TableName": table}))["Table"]["TableStatus"]
    return status


def _status(pid: int, name: str) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(name)), 0.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
