"""`blotter store copy` between data directories: what it refuses and leaves, keys, files beside the data."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from blotter.database.encryption.files import is_under
from blotter.database.encryption.master_keys import parse_master_key
from blotter.database.inspection.check import check
from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.records import save_record
from blotter.database.storage.sqlite.store import SqliteStore
from blotter.database.store_copy import comparing, copying
from blotter.database.store_copy.sqlite_ends import SqliteSource
from tests.unit.database.store_copy.commands import ITEMS, copy, count, make_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory that no server uses."""
    make_source(tmp_path / "source").release()
    return tmp_path / "source"


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """Two master keys."""
    made = []
    for number in range(2):
        path = tmp_path / f"key-{number}"
        path.write_text(os.urandom(32).hex())
        path.chmod(0o600)
        made.append(f"file:{path}")
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_directory_that_nobody_uses_is_copied(source: Path, tmp_path: Path) -> None:
    result = copy(source, tmp_path / "deep" / "target")
    assert result.exit_code == 0, result.output
    assert f"1 tables with {ITEMS} items" in result.output
    assert f"Start servers on {tmp_path / 'deep' / 'target'}" in result.output
    assert names(tmp_path / "deep") == ["target"]
    assert (tmp_path / "deep" / "target").stat().st_mode & 0o077 == 0
    assert count(tmp_path / "deep" / "target") == ITEMS
    assert check(tmp_path / "deep" / "target", None).is_sound
    assert count(source) == ITEMS, "the source is still what it was"


