"""`blotter keys`: what it changes, what it refuses, and that it goes on where it was interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.inspection.contents import read_contents
from blotter.database.inspection.text import contents_lines
from blotter.database.rekeying import change as module
from blotter.database.rekeying.change import change, rotate, status
from blotter.database.rekeying.cli import keys
from blotter.database.storage.protocol import DataDirectoryError, Storage, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStore, conversion
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE

FAULTS = Path(__file__).parents[3] / "faults"
TEXT = b"a well-known text"
ITEMS = 500


def _fill(tx: WriteTransaction) -> None:
    for number in range(ITEMS):
        body = TEXT * (1 + number % 20 * 4)
        tx.put(1, StoredItem(b"%05d" % number, len(body), body), None)


def _use(directory: Path, master: MasterKey | None, work: Callable[[Storage], object]) -> object:
    async def use() -> object:
        storage = store.open()
        result = work(storage)
        await storage.close()
        return result

    store = SqliteStore(directory, master)
    store.claim()
    try:
        return asyncio.run(use())
    finally:
        store.release()


def _write(storage: Storage, handler: Callable[[WriteTransaction], object]) -> None:
    """Within the running loop of `_use`, whose `close` waits for it."""
    storage.submit(handler, lambda _, error: None if error is None else pytest.fail(str(error)))


def _count(storage: Storage) -> int:
    with storage.read() as tx:  # type: ignore[union-attr]
        return len(tx.items(1, b"", None, 1 << 30))


@pytest.fixture
def make_master(tmp_path: Path) -> Callable[[str], MasterKey]:
    def make(name: str) -> MasterKey:
        path = tmp_path / name
        path.write_bytes(os.urandom(32))
        path.chmod(0o600)
        return parse_master_key(f"file:{path}")

    return make


@pytest.fixture
def master(make_master: Callable[[str], MasterKey]) -> MasterKey:
    return make_master("master")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A plain directory with ITEMS."""
    path = tmp_path / "data"
    _use(path, None, lambda storage: _write(storage, _fill))
    return path


def _silent(_done: int, _total: int) -> None: ...


