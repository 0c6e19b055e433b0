"""One server per data directory: claimed, refused by name, free again when the holder is gone however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError

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