def test_the_result_as_json_has_a_checksum_of_every_space(source: Path, tmp_path: Path) -> None:
    result = copy(source, tmp_path / "target", "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["items"] == ITEMS
    by_name = {space["name"].rpartition("table/")[2]: space for space in found["spaces"]}
    assert set(by_name) == {"records", "metrics", "first", "first/index/by-v", "first/index/local"}
    assert by_name["first"]["rows"] == by_name["first/index/by-v"]["rows"] == ITEMS
    assert len({space["checksum"] for space in found["spaces"] if space["rows"]}) == 4


@pytest.mark.parametrize("encrypted", [(False, True), (True, False), (True, True)], ids=str)
def test_keys_change_and_secrets_stay(tmp_path: Path, keys: list[str], encrypted: tuple[bool, bool]) -> None:
    """What was sealed under the source's secret can be opened in the target, and files are under the new key."""
    ours, theirs = (key if wanted else None for key, wanted in zip(keys, encrypted, strict=True))
    made = make_source(tmp_path / "source", ours)
    secret, cipher = made.secret_key("sealing"), made.file_cipher()
    backup = tmp_path / "source" / "objects" / "backups" / "one"
    backup.parent.mkdir(parents=True)
    backup.write_bytes(cipher.encode(b"a backup " * 20_000))
    made.release()
    variables = {} if ours is None else {"BLOTTER_MASTER_KEY": ours}
    if theirs is not None:
        variables["BLOTTER_TARGET_MASTER_KEY"] = theirs
    result = copy(tmp_path / "source", tmp_path / "target", **variables)
    assert result.exit_code == 0, result.output
    key = None if theirs is None else parse_master_key(theirs)
    target = SqliteStore(tmp_path / "target", key)
    assert target.secret_key("sealing") == secret
    stored = (tmp_path / "target" / "objects" / "backups" / "one").read_bytes()
    assert target.file_cipher().decode(stored) == b"a backup " * 20_000
    assert is_under(stored, None) is (theirs is None)
    assert count(tmp_path / "target", key) == ITEMS
    assert check(tmp_path / "target", key).is_sound


def test_what_is_refused(source: Path, tmp_path: Path, keys: list[str]) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for arguments, expected in (
        ((source, full), "full exists and is not an empty directory; nothing was written"),
        ((source, source), "source cannot be copied into itself"),
        ((tmp_path / "none", tmp_path / "target"), "none holds no blotter database: there is no blotter.db"),
        ((source, Path("memory:")), "FROM and TO must each be a data directory"),
        ((source, tmp_path / "target", "--master-key", keys[0]), "is not encrypted: `blotter keys encrypt`"),
        ((source, Path("/proc/none/target")), "cannot be made"),
    ):
        result = copy(*arguments)  # type: ignore[arg-type]
        assert result.exit_code == 2, result.output
        assert expected in result.output
    assert not (tmp_path / "target").exists()
    assert names(full) == ["file"]
    assert not (tmp_path / "none").exists()


def test_two_copies_of_a_source_at_once_are_refused(source: Path, tmp_path: Path) -> None:
    first = SqliteSource(source, None)
    storage = asyncio.run(first.open())
    result = copy(source, tmp_path / "target")
    assert result.exit_code == 2
    assert f"{source} is being copied already" in result.output
    asyncio.run(storage.close())
    asyncio.run(first.release())
    assert copy(source, tmp_path / "target").exit_code == 0


def test_the_location_may_name_its_kind(source: Path, tmp_path: Path) -> None:
    result = copy(Path(f"sqlite:{source}"), Path(f"sqlite:{tmp_path / 'target'}"))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("step", ["copying items", "comparing", "comparing the change log"])
def test_an_interrupted_copy_leaves_nothing(
    source: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object, what: str, __: int) -> None:
        if what == step:
            raise KeyboardInterrupt

    monkeypatch.setattr("blotter.database.commands.reporting.Progress.__call__", interrupt)
    result = copy(source, tmp_path / "target")
    assert result.exit_code == 130, result.output
    assert "interrupted; the target cannot be used: repeat the command, which begins anew" in result.output
    assert names(tmp_path) == ["source"]
    DataDirectory.claim(source).release()


def test_a_killed_copy_leaves_no_target(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves is refused by servers, and another copy begins anew."""

    async def dies(*_: object) -> None:
        raise OSError("killed")

    async def nothing(*_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(comparing.Comparison, "run", dies)
        patch.setattr("blotter.database.store_copy.sqlite_ends.SqliteTarget.abandon", nothing)
        patch.setattr(copying, "_release", lambda _: None)
        assert isinstance(copy(source, tmp_path / "target").exception, OSError)
    (left,) = [path for path in tmp_path.iterdir() if path.name.startswith(".target.incomplete-")]
    with pytest.raises(DataDirectoryError, match="is a copy"):
        DataDirectory.claim(left)
    assert not (tmp_path / "target").exists()
    result = copy(source, tmp_path / "target")
    assert result.exit_code == 0, result.output
    assert count(tmp_path / "target") == ITEMS


def test_a_copy_that_differs_is_reported(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = comparing._statistics
    calls: list[int] = []

    def differ(tx: Any, space: int) -> tuple[int, int]:
        calls.append(space)
        return (len(calls), 0) if space > 0 else statistics(tx, space)

    monkeypatch.setattr(comparing, "_statistics", differ)
    result = copy(source, tmp_path / "target")
    assert result.exit_code == 1, result.output
    assert f"the statistics of key space {calls[-1]} of the copy differs from the source's" in result.output
    assert names(tmp_path) == ["source"]


def test_a_server_that_cannot_be_stopped_is_named(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    (tmp_path / "source" / "server.lock").write_text("")
    result = copy(tmp_path / "source", tmp_path / "target", "--stop-source")
    assert result.exit_code == 2
    assert "(process unknown) cannot be told to stop: stop it yourself" in result.output
    source.release()


def test_the_copy_waits_until_the_source_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is told once; what was written until then is copied."""
    made = make_source(tmp_path / "source")
    calls: list[int] = []
    try_stop = SqliteSource.try_stop

    async def working(self: SqliteSource) -> bool:
        """Between two looks at whether it has stopped, the server writes something, and then stops."""
        calls.append(0)
        if len(calls) == 3:
            storage = made.open()
            await storage.write(lambda tx: save_record(tx, b"user/late", b"{}"))
            await storage.close()
        elif len(calls) == 5:
            made.release()
        return await try_stop(self)

    monkeypatch.setattr(SqliteSource, "try_stop", working)
    result = copy(tmp_path / "source", tmp_path / "target")
    assert result.exit_code == 0, result.output
    assert result.output.count("changes behind and following: stop the server on") == 1
    assert f"(process {os.getpid()}) to finish the copy" in result.output
    target = SqliteStore(tmp_path / "target").open()
    with target.read() as tx:
        assert tx.get(0, b"user/late") is not None
    asyncio.run(target.close())
