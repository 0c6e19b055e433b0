"""A server whose disk fails: clients and operator get errors, nothing is destroyed, service returns by itself.

The full disk is a limit on file sizes set on the running processes and lifted again, and, where the tests may
mount one, a small file system of their own; damage is done to the file while no process has it open. What the
storage does about each is tested in tests/unit/database/storage/test_sqlite.py, damage at random in
test_damage.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import re
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.schema import FORMAT_VERSION
from tests.conftest import serve_command
from tests.faults.plain_client import post
from tests.in_process import InProcessDatabase
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

_PAGE = 4096
_LEAF = 10
"""What a page begins with that holds items."""
_WRONG_SUM = "disk I/O error: a page of the file does not match its checksum"


_TABLE: dict[str, Any] = {
    "TableName": "disk",
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def _item(number: int, size: int) -> dict[str, Any]:
    return {"p": {"S": f"item-{number}"}, "d": {"S": "x" * size}}


class _Client:
    """Puts and gets items of one table by number."""

    def __init__(self, serving: Serving) -> None:
        self._connection = http.client.HTTPConnection(*serving.address, timeout=60)

    def call(self, operation: str, **request: Any) -> tuple[int, Any]:
        return post(self._connection, operation, **{"TableName": "disk", **request})

    def create(self, name: str = "disk") -> int:
        return self.call("CreateTable", **{**_TABLE, "TableName": name})[0]

    def put(self, number: int, size: int = 300) -> int:
        status, answer = self.call("PutItem", Item=_item(number, size))
        assert status == 200 or answer["__type"].endswith("#InternalServerError")
        return status

    def delete(self, number: int) -> int:
        return self.call("DeleteItem", Key={"p": {"S": f"item-{number}"}})[0]

    def get(self, number: int) -> bool | None:
        """Whether the item is there; None when the server cannot tell."""
        status, answer = self.call("GetItem", Key={"p": {"S": f"item-{number}"}})
        return None if status == 500 else "Item" in answer


def _limit_files(serving: Serving, size: int) -> None:
    for process in (serving.process.pid, *serving.children().values()):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_refuses_writes_until_there_is_space_again(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    client = _Client(serving)
    assert client.create() == 200
    assert client.put(0) == 200
    _limit_files(serving, 1 << 18)
    statuses = [client.put(number, 20_000) for number in range(1, 25)]
    assert set(statuses) == {200, 500}
    stored = [client.get(number) for number in range(1, 25)]
    assert stored == [status == 200 for status in statuses]
    assert "storage unavailable: " in serving.log.read_text()
    workers = serving.workers()
    _limit_files(serving, resource.RLIM_INFINITY)
    assert client.put(100) == 200
    assert client.create("another") == 200
    assert serving.workers() == workers, "nobody had to be started again"
    assert serving.stop() == 0
    client = _Client(serve("--workers", "1", data_dir=serving.data_dir))
    assert [client.get(number) for number in range(1, 25)] == stored
    assert client.get(100)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    yield from _disk(tmp_path / "disk", 6)


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that the server fills up alone."""
    yield from _disk(tmp_path / "own", 8)


def _disk(place: Path, megabytes: int) -> Iterator[Path]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only a superuser may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _fill_up(client: _Client, size: int, number: int = 0) -> int:
    """Puts items, from a number on, until none is accepted any more; returns how many there are."""
    refused = 0
    while refused < 5:
        if client.put(number, size) == 200:
            number, refused = number + 1, 0
        else:
            refused += 1
    return number


@pytest.mark.parametrize("size", [3_000, 20_000])
def test_a_disk_that_the_server_has_filled_up_is_left_by_deleting(serve: Serve, own_disk: Path, size: int) -> None:
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    counts = []
    for _ in range(2):
        count = _fill_up(client, size)
        counts.append(count)
        assert client.put(count, size) == 500
        assert client.create("another") == 500
        assert [client.get(number) for number in (0, count - 1, count)] == [True, True, False]
        assert {client.delete(number) for number in range(count)} == {200}
        wait_until(lambda: client.put(0, size) == 200)
        assert client.delete(0) == 200
    assert counts[1] >= counts[0] // 2, "filling and emptying uses nothing up"
    assert 1 <= serving.log.read_text().count("Make room, or delete items or tables") < 10, (
        "not said for every write"
    )
    assert serving.stop() == 0


