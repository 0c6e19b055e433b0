"""Sorted runs give what a dictionary would, in key order, from any key on."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from blotter.database.copies import sorting
from blotter.database.copies.sorting import SortedRuns
from blotter.database.encryption.data_keys import ID_BYTES, KEY_BYTES, DataKey
from blotter.database.encryption.files import FileCipher
from blotter.database.shared_disk import SharedDisk
from blotter.database.storage.protocol import Row

KEY = DataKey(b"k" * ID_BYTES, b"m" * KEY_BYTES)
PLAIN = FileCipher(None, lambda _: None)
ENCRYPTED = FileCipher(KEY, lambda key_id: KEY if key_id == KEY.id else None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cipher", [PLAIN, ENCRYPTED], ids=["plain", "encrypted"])
def test_rows_come_out_in_order_and_the_last_of_a_key_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cipher: FileCipher, seed: int
) -> None:
    monkeypatch.setattr(sorting, "BLOCK_BYTES", 60)
    monkeypatch.setattr(sorting, "SORTED_ROWS", 7)
    monkeypatch.setattr(sorting, "MERGED_ROWS", 3)
    chance = random.Random(seed)
    folder = tmp_path / "scratch" / "runs"
    expected: dict[bytes, Row] = {}
    runs = SortedRuns(folder if seed else None, cipher, memory_bytes=3000)
    for number in range(60):
        rows = [(b"%03d" % chance.randrange(200), number, b"v%d" % number) for _ in range(chance.randrange(5))]
        runs.add(rows)
        expected |= {row[0]: row for row in rows}
        if runs.is_full:
            runs.spill()
    assert runs.runs > 1 or not seed
    for after in (None, b"", b"000", b"100", b"999"):
        merged = [row for block in runs.merged(after) for row in block]
        assert merged == [expected[key] for key in sorted(expected) if after is None or key > after]
    if seed:
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    runs.remove()
    assert not folder.exists()


def test_runs_are_found_again_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    first = SortedRuns(folder, PLAIN)
    first.add([(b"b", 1, b"1"), (b"a", 2, b"2")])
    assert first.spill() == 1
    first.add([(b"a", 3, b"3")])
    assert first.spill() == 2
    (folder / ".half").write_bytes(b"half")
    again = SortedRuns(folder, PLAIN, runs=1)
    assert [row for block in again.merged() for row in block] == [(b"a", 2, b"2"), (b"b", 1, b"1")]
    assert [path.name for path in folder.iterdir()] == ["run-000000"]


def test_an_encrypted_run_shows_nothing(tmp_path: Path) -> None:
    runs = SortedRuns(tmp_path / "runs", ENCRYPTED)
    runs.add([(b"plain-key", 1, b"plain-body")])
    runs.spill()
    (path,) = (tmp_path / "runs").iterdir()
    assert b"plain" not in path.read_bytes()


def test_a_run_leaves_the_store_its_room(tmp_path: Path) -> None:
    spare = [1_000_000]
    runs = SortedRuns(tmp_path / "runs", PLAIN, disk=SharedDisk(tmp_path, lambda: spare[0]))
    rows = [(b"%03d" % number, 1, bytes(9_000)) for number in range(100)]
    runs.add(rows)
    spare[0] = 500_000
    with pytest.raises(OSError, match="what is left of its disk is kept for deletions"):
        runs.spill()
    assert list((tmp_path / "runs").iterdir()) == []
    spare[0] = 1_000_000
    assert runs.spill() == 1
    assert [row for block in runs.merged() for row in block] == rows


def test_no_folder_of_runs_can_be_entered_by_others(tmp_path: Path) -> None:
    """Those above it neither, which it makes; `mkdir` gives these what the umask leaves."""
    SortedRuns(tmp_path / "scratch" / "job", PLAIN)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")} == {0o700}
