"""What all tests share: a real `blotter serve` in processes of its own, on a free port and a fresh directory.

The server is started as a user starts it, with a file descriptor to report its address on (no polling, no fixed
ports), and stopped with SIGTERM; one that does not stop is killed, and the test fails.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import hypothesis
import pytest

import blotter
from tests.cpu_seconds import Quick, Recording

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

# The tests start hundreds of processes from this checkout: compiling its modules anew in each of them, where the
# environment forbids to keep what was compiled, takes longer than much of what they test.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell's background job ignores Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where the disk is not what a test is about, waiting for it is waste: temporary directories lie in memory if there
# is plenty. What tests full and slow disks makes its own (tests/faults/test_server_disk.py).
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 4 << 30
if sys.platform == "linux" and os.access(_MEMORY, os.W_OK) and disk_usage(_MEMORY).free > _MEMORY_NEEDED:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# No assertions on time: a busy machine must not fail a property. The same few examples in every run, so that a
# change is refused for what it broke; `--hypothesis-profile=random` looks for more at night (tests/examples.py).
_ANY_MACHINE = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("random", _ANY_MACHINE)
hypothesis.settings.register_profile("blotter", _ANY_MACHINE, derandomize=True, max_examples=35)
hypothesis.settings.load_profile("blotter")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-golden",
        action="store_true",
        help="write what the database responds into the golden scripts (tests/golden_writing.py)",
    )
    parser.addoption("--quick", action="store_true", help="leave out the longest files (tests/cpu_seconds.py)")
    parser.addoption("--record-cpu-seconds", action="store_true", help="write down which they are")


def pytest_configure(config: pytest.Config) -> None:
    for option, plugin in (("--quick", Quick), ("--record-cpu-seconds", Recording)):
        if config.getoption(option):
            config.pluginmanager.register(plugin())


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long or packed bytes get the parameter's name: their content may differ between two processes of xdist."""
    return argname if isinstance(val, bytes) and (len(val) > 60 or val[:2] == b"\x1f\x8b") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: with several processes, the others meanwhile do the rest."""
    items.sort(key=lambda item: item.path.name != "test_compiled.py")


_START_SECONDS = 60
_STOP_SECONDS = 60


class Serving(NamedTuple):
    """A running server. `log` holds its stderr."""

    process: subprocess.Popen[bytes]
    url: str
    data_dir: Path
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def children(self) -> dict[str, int]:
        """Its processes: name as `ps` shows it ("serve worker 1", "serve backgroun") → process id."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        names = {}
        for pid in found:
            with contextlib.suppress(OSError):  # Gone between two looks.
                names[Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
        return names

    def workers(self) -> dict[str, int]:
        return {name: pid for name, pid in self.children().items() if "worker" in name}

    def stop(self) -> int:
        """Stops it as an operator would; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


Serve = Callable[..., Serving]


def serve_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of `blotter serve`: nothing of the caller's settings gets through."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BLOTTER_", "AWS_"))}
    kept["PYTHONPATH"] = str(Path(blotter.__file__).parents[1])
    return [sys.executable, "-m", "blotter", "serve", *arguments], kept


def _start(directory: Path, data_dir: Path, *arguments: str, variables: dict[str, str] | None = None) -> Serving:
    ours, theirs = os.pipe()
    place = [] if "--in-memory" in arguments else ["--data-dir", str(data_dir)]
    command, environment = serve_command("--port", "0", *place, "--ready-fd", str(theirs), *arguments)
    log = directory / "serve.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            env=environment | (variables or {}),
            pass_fds=[theirs],
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    os.close(theirs)
    with os.fdopen(ours) as ready:
        url = ready.read().strip()  # To the end: no process of the server may keep the descriptor.
    if not url:
        process.wait(_START_SECONDS)
        pytest.fail(f"blotter serve did not start:\n{log.read_text()}")
    return Serving(process, url, data_dir, log)


@contextlib.contextmanager
def serving(directory: Path, *arguments: str) -> Iterator[Serving]:
    """A server with its own data directory, for as long as a module's tests need it."""
    started = _start(directory, directory / "data", *arguments)
    yield started
    _end(started)


def _end(serving: Serving) -> None:
    if serving.process.poll() is not None:
        return
    try:
        serving.stop()
    except subprocess.TimeoutExpired:
        os.killpg(serving.process.pid, signal.SIGKILL)
        serving.process.wait()
        pytest.fail(f"blotter serve did not stop:\n{serving.log.read_text()}")


@contextlib.contextmanager
def servers_in(folder: Path) -> Iterator[Serve]:
    """What the fixture `serve` gives; threads may start several at once."""
    running: list[Serving] = []
    numbers = itertools.count()

    def start(*arguments: str, data_dir: Path | None = None, variables: dict[str, str] | None = None) -> Serving:
        directory = folder / f"server-{next(numbers)}"
        directory.mkdir()
        serving = _start(directory, data_dir or directory / "data", *arguments, variables=variables)
        running.append(serving)
        return serving

    try:
        yield start
    finally:
        for serving in running:
            _end(serving)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers: `serve("--workers", "2", data_dir=…)`, with further `variables` in their environment. All
    are stopped after the test."""
    with servers_in(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all tests of a module, with tables that are ready at once."""
    directory = tmp_path_factory.mktemp("server")
    serving = _start(directory, directory / "data", "--workers", "2", "--table-delay", "0")
    yield serving
    _end(serving)


@pytest.fixture(scope="module")
def enforced_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all tests of a module whose access is enforced."""
    directory = tmp_path_factory.mktemp("enforced")
    serving = _start(directory, directory / "data", "--workers", "2", "--access", "enforced")
    yield serving
    _end(serving)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of a process; a test that stops or kills one starts its own."""
    from tests.postgres_server import running

    with running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that no other test uses."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)