def test_a_table_can_be_deleted_on_a_full_disk_after_a_restart(serve: Serve, own_disk: Path) -> None:
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    count = _fill_up(client, 20_000)
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    count = _fill_up(client, 20_000, count)  # copying the log at the start may leave room
    assert client.put(count, 20_000) == 500
    assert all(client.get(number) for number in range(count))
    assert client.delete(0) == 200
    assert client.call("DeleteTable")[0] == 200
    wait_until(lambda: client.create() == 200)
    wait_until(lambda: _fill_up(client, 20_000) > count // 2)
    assert serving.stop() == 0


def test_refused_requests_do_not_use_up_the_room_for_deletions(serve: Serve, own_disk: Path) -> None:
    """Each has a record in the audit trail: of all of them, more than the disk has."""
    serving = serve("--workers", "1", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    assert client.create("another") == 200
    count = _fill_up(client, 20_000)
    tags = [{"Key": f"{number}", "Value": "v" * 250} for number in range(40)]

    def repeat(_: int) -> set[int]:
        own = _Client(serving)
        return {own.call("CreateTable", **{**_TABLE, "TableName": "third", "Tags": tags})[0] for _ in range(50)}

    with ThreadPoolExecutor(8) as threads:
        assert set().union(*threads.map(repeat, range(8))) == {500}
    assert "little room left on the disk: of management operations, only" in serving.log.read_text()
    assert client.call("DeleteTable", TableName="another")[0] == 200
    assert {client.delete(number) for number in range(count)} == {200}
    wait_until(lambda: client.put(0, 20_000) == 200)
    assert serving.stop() == 0


def test_backups_do_not_use_up_the_room_for_deletions(serve: Serve, own_disk: Path) -> None:
    serving = serve("--workers", "1", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    chance = random.Random(1)
    for number in range(100):
        text = chance.randbytes(10_000).hex()  # which does not become much shorter
        assert client.call("PutItem", Item={"p": {"S": f"item-{number}"}, "d": {"S": text}})[0] == 200

    def backups() -> list[str]:
        return [backup["BackupStatus"] for backup in client.call("ListBackups")[1]["BackupSummaries"]]

    made = 0
    while not _is_out_of_room(serving):
        if client.call("CreateBackup", BackupName=f"backup-{made}")[0] == 500:
            break  # the store itself accepts only deletions by now
        made += 1
        wait_until(lambda: backups().count("AVAILABLE") == made or _is_out_of_room(serving))  # noqa: B023
    assert made > 1
    assert {client.delete(number) for number in range(100)} == {200}
    assert serving.stop() == 0


def _is_out_of_room(serving: Serving) -> bool:
    text = serving.log.read_text()
    return "what is left of its disk is kept for deletions: make room there" in text


def test_deletions_at_the_same_time_leave_a_full_disk(serve: Serve, own_disk: Path) -> None:
    """Together they would need more room in the write-ahead log than there is."""
    serving = serve("--workers", "1", "--table-delay", "0", data_dir=own_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    count = _fill_up(client, 20_000)
    senders = 50
    clients = [_Client(serving) for _ in range(senders)]
    with ThreadPoolExecutor(senders) as threads:
        for start in range(0, count - senders, senders):
            numbers = range(start, start + senders)
            assert set(threads.map(_Client.delete, clients, numbers)) == {200}
    wait_until(lambda: client.put(0, 20_000) == 200)
    assert serving.stop() == 0


def test_a_disk_that_others_fill_up_refuses_writes_until_they_make_room(serve: Serve, small_disk: Path) -> None:
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=small_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    (small_disk / "others").write_bytes(b"x" * 4_000_000)
    statuses = [client.put(number, 20_000) for number in range(200)]
    assert set(statuses) == {200, 500}
    stored = [client.get(number) for number in range(200)]
    assert stored == [status == 200 for status in statuses]
    assert "storage unavailable: " in serving.log.read_text()
    workers = serving.workers()
    (small_disk / "others").unlink()
    assert client.put(1000, 20_000) == 200
    assert serving.workers() == workers, "nobody had to be started again"
    assert serving.stop() == 0
    client = _Client(serve("--workers", "1", data_dir=serving.data_dir))
    assert [client.get(number) for number in range(200)] == stored
    assert client.get(1000)


def _fill(disk: Path) -> Path:
    """A file that takes all the space that is left."""
    path = disk / "others"
    with path.open("wb", buffering=0) as others, contextlib.suppress(OSError):
        while True:
            others.write(b"x" * 4096)
    return path


def test_a_server_on_a_full_disk_starts_when_there_is_room(serve: Serve, small_disk: Path) -> None:
    others = _fill(small_disk)
    assert "full" in _refusal(small_disk / "data")
    others.unlink()
    serving = serve("--workers", "1", "--table-delay", "0", data_dir=small_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    assert client.put(1) == 200
    assert serving.stop() == 0
    # Processes that close at the same moment may leave the log, with which a start needs no more space.
    asyncio.run(SqliteStorage.open(small_disk / "data").close())
    _fill(small_disk)
    client = _Client(serve("--workers", "1", data_dir=small_disk / "data"))
    assert client.get(1)
    assert client.put(2) == 500
    assert client.delete(1) == 200, "the reserve has room for it"


def test_a_directory_that_became_read_only_is_one_clear_line(serve: Serve, small_disk: Path) -> None:
    serving = serve("--workers", "1", "--table-delay", "0", data_dir=small_disk / "data")
    client = _Client(serving)
    assert client.create() == 200
    assert client.put(1) == 200
    assert serving.stop() == 0
    before = (serving.data_dir / "blotter.db").read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert _refusal(serving.data_dir) == (
        f"blotter serve: data directory {serving.data_dir} cannot be written: Read-only file system\n"
    )
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert (serving.data_dir / "blotter.db").read_bytes() == before
    assert _Client(serve("--workers", "1", data_dir=serving.data_dir)).get(1)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database file with two hundred items."""
    folder = tmp_path_factory.mktemp("content")
    database = InProcessDatabase(folder)
    assert database.call("CreateTable", _TABLE)[0] == 200
    for number in range(200):
        assert database.call("PutItem", {"TableName": "disk", "Item": _item(number, 300)})[0] == 200
    database.close()
    return (folder / "blotter.db").read_bytes()


@pytest.fixture
def stopped(tmp_path: Path, content: bytes) -> Path:
    """The same in a directory that no server uses."""
    path = tmp_path / "data" / "blotter.db"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _page_of_items(content: bytes | bytearray) -> int:
    """Where a page begins that holds nothing but items."""
    starts = range(0, len(content), _PAGE)
    return next(at for at in starts if content[at] == _LEAF and content[at : at + _PAGE].count(b"item-") > 4)


def test_a_damaged_page_costs_its_own_items_only_and_is_left_alone(serve: Serve, stopped: Path) -> None:
    content = bytearray(stopped.read_bytes())
    start = _page_of_items(content)
    good = content[start : start + 8]
    content[start : start + 8] = bytes(byte ^ 0x55 for byte in good)
    stopped.write_bytes(content)

    serving = serve("--workers", "2", data_dir=stopped.parent)
    client = _Client(serving)
    found = [client.get(number) for number in range(200)]
    assert 150 < found.count(True) < 200
    assert False not in found, "of an item that cannot be read it is not said that there is none"
    assert client.call("Scan")[0] == 500, "a scan does not leave out what it cannot read"
    assert _WRONG_SUM in serving.log.read_text()
    assert serving.stop() == 0

    after = bytearray(stopped.read_bytes())
    assert after[start : start + _PAGE] == content[start : start + _PAGE]
    after[start : start + 8] = good
    stopped.write_bytes(after)
    client = _Client(serve("--workers", "1", data_dir=stopped.parent))
    assert all(client.get(number) for number in range(200))


@pytest.mark.parametrize("where", ["key", "body"])
def test_a_flipped_bit_is_a_500_and_a_line_in_the_log(serve: Serve, stopped: Path, where: str) -> None:
    """Where no structure of SQLite's betrays it."""
    content = bytearray(stopped.read_bytes())
    key = re.compile(rb"item-(\d+)").search(content, _page_of_items(content))
    assert key is not None
    number = int(key[1])
    at = key.end() - 1 if where == "key" else content.index(b"x" * 200, key.end())
    content[at] ^= 1  # another number, or xxxyxxx
    stopped.write_bytes(content)

    serving = serve("--workers", "2", data_dir=stopped.parent)
    client = _Client(serving)
    status, answer = client.call("GetItem", Key={"p": {"S": f"item-{number}"}})
    assert (status, answer["__type"].partition("#")[2]) == (500, "InternalServerError")
    status, answer = client.call("PutItem", Item=_item(number, 10))
    assert (status, answer["__type"].partition("#")[2]) == (500, "InternalServerError")
    found = [client.get(number) for number in range(200)]
    assert 150 < found.count(True) < 200
    assert False not in found
    assert client.put(1000) == 200
    assert f"storage unavailable: {_WRONG_SUM}" in serving.log.read_text()
    assert serving.stop() == 0

    after = bytearray(stopped.read_bytes())
    after[at] ^= 1
    stopped.write_bytes(after)
    client = _Client(serve("--workers", "1", data_dir=stopped.parent))
    assert all(client.get(number) for number in range(200))
    assert client.get(1000)


def _refusal(data_dir: Path | str) -> str:
    command, environment = serve_command("--port", "0", "--data-dir", str(data_dir))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def test_a_damaged_first_page_is_one_clear_line_and_is_left_alone(stopped: Path) -> None:
    content = bytearray(stopped.read_bytes())
    content[100:108] = bytes(byte ^ 0x55 for byte in content[100:108])
    stopped.write_bytes(content)
    assert _refusal(stopped.parent) == (f"blotter serve: {stopped} cannot be opened: {_WRONG_SUM}\n")
    assert stopped.read_bytes() == content


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (10 * _PAGE, "database disk image is malformed"),
        (10 * _PAGE + 100, "has been cut short"),
        (50, "database disk image is malformed"),
    ],
)
def test_a_file_cut_short_is_one_clear_line_and_is_left_alone(stopped: Path, size: int, message: str) -> None:
    content = stopped.read_bytes()[:size]
    stopped.write_bytes(content)
    assert message in _refusal(stopped.parent)
    assert stopped.read_bytes() == content


def test_a_file_of_a_newer_version_is_one_clear_line_and_is_left_alone(stopped: Path) -> None:
    connection = apsw.Connection(str(stopped))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    content = stopped.read_bytes()
    assert _refusal(stopped.parent) == (
        f"blotter serve: {stopped} has format 99; this version of blotter knows formats up to {FORMAT_VERSION}. "
        "It was left as it is: start a newer blotter on it.\n"
    )
    assert stopped.read_bytes() == content


@pytest.mark.parametrize(
    ("data_dir", "message"), [("/proc/blotter", "cannot be made"), ("/proc/sys", "cannot be written")]
)
def test_a_directory_that_cannot_be_written_is_one_clear_line(data_dir: str, message: str) -> None:
    """The process file system, because a superuser may write to whatever else is read-only."""
    assert _refusal(data_dir).startswith(f"blotter serve: data directory {data_dir} {message}: ")
