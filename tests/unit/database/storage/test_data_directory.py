"""One server per data directory: claimed, refused by name, free again when the holder is gone however it went."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite import SqliteStorage

HOLDER = """
import sys
from blotter.database.storage.data_directory import DataDirectory
claim = DataDirectory.claim(sys.argv[1])
print("claimed", flush=True)
sys.stdin.read()
"""


def start_holder(path: Path) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"claimed\n"
    return holder


def stop(holder: subprocess.Popen[bytes]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert holder.stdout is not None
    assert holder.stdin is not None
    holder.stdin.close()
    holder.stdout.close()


def test_a_directory_is_made_with_all_above_it(tmp_path: Path) -> None:
    claim = DataDirectory.claim(tmp_path / "a" / "b")
    assert claim.path.is_dir()
    claim.release()
    claim.release()


def test_a_second_server_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    holder = start_holder(tmp_path)
    try:
        with pytest.raises(
            DataDirectoryError, match=rf"in use by another blotter server \(process {holder.pid}\)"
        ):
            DataDirectory.claim(tmp_path)
    finally:
        stop(holder)


def test_a_killed_server_leaves_nothing_to_clean_up(tmp_path: Path) -> None:
    stop(start_holder(tmp_path))
    claim = DataDirectory.claim(tmp_path)
    with pytest.raises(DataDirectoryError, match=f"process {os.getpid()}"):
        DataDirectory.claim(tmp_path)
    claim.release()
    DataDirectory.claim(tmp_path).release()


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="cannot be"):
        DataDirectory.claim(tmp_path / "file" / "data")


def test_a_directory_and_its_files_are_made_private(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "folder").mkdir()
    (directory / "blotter.db").write_text("")
    for path, mode in ((directory, 0o755), (directory / "blotter.db", 0o664), (directory / "folder", 0o755)):
        path.chmod(mode)
    DataDirectory.claim(directory).release()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}
    assert modes == {"data": 0o700, "blotter.db": 0o600, "server.lock": 0o600, "folder": 0o755}
    assert "other users had access to blotter.db, data; it is private now" in caplog.text
    caplog.clear()
    DataDirectory.claim(directory).release()
    assert not caplog.records
    directory.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    DataDirectory.claim(directory).release()
    assert "which belongs to another user: make it private" in caplog.text


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        storage = SqliteStorage.open(tmp_path / "data")
        asyncio.run(_use(storage))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    asyncio.run(storage.close())


async def _use(storage: SqliteStorage) -> None:
    await storage.write(lambda tx: tx.new_space())


def test_a_copy_of_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    claim = DataDirectory.claim(tmp_path / "original")
    copy = Path(shutil.copytree(tmp_path / "original", tmp_path / "copy"))
    with pytest.raises(DataDirectoryError, match="is a copy of a directory that a server was using"):
        DataDirectory.claim(copy)
    (copy / "server.lock").unlink()
    DataDirectory.claim(copy).release()
    claim.release()
    stopped = Path(shutil.copytree(tmp_path / "original", tmp_path / "stopped"))
    DataDirectory.claim(stopped).release()


def test_a_file_system_without_locks_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(DataDirectoryError, match="its file system does not support locks"):
        DataDirectory.claim(tmp_path)
    with pytest.raises(DataDirectoryError, match="its file system does not support locks"):
        SqliteStorage.open(tmp_path)
