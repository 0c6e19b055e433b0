"""The application's workers as real processes on Blotter's own database: killed, doubled, stopped, cut off.

Each test drops files into the intake as the pages would, breaks something in the middle, and reads from the table
what became of them: every file ends COMPLETED once, with all its rows, whatever happened. A worker that is to be
hurt in the middle of a file is held there (`held_worker`), so that the middle does not pass on a fast machine.
"""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError

import blotter
from blotter.config import load_configuration
from blotter.crimes.item import Result
from blotter.crimes.settings import Application
from tests.postgres_server import free_port
from tests.waiting import wait_until

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_PATIENCE_SECONDS = 120
_LEASE_SECONDS = 3
_HELD = Path(__file__).parent / "held_worker"
_HEADER = b"Date,Block,Primary Type,Description,Location Description,Domestic,Community Area\n"
_ROW = b"2022-09-16 21:30:00,026XX S KEDVALE AVE,BURGLARY,FORCIBLE ENTRY,RESIDENCE - GARAGE,false,30\n"
_ROWS = 1_000
_FILE = _HEADER + _ROW * _ROWS
_SMALL = _HEADER + _ROW * 50


class World:
    """A database, a table, a data folder, and workers that come and go."""

    def __init__(self, folder: Path, url: str, lease_seconds: int = _LEASE_SECONDS) -> None:
        (folder / "blotter.toml").write_text(
            f'app = "crimes"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "{url}"\n'
            '[tables.results]\npartition_key = { name = "file_key", type = "S" }\n'
            f"[crimes]\nlease_seconds = {lease_seconds}\nsweep_seconds = 0.5\ngrace_seconds = 2\nthreads = 1\n"
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BLOTTER_", "AWS_"))}
        self.environment = kept | {
            **_CREDENTIALS,
            "BLOTTER_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(Path(blotter.__file__).parents[1]),
        }
        self.folder = folder
        configuration = load_configuration(folder / "blotter.toml", environ=self.environment)
        self.application = Application.assemble(configuration)
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, *command: str, held: bool = False) -> subprocess.Popen[bytes]:
        path = self.environment["PYTHONPATH"]
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "blotter", "crimes", *(command or ("worker",))],
                cwd=self.folder,
                env=self.environment | ({"PYTHONPATH": f"{_HELD}{os.pathsep}{path}"} if held else {}),
                stdout=log,
                stderr=log,
            )
        self._workers.append(worker)
        return worker

    def let_go_on(self) -> None:
        (self.folder / "go_on").touch()

    def end(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()

    def upload(self, content: bytes, name: str = "a b 🚓.csv") -> str:
        return self.application.intake.accept(name, [content])

    def wait(self, key: str, reached: Callable[[Result], bool]) -> Result:
        """The item once it is as wanted; a database that is away is waited for."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                result = self.application.results.find(key)
            except (HTTPClientError, NotConnected):
                result = None
            if result is not None and reached(result):
                return result
            time.sleep(0.02)
        pytest.fail(f"{key} did not get there:\n{(self.folder / 'worker.log').read_text()}")

    def wait_until_in_the_middle(self, key: str) -> Result:
        result = self.wait(key, lambda result: result.finished or result.rows_read > 0)
        assert result.status == "PROCESSING"
        return result

    def check_completed(self, key: str, rows: int, attempt: int) -> None:
        result = self.wait(key, lambda result: result.finished)
        assert (result.status, result.rows_scored, result.attempt) == ("COMPLETED", rows, attempt)
        assert result.predictions_key is not None
        objects = self.application.objects
        text = b"".join(objects.read(objects.head(result.predictions_key))).decode()
        scored = list(csv.DictReader(io.StringIO(text)))
        assert len(scored) == rows
        assert len({row["probability"] for row in scored}) == 1
        folder = (self.folder / "data" / "objects" / key).parent
        assert {path.name for path in folder.iterdir()} == {
            Path(key).name,
            Path(result.predictions_key).name,
        }


def make_table(url: str) -> None:
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 3}),
    )
    client.create_table(
        TableName="crimes-results-dev",
        AttributeDefinitions=[{"AttributeName": "file_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "file_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(
        TableName="crimes-results-dev", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a client too; the database takes any credentials on loopback."""
    for name in [name for name in os.environ if name.startswith(("BLOTTER_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in _CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def world(request: pytest.FixtureRequest, serve: Any, tmp_path: Path) -> Iterator[World]:
    """Its parameter is the seconds of a lease."""
    serving = serve("--workers", "1", "--table-delay", "0")
    make_table(serving.url)
    folder = tmp_path / "application"
    folder.mkdir()
    world = World(folder, serving.url, getattr(request, "param", _LEASE_SECONDS))
    yield world
    world.end()


def test_a_worker_killed_in_the_middle_is_taken_over(world: World) -> None:
    first = world.start_worker(held=True)
    key = world.upload(_FILE)
    world.wait_until_in_the_middle(key)
    first.send_signal(signal.SIGKILL)
    first.wait()
    world.start_worker()
    world.check_completed(key, rows=_ROWS, attempt=2)


def test_a_worker_asked_to_stop_gives_its_file_back(world: World) -> None:
    first = world.start_worker(held=True)
    key = world.upload(_FILE)
    world.wait_until_in_the_middle(key)
    first.send_signal(signal.SIGTERM)
    assert first.wait(_PATIENCE_SECONDS) == 0
    assert world.wait(key, lambda _: True).status == "UPLOADED"
    world.start_worker()
    world.check_completed(key, rows=_ROWS, attempt=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_pages_end_after_their_workers(world: World, number: signal.Signals) -> None:
    """What stops the database next (`blotter up`) must find no worker that still has a file to give back."""
    pages = world.start_worker("serve", "--port", "0", held=True)
    key = world.upload(_FILE)
    world.wait_until_in_the_middle(key)
    pages.send_signal(number)
    assert pages.wait(_PATIENCE_SECONDS) == 0
    result = world.application.results.find(key)
    assert result is not None
    assert result.status == "UPLOADED"


def test_a_worker_that_stood_still_finds_its_file_taken(world: World) -> None:
    """To the others a stopped process is a dead one; when it continues it must not write."""
    first = world.start_worker(held=True)
    key = world.upload(_FILE)
    world.wait_until_in_the_middle(key)
    first.send_signal(signal.SIGSTOP)
    world.start_worker()
    taken = world.wait(key, lambda result: result.attempt == 2)
    world.check_completed(key, rows=_ROWS, attempt=2)
    done = world.wait(key, lambda result: result.finished)
    first.send_signal(signal.SIGCONT)
    world.let_go_on()
    wait_until(lambda: "another worker took over" in (world.folder / "worker.log").read_text())
    world.check_completed(key, rows=_ROWS, attempt=2)
    assert world.wait(key, lambda _: True) == done
    assert taken.started_at == done.started_at


@pytest.mark.parametrize("world", [600], indirect=True)  # nobody is slow for so long that he counts as dead
def test_two_workers_share_the_files(world: World) -> None:
    workers = [world.start_worker() for _ in range(2)]
    keys = [world.upload(_SMALL, f"{number}.csv") for number in range(12)]
    for key in keys:
        world.check_completed(key, rows=50, attempt=1)
    assert [worker.poll() for worker in workers] == [None, None]


def test_events_that_come_twice_or_never(world: World) -> None:
    queue = world.application.queue
    assert queue is not None
    lost = world.upload(_SMALL, "lost.csv")
    for queued in queue.due():
        queue.done(queued)
    doubled = world.upload(_SMALL, "doubled.csv")
    (queued,) = queue.due()
    for _ in range(3):
        queue.send(queued.event)
    world.start_worker()
    for key in (lost, doubled):
        world.check_completed(key, rows=50, attempt=1)
    finished = world.wait(doubled, lambda result: result.finished)
    wait_until(lambda: not list(queue.due()))
    assert world.wait(doubled, lambda result: result.finished) == finished


def test_the_database_goes_away_and_comes_back(serve: Any, tmp_path: Path) -> None:
    serving = serve("--workers", "1", "--table-delay", "0", "--port", str(free_port()))
    make_table(serving.url)
    folder = tmp_path / "application"
    folder.mkdir()
    world = World(folder, serving.url)
    try:
        world.start_worker(held=True)
        key = world.upload(_FILE)
        world.wait_until_in_the_middle(key)
        os.killpg(serving.process.pid, signal.SIGKILL)
        serving.process.wait()
        during = world.upload(_SMALL, "uploaded-while-the-database-was-away.csv")
        wait_until(lambda: "progress could not be written" in (folder / "worker.log").read_text())
        world.let_go_on()
        serve("--workers", "1", "--port", str(serving.address[1]), data_dir=serving.data_dir)
        done = world.wait(key, lambda result: result.finished)
        assert (done.status, done.rows_scored) == ("COMPLETED", _ROWS)
        world.check_completed(during, rows=50, attempt=1)
    finally:
        world.end()
