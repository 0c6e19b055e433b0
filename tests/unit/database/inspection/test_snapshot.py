"""`blotter snapshot`: whole, sound and private, or nothing that looks like it; beside a running server too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result

import blotter.database.inspection.snapshot as module
from blotter.database.inspection.check import check
from blotter.database.inspection.cli import snapshot_command
from blotter.database.inspection.snapshot import snapshot
from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.copying import SLICE_PAGES
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE
from tests.in_process import InProcessDatabase

BODY = b"x" * 3000
ITEMS = 2 * SLICE_PAGES


def _put(number: int) -> Callable[[WriteTransaction], None]:
    return lambda tx: tx.put(0, StoredItem(b"key-%06d" % number, len(BODY), BODY), None)


def _fill(tx: WriteTransaction) -> None:
    for number in range(ITEMS):
        _put(number)(tx)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of several slices that no server uses."""
    directory = tmp_path / "source"
    database = InProcessDatabase(directory)
    database.run(database.storage.write(_fill))
    database.close()
    return directory


def _count(directory: Path) -> int:
    connection = apsw.Connection(str(directory / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.execute("SELECT count(*) FROM items").get)
    finally:
        connection.close()


def _silent(_done: int, _total: int) -> None:
    pass


def _run(source: Path, target: Path) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        arguments = [str(target), "--data-dir", str(source)]
        return CliRunner(catch_exceptions=False).invoke(snapshot_command, arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("exists", [False, True])
def test_a_copy_is_whole_private_and_of_use(source: Path, tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "copy"
    if exists:
        target.mkdir()
    umask = os.umask(0)
    try:
        result = _run(source, target)
    finally:
        os.umask(umask)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(", no damage found\n")
    assert _names(target) == [FILE_NAME]
    assert (target.stat().st_mode & 0o777, (target / FILE_NAME).stat().st_mode & 0o777) == (0o700, 0o600)
    assert _names(tmp_path) == ["copy", "source"]
    assert check(target).is_sound
    assert _count(target) == ITEMS
    DataDirectory.claim(target).release()
    database = InProcessDatabase(target)
    database.run(database.storage.write(_put(ITEMS)))
    database.close()
    assert check(target).is_sound


def test_a_copy_beside_writers_is_of_the_moment_at_which_it_began(source: Path, tmp_path: Path) -> None:
    """A write and a checkpoint between any two slices; what is in the log belongs to it."""
    database = InProcessDatabase(source)
    database.run(database.storage.write(_put(ITEMS)))
    written: list[int] = []

    def write_more(_done: int, _total: int) -> None:
        written.append(ITEMS + 1 + len(written))
        database.run(database.storage.write(_put(written[-1])))
        storage = database.storage
        assert isinstance(storage, SqliteStorage)
        storage._checkpoint_connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    size = snapshot(source, tmp_path / "copy", write_more)
    database.close()
    assert len(written) >= 2
    assert size == (tmp_path / "copy" / FILE_NAME).stat().st_size
    assert _count(tmp_path / "copy") == ITEMS + 1
    assert check(tmp_path / "copy").is_sound


@pytest.mark.parametrize("name", ["file", "directory", "link", "source"])
def test_what_exists_is_left_alone(source: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("here")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "something").touch()
    (tmp_path / "link").symlink_to("nowhere")
    before = _names(tmp_path)
    result = _run(source, tmp_path / name)
    assert result.exit_code == 2
    assert result.output == (
        f"blotter snapshot: {tmp_path / name} exists and is not an empty directory; nothing was written\n"
    )
    assert _names(tmp_path) == before


def test_what_came_into_being_meanwhile_is_left_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"

    def intrude(_done: int, _total: int) -> None:
        target.mkdir(exist_ok=True)
        (target / "something").touch()

    with pytest.raises(DataDirectoryError, match="is not an empty directory"):
        snapshot(source, target, intrude)
    assert _names(tmp_path) == ["copy", "source"]
    assert _names(target) == ["something"]


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere/copy", "No such file or directory"), ("file/copy", "Not a directory")]
)
def test_a_place_that_cannot_be_written_is_one_line(source: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    result = _run(source, tmp_path / name)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert message in result.output


def test_no_database_is_one_line(tmp_path: Path) -> None:
    result = _run(tmp_path / "nothing", tmp_path / "copy")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert _names(tmp_path) == []


def test_a_disk_without_room_is_told_before_anything_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = list(os.statvfs(tmp_path))
    values[3] = values[4] = 1  # blocks free
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    result = _run(source, tmp_path / "copy")
    assert result.exit_code == 2
    assert "the copy needs" in result.output
    assert _names(tmp_path) == ["source"]


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_damaged_page_is_not_copied(source: Path, tmp_path: Path, where: str) -> None:
    content = bytearray((source / FILE_NAME).read_bytes())
    content[PAGE_SIZE + 1000 if where == "first" else len(content) - 2000] ^= 1
    (source / FILE_NAME).write_bytes(content)
    result = _run(source, tmp_path / "copy")
    assert result.exit_code == 1
    assert _names(tmp_path) == ["source"]


def test_damage_that_only_the_checks_find_is_reported_and_not_kept(source: Path, tmp_path: Path) -> None:
    database = InProcessDatabase(source)
    storage = database.storage
    assert isinstance(storage, SqliteStorage)
    storage._write_connection.execute("UPDATE counters SET value = -5").get  # noqa: B018
    database.close()
    result = _run(source, tmp_path / "copy")
    assert result.exit_code == 1
    assert "the catalog has no generation" in result.output
    assert result.output.endswith("has damage, and so had its copy; nothing was kept\n")
    assert _names(tmp_path) == ["source"]


@pytest.mark.parametrize("step", ["copy_file", "check", "mark_whole", "sync_directory", "rename_into_place"])
def test_an_interruption_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, interrupt)
    result = _run(source, tmp_path / "copy")
    assert (result.exit_code, result.output) == (130, "blotter snapshot: interrupted; nothing was kept\n")
    assert _names(tmp_path) == ["source"]


_KILLED = """
import os, signal, sys
from pathlib import Path
import blotter.database.inspection.snapshot as module

step, source, target = sys.argv[1:]

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if step == "slice":
    module.snapshot(Path(source), Path(target), kill)
setattr(module, step, kill)
module.snapshot(Path(source), Path(target), lambda *_: None)
"""


@pytest.mark.parametrize("step", ["slice", "check", "mark_whole"])
def test_what_a_killed_command_leaves_is_refused_by_a_server(source: Path, tmp_path: Path, step: str) -> None:
    command = [sys.executable, "-c", _KILLED, step, str(source), str(tmp_path / "copy")]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    left, _ = _names(tmp_path)
    assert left.startswith(".copy.incomplete-")
    assert (tmp_path / left).stat().st_mode & 0o777 == 0o700
    with pytest.raises(DataDirectoryError, match="items may be missing"):
        DataDirectory.claim(tmp_path / left)
    assert _run(source, tmp_path / "copy").exit_code == 0, "it is in nobody's way"


def test_long_work_tells_how_far_it_is(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blotter.database.commands.reporting.PROGRESS_SECONDS", 0.0)
    result = _run(source, tmp_path / "copy")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) >= 3
    assert lines[0].startswith("blotter snapshot: 1.0 MB of ")
    assert lines[0].endswith(" copied")
