"""`blotter store copy` to and from PostgreSQL: everything arrives, and nobody uses a target before that."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blotter.database.encryption.files import is_under
from blotter.database.encryption.master_keys import parse_master_key
from blotter.database.inspection.check import check
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.store import PostgresStore
from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable
from blotter.database.storage.sqlite.store import SqliteStore
from blotter.database.storage.stores import store_at
from blotter.database.store_copy import comparing
from blotter.database.store_copy.postgres_ends import PostgresSource
from tests.unit.database.storage.postgres.test_connecting import initialize
from tests.unit.database.store_copy.commands import ITEMS, copy, count, count_in, make_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_source(tmp_path / "source").release()
    return tmp_path / "source"


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(os.urandom(32).hex())
    path.chmod(0o600)
    return f"file:{path}"


@contextmanager
def used(url: str) -> Iterator[None]:
    """A front end works on the store meanwhile."""
    loop, storage = asyncio.new_event_loop(), PostgresStore(StoreUrl(url)).open()
    loop.run_until_complete(storage.fetch(lambda tx: tx.last_change()))
    try:
        yield
    finally:
        loop.run_until_complete(storage.close())
        loop.close()


def test_there_and_back(source: Path, postgres_url: str, tmp_path: Path) -> None:
    secret = SqliteStore(source).secret_key("sealing")
    there = copy(source, postgres_url, "--json")
    assert there.exit_code == 0, there.output
    assert count_in(PostgresStore(StoreUrl(postgres_url))) == ITEMS
    other = f"{postgres_url}?schema=other"
    beside = copy(postgres_url, other, "--json")
    assert beside.exit_code == 0, beside.output
    back = copy(other, tmp_path / "back", "--json")
    assert back.exit_code == 0, back.output
    assert count(tmp_path / "back") == ITEMS
    assert check(tmp_path / "back", None).is_sound
    checksums = [json.loads(each.stdout)["spaces"] for each in (there, beside, back)]
    assert checksums[0] == checksums[1] == checksums[2]
    for store in (postgres_url, other, f"sqlite:{tmp_path / 'back'}"):
        assert store_at(store).secret_key("sealing") == secret, "what was sealed can be opened"
    assert count_in(PostgresStore(StoreUrl(postgres_url))) == ITEMS, "the source is still what it was"


def test_a_store_that_was_made_and_is_empty_is_a_target(source: Path, postgres_url: str) -> None:
    initialize(postgres_url)
    assert copy(source, postgres_url).exit_code == 0
    again = copy(source, postgres_url)
    assert again.exit_code == 2
    assert f"{postgres_url} holds a store that is not empty; nothing was written" in again.output
    assert count_in(PostgresStore(StoreUrl(postgres_url))) == ITEMS


def test_a_target_that_is_in_use_is_refused(source: Path, postgres_url: str) -> None:
    assert copy(source, postgres_url).exit_code == 0
    with used(postgres_url):
        result = copy(source, postgres_url)
    assert result.exit_code == 2
    assert f"{postgres_url} is in use, by connections from 127.0.0.1" in result.output
    assert count_in(PostgresStore(StoreUrl(postgres_url))) == ITEMS


def test_a_source_is_copied_once_its_servers_have_stopped(
    source: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copy(source, postgres_url).exit_code == 0
    refused = copy(postgres_url, tmp_path / "target", "--stop-source")
    assert refused.exit_code == 2
    assert f"the servers on {postgres_url} run elsewhere: stop them yourself" in refused.output
    calls: list[int] = []
    try_stop = PostgresSource.try_stop
    server = used(postgres_url)
    server.__enter__()

    async def working(self: PostgresSource) -> bool:
        """The server stops between two looks at whether it has."""
        calls.append(0)
        if len(calls) == 4:
            await asyncio.to_thread(server.__exit__, None, None, None)
        return await try_stop(self)

    monkeypatch.setattr(PostgresSource, "try_stop", working)
    result = copy(postgres_url, tmp_path / "target")
    assert result.exit_code == 0, result.output
    assert f"stop the servers on {postgres_url} (connected from 127.0.0.1) to finish the copy" in result.output
    assert count(tmp_path / "target") == ITEMS


def test_two_copies_of_a_source_at_once_are_refused(source: Path, postgres_url: str, tmp_path: Path) -> None:
    assert copy(source, postgres_url).exit_code == 0

    async def twice() -> None:
        first, second = (PostgresSource(StoreUrl(postgres_url), None, None) for _ in range(2))
        storage = await first.open()
        with pytest.raises(DataDirectoryError, match="is being copied already"):
            await second.open()
        await storage.close()
        await first.release()
        await second.release()

    asyncio.run(twice())
    assert copy(postgres_url, tmp_path / "target").exit_code == 0


def test_an_interrupted_target_is_used_by_nobody_and_begun_anew(
    source: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise StorageUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(comparing.Comparison, "run", dies)
        assert "killed" in copy(source, postgres_url).output
    with pytest.raises(DataDirectoryError, match="is the target of a copy that is not complete"):
        PostgresStore(StoreUrl(postgres_url)).claim()
    as_source = copy(postgres_url, "nowhere")
    assert as_source.exit_code == 2
    assert "is the target of a copy that is not complete" in as_source.output
    result = copy(source, postgres_url)
    assert result.exit_code == 0, result.output
    assert count_in(PostgresStore(StoreUrl(postgres_url))) == ITEMS


def test_files_go_to_the_directory_of_the_servers(
    source: Path, postgres_url: str, tmp_path: Path, key: str
) -> None:
    backup = source / "objects" / "one"
    backup.parent.mkdir()
    backup.write_bytes(b"a backup")
    without = copy(source, postgres_url)
    assert f"not copied: {source / 'objects'}: backups, exports and imports" in without.output
    other = f"{postgres_url}?schema=other"
    files = tmp_path / "files"
    result = copy(source, other, "--target-files", str(files), BLOTTER_TARGET_MASTER_KEY=key)
    assert result.exit_code == 0, result.output
    assert "not copied" not in result.output
    stored = (files / "objects" / "one").read_bytes()
    target = PostgresStore(StoreUrl(other), parse_master_key(key))
    assert not is_under(stored, None)
    assert target.file_cipher().decode(stored) == b"a backup"
    assert target.secret_key("sealing") == SqliteStore(source).secret_key("sealing")
    back = copy(other, tmp_path / "back", "--source-files", str(files), BLOTTER_MASTER_KEY=key)
    assert back.exit_code == 0, back.output
    assert (tmp_path / "back" / "objects" / "one").read_bytes() == b"a backup"
    unknown = copy(other, tmp_path / "again", BLOTTER_MASTER_KEY=key)
    assert f"not copied: the audit trail, where the servers on {other} have it" in unknown.output


def test_what_is_refused(source: Path, postgres_url: str, tmp_path: Path, key: str) -> None:
    absent = postgres_url.rpartition("/")[0] + "/absent"
    hidden = "postgresql://u:hidden-password@127.0.0.1:1/d?connect_timeout=0"
    for arguments, expected in (
        (
            (postgres_url, tmp_path / "target"),
            f"{postgres_url} holds no store yet: `blotter store init` makes one",
        ),
        ((postgres_url, postgres_url), f"{postgres_url} cannot be copied into itself"),
        ((source, absent), 'database "absent" does not exist'),
        ((source, hidden), "127.0.0.1:1: "),
        ((source, "postgresql://u:hidden-password@[/d"), "FROM and TO must each be postgresql://USER@HOST:PORT/"),
        ((source, f"{postgres_url}?schema=pg_catalog"), "schema has 1 to 63 bytes and does not begin with pg_"),
    ):
        result = copy(*arguments)
        assert result.exit_code == 2, result.output
        assert expected in result.output
        assert "hidden-password" not in result.output
    assert copy(source, postgres_url).exit_code == 0
    result = copy(postgres_url, tmp_path / "target", BLOTTER_MASTER_KEY=key)
    assert result.exit_code == 2
    assert "was made without a master key: use it without --master-key" in result.output
    assert not (tmp_path / "target").exists()
