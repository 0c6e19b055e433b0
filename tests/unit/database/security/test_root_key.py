"""The root key: made once, in a private file that holds a valid key whatever interrupts its making."""

from __future__ import annotations

import asyncio
import configparser
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from blotter.database.security import root_key
from blotter.database.security.access_records import AccessKey, delete, every
from blotter.database.security.access_state import AccessState
from blotter.database.security.identifiers import account_of
from blotter.database.security.root_key import RootKeys
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.security.session_tokens import SessionClaims
from blotter.database.storage.memory import MemoryStore
from blotter.database.storage.protocol import DataDirectoryError

FIRST, SECOND = "111122223333", "444455556666"


class Directory:
    """A data directory with its store; each `roots` is a new start of the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = MemoryStore().open()
        self.sealer = sealer_in_memory()
        self.now = 1000.0

    def roots(self) -> RootKeys:
        return RootKeys(self.storage, self.sealer, self.folder, self.clock)

    def clock(self) -> float:
        self.now += 1
        return self.now

    def ensure(self, account: str = FIRST) -> Path | None:
        return asyncio.run(self.roots().ensure(account))

    def replace(self, account: str = FIRST) -> Path:
        return asyncio.run(self.roots().replace(account))

    def valid(self, path: Path) -> bool:
        """Whether the file holds a key of a root with its secret."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path)
        access_key, secret = (parser["default"][f"aws_{name}"] for name in ("access_key_id", "secret_access_key"))
        state = AccessState(self.storage, self.sealer)
        state.refresh()
        found = state.find_access_key(access_key)
        return found is not None and (found.secret, found.user, found.account) == (
            secret,
            "",
            account_of(access_key),
        )

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_the_first_start_makes_a_private_file_and_later_ones_none(directory: Directory) -> None:
    path = directory.ensure()
    assert path == directory.folder / "root-credentials"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert directory.valid(path)
    content = path.read_bytes()
    assert directory.ensure() is None
    assert (path.read_bytes(), directory.names()) == (content, ["root-credentials"])


def test_of_servers_that_start_together_one_makes_the_key(tmp_path: Path) -> None:
    """Each has a directory of its own; the store is one."""
    first, second = (Directory(tmp_path / name) for name in ("a", "b"))
    for each in (first, second):
        each.folder.mkdir()
    second.storage = first.storage

    async def together() -> list[Path | None]:
        return await asyncio.gather(*(each.roots().ensure(FIRST) for each in (first, second)))

    made = [path for path in asyncio.run(together()) if path is not None]
    assert len(made) == 1
    assert first.valid(made[0])
    assert sorted(first.names() + second.names()) == ["root-credentials"]


def test_a_file_that_was_moved_away_is_not_made_again(directory: Directory) -> None:
    path = directory.ensure()
    assert path is not None
    path.unlink()
    assert directory.ensure() is None
    assert directory.names() == []


def test_a_root_key_that_was_deleted_comes_back_on_request_only(directory: Directory) -> None:
    path = directory.ensure()
    assert path is not None

    def delete_all(tx: Any) -> None:
        for key in list(every(tx, FIRST, AccessKey)):
            delete(tx, FIRST, key)

    asyncio.run(directory.storage.write(delete_all))
    assert directory.ensure() is None
    assert not directory.valid(path)
    assert directory.replace() == path
    assert directory.valid(path)


def test_a_new_root_key_ends_the_old_one(directory: Directory) -> None:
    path = directory.ensure()
    assert path is not None
    old = directory.folder / "copy"
    old.write_bytes(path.read_bytes())
    directory.replace()
    assert (directory.valid(path), directory.valid(old)) == (True, False)


def test_a_new_root_key_ends_the_sessions_of_the_old_one(directory: Directory) -> None:
    """Those of the root and of federated users for whom it vouched; those of users and roles go on."""
    directory.ensure()
    of_root = SessionClaims("root", FIRST, "", FIRST, directory.clock(), 9e9)
    sessions = (of_root, replace(of_root, kind="federated-user", name="ann"))

    def valid(sessions: Sequence[SessionClaims]) -> list[bool]:
        state = AccessState(directory.storage, directory.sealer)
        state.refresh()
        return [state.principal_of(claims) is not None for claims in sessions]

    directory.replace(SECOND)
    assert valid(sessions) == [True, True]
    directory.replace(FIRST)
    assert valid(sessions) == [False, False]
    assert valid([replace(claims, issued_at=directory.clock()) for claims in sessions]) == [True, True]


@pytest.mark.parametrize("first_start", [True, False])
@pytest.mark.parametrize("step", ["write_private_file", "sync_directory", "write", "replace"])
def test_whatever_interrupts_it_the_file_holds_a_valid_key(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, step: str, first_start: bool
) -> None:
    path = directory.folder / "root-credentials"
    if not first_start:
        directory.ensure()

    class Killed(BaseException):
        pass

    def half_written(file: Path, content: bytes) -> None:
        file.write_bytes(content[:-20])
        raise Killed

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(directory.storage, "write", killed)
        elif step == "replace":
            patch.setattr(root_key.os, "replace", killed)
        else:
            patch.setattr(root_key, step, half_written if step == "write_private_file" else killed)
        with pytest.raises(Killed):
            directory.replace() if not first_start else directory.ensure()
    if not first_start:
        # What was acknowledged before is valid until the new key is committed.
        assert directory.valid(path) == (step != "replace")
    directory.ensure()
    assert directory.valid(path)
    assert directory.names() == ["root-credentials"]


def test_a_file_that_cannot_be_written_changes_nothing(directory: Directory) -> None:
    path = directory.ensure()
    assert path is not None
    (directory.folder / f".root-credentials-{FIRST}.unfinished").mkdir()
    with pytest.raises(DataDirectoryError, match="unfinished"):
        directory.replace()
    assert directory.valid(path)


def test_each_account_has_a_file_of_its_own(directory: Directory) -> None:
    first, second = directory.ensure(FIRST), directory.ensure(SECOND)
    assert first is not None
    assert second is not None
    assert second.name == f"root-credentials-{SECOND}"
    first.unlink()
    assert directory.replace(SECOND) == second
    assert directory.replace(FIRST) == first
    assert directory.valid(first)
    assert directory.valid(second)
    assert asyncio.run(directory.roots().accounts()) == [FIRST, SECOND]


def test_somebody_elses_file_is_not_replaced(directory: Directory) -> None:
    path = directory.folder / "root-credentials"
    path.write_text("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n")
    with pytest.raises(DataDirectoryError, match="move it away"):
        directory.ensure()
    assert directory.names() == ["root-credentials"]


def test_a_store_without_its_sealing_key_is_noticed(directory: Directory) -> None:
    asyncio.run(directory.roots().check_sealer())
    directory.ensure()
    asyncio.run(directory.roots().check_sealer())
    directory.sealer = sealer_in_memory()
    with pytest.raises(DataDirectoryError, match="cannot be unsealed"):
        asyncio.run(directory.roots().check_sealer())
    directory.replace()
    asyncio.run(directory.roots().check_sealer())