def _state(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _run(*arguments: str) -> Result:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner(catch_exceptions=False).invoke(keys, arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_whole_way_on_the_command_line(
    directory: Path, master: MasterKey, make_master: Callable[[str], MasterKey]
) -> None:
    def run(command: str, *more: str) -> tuple[int, str]:
        result = _run(command, "--data-dir", str(directory), *more)
        return result.exit_code, result.output.replace(str(directory), "DIR")

    other = make_master("other")
    key, another = ("--master-key", master.text), ("--master-key", other.text)
    assert run("status") == (0, "DIR: not encrypted\n")
    assert run("decrypt", *key) == (0, "DIR: nothing to do: nothing is encrypted\n")
    plain = "DIR is not encrypted: `blotter keys encrypt` does that, with this --master-key"
    assert run("rekey", *key) == (1, f"blotter keys rekey: {plain}\n")
    assert run("rotate", *key) == (1, f"blotter keys rotate: {plain}\n")
    assert run("encrypt", *key) == (0, "DIR: everything is encrypted\n")
    assert TEXT not in (directory / FILE_NAME).read_bytes()
    assert _use(directory, master, _count) == ITEMS
    assert run("encrypt", *key) == (0, "DIR: nothing to do: everything is encrypted\n")
    first = status(directory).file
    assert run("rekey", *key) == (0, "DIR: everything is encrypted under a new data key\n")
    second = status(directory).file
    assert first is not None
    assert second is not None
    assert first.current != second.current
    assert [each.id for each in second.keys] == [second.current, first.current]  # copies elsewhere need the first
    code, text = run("rotate", *key, "--new-master-key", other.text)
    assert (code, text) == (0, f"DIR: the data key is wrapped by {other.text} from now on\n")
    assert (
        run("status")[1].splitlines()[0] == f"DIR: data key {second.current} of {second.keys[0].created}, in use"
    )
    assert "kept to read copies elsewhere" in run("status")[1].splitlines()[2]
    code, text = run("rekey", *key)
    assert code == 1
    assert f"is not the one that DIR was encrypted with (local {other.id})" in text
    assert _use(directory, other, _count) == ITEMS
    assert run("decrypt", *another) == (0, "DIR: nothing is encrypted\n")
    assert _use(directory, None, _count) == ITEMS


@pytest.mark.parametrize("command", ["encrypt", "decrypt", "rekey", "rotate"])
def test_a_key_on_the_command_line_is_not_repeated(directory: Path, command: str) -> None:
    secret = "5ec7e7" * 10 + "5ec7"
    result = _run(command, "--data-dir", str(directory), "--master-key", secret)
    assert result.exit_code == 64
    assert "must be file:PATH, env:NAME or aws-kms:KEY-ARN" in result.output
    assert secret not in result.output


def _interrupted(directory: Path, master: MasterKey, goal: module.Goal, after: int) -> list[int]:
    """Interrupts a change after some slices; the bytes that the copy had after each."""
    seen: list[int] = []

    def progress(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change(directory, master, goal, progress)
    return seen


def test_an_interrupted_copy_goes_on_after_its_last_slice(
    directory: Path, master: MasterKey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(conversion, "SLICE_BYTES", 20_000)
    _interrupted(directory, master, "encrypt", 10)
    assert status(directory).unfinished == "encrypt"
    assert _use(directory, master, _count) == ITEMS
    assert "stop the server and finish it with `blotter keys encrypt`" in caplog.text
    reached = _interrupted(directory, master, "encrypt", 1)[0]
    assert _interrupted(directory, master, "encrypt", 5)[0] >= reached
    assert change(directory, master, "encrypt", _silent)
    assert _use(directory, master, _count) == ITEMS
    assert TEXT not in b"".join(_state(directory).values())


def test_a_copy_of_what_was_written_to_since_begins_again(
    directory: Path, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "SLICE_BYTES", 20_000)
    _interrupted(directory, master, "encrypt", 10)

    def replace(tx: WriteTransaction) -> None:
        first = tx.get(1, b"00000")
        assert first is not None
        tx.delete(1, first)
        tx.put(1, StoredItem(b"new", 3, b"new"), None)

    _use(directory, master, lambda storage: _write(storage, replace))
    assert change(directory, master, "encrypt", _silent)

    def check(storage: Storage) -> None:
        with storage.read() as tx:  # type: ignore[union-attr]
            assert (tx.get(1, b"00000"), tx.get(1, b"new")) == (None, StoredItem(b"new", 3, b"new"))
            assert tx.statistics(1).items == ITEMS

    _use(directory, master, check)


def test_an_unfinished_change_can_be_turned_back(
    directory: Path, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "SLICE_BYTES", 20_000)
    _interrupted(directory, master, "encrypt", 5)
    with pytest.raises(DataDirectoryError, match="finish it with `blotter keys encrypt`"):
        change(directory, master, "rekey", _silent)
    assert change(directory, master, "decrypt", _silent)
    assert sorted(path.name for path in directory.iterdir() if not path.name.endswith(".lock")) == [
        FILE_NAME,
        "secret-key",
    ]
    assert _use(directory, None, _count) == ITEMS
    assert change(directory, master, "encrypt", _silent)
    _interrupted(directory, master, "rekey", 5)
    with pytest.raises(DataDirectoryError, match="finish it with `blotter keys rekey`"):
        change(directory, master, "decrypt", _silent)
    assert change(directory, master, "rekey", _silent)
    _interrupted(directory, master, "decrypt", 5)
    assert change(directory, master, "encrypt", _silent)
    assert _use(directory, master, _count) == ITEMS
    assert TEXT not in b"".join(_state(directory).values())


def test_without_room_for_the_new_file_nothing_is_begun(
    directory: Path, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = list(os.statvfs(directory))
    values[4] = 1  # blocks that are free for others than root
    before = (directory / FILE_NAME).read_bytes()
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    with pytest.raises(
        DataDirectoryError, match=r"the new file needs [\d,]+ bytes beside the old one; .* has [\d,]+ free"
    ):
        change(directory, master, "encrypt", _silent)
    monkeypatch.undo()
    assert (directory / FILE_NAME).read_bytes() == before
    assert not (directory / f"{FILE_NAME}{conversion.SUFFIX}").exists()
    assert _use(directory, master, _count) == ITEMS


def test_a_directory_in_use_or_a_wrong_key_is_left_alone(
    directory: Path, master: MasterKey, make_master: Callable[[str], MasterKey]
) -> None:
    store = SqliteStore(directory)
    store.claim()
    before = _state(directory)
    with pytest.raises(DataDirectoryError, match="is in use by another blotter server"):
        change(directory, master, "encrypt", _silent)
    assert _state(directory) == before
    store.release()
    change(directory, master, "encrypt", _silent)
    before = _state(directory)
    for goal in ("encrypt", "decrypt", "rekey"):
        with pytest.raises(DataDirectoryError, match="is not the one that"):
            change(directory, make_master("wrong"), goal, _silent)  # type: ignore[arg-type]
    assert _state(directory) == before


@pytest.mark.parametrize("encrypted", [False, True])
def test_damage_stops_a_change_and_replaces_nothing(directory: Path, master: MasterKey, encrypted: bool) -> None:
    if encrypted:
        change(directory, master, "encrypt", _silent)
    path = directory / FILE_NAME
    content = bytearray(path.read_bytes())
    content[len(content) - 3 * PAGE_SIZE + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataDirectoryError, match=r"nothing was replaced"):
        change(directory, master, "rekey" if encrypted else "encrypt", _silent)
    assert path.read_bytes() == bytes(content)


def test_a_damaged_audit_file_is_named(directory: Path, master: MasterKey) -> None:
    change(directory, master, "encrypt", _silent)
    store = SqliteStore(directory, master)
    store.claim()
    stored = bytearray(store.file_cipher().encode(b"record"))
    store.release()
    stored[-1] ^= 1
    path = directory / "audit" / "file"
    path.parent.mkdir()
    path.write_bytes(stored)
    with pytest.raises(DataDirectoryError, match="file is damaged: it does not authenticate"):
        change(directory, master, "rekey", _silent)
    path.unlink()
    assert change(directory, master, "rekey", _silent)


def test_wrapping_anew_needs_no_stop_and_changes_one_file(
    directory: Path, master: MasterKey, make_master: Callable[[str], MasterKey]
) -> None:
    change(directory, master, "encrypt", _silent)
    store = SqliteStore(directory, master)
    store.claim()
    before = _state(directory)
    rotate(directory, master, master)
    rotate(directory, master, make_master("new"))
    after = _state(directory)
    assert {name for name in after if after[name] != before.get(name)} == {"keys.json"}
    assert asyncio.run(_opened(store)) == ITEMS  # as a worker that is started again
    store.release()


def test_wrapping_anew_in_the_middle_of_a_change(
    directory: Path, master: MasterKey, make_master: Callable[[str], MasterKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other works; at once, the second is refused, or a data key could be lost."""
    monkeypatch.setattr(conversion, "SLICE_BYTES", 20_000)
    other = make_master("other")

    def rotate_meanwhile(_done: int, _total: int) -> None:
        with pytest.raises(DataDirectoryError, match="another `blotter keys` is at work on"):
            rotate(directory, master, other)
        raise KeyboardInterrupt

    change(directory, master, "encrypt", _silent)
    with pytest.raises(KeyboardInterrupt):
        change(directory, master, "rekey", rotate_meanwhile)
    rotate(directory, master, other)
    assert status(directory).unfinished == "rekey"
    assert _use(directory, other, _count) == ITEMS
    assert change(directory, other, "rekey", _silent)
    assert _use(directory, other, _count) == ITEMS


def test_what_is_shown_of_an_encrypted_directory(directory: Path, master: MasterKey) -> None:
    plain = read_contents(directory)
    assert (plain.checksums, plain.encryption) == (True, None)
    change(directory, master, "encrypt", _silent)
    contents = read_contents(directory, master)
    assert contents.encryption is not None
    assert contents.encryption.master_key == f"local {master.id}"
    text = "\n".join(contents_lines(contents))
    assert f"encryption       aegis-256, data key {contents.encryption.data_key} of " in text
    with pytest.raises(KeyboardInterrupt):
        change(directory, master, "rekey", _interrupt)
    assert "unfinished     a change of keys was interrupted" in "\n".join(
        contents_lines(read_contents(directory, master))
    )


def _interrupt(_done: int, _total: int) -> None:
    raise KeyboardInterrupt


async def _opened(store: SqliteStore) -> int:
    storage = store.open()
    try:
        return _count(storage)
    finally:
        await storage.close()


def test_nothing_is_lost_by_kills() -> None:
    """A short run; with `--rounds 0` the script kills before every step."""
    child = subprocess.run(
        [sys.executable, FAULTS / "keys_kill.py", "--rounds", "3"], capture_output=True, text=True, timeout=300
    )
    assert child.returncode == 0, child.stderr
    assert "nothing was lost" in child.stdout
