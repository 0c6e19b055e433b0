"""The root access key of an account: made once, written into a file, replaced on request.

The file has the form of AWS's credentials files, so that `AWS_SHARED_CREDENTIALS_FILE` can name it:

    [default]
    aws_access_key_id = AKIA…
    aws_secret_access_key = …

It is first written whole under another name, then the key is committed, then the file gets its name. Whatever
interrupts that, the file that has the name holds a key that is valid, and the next start finishes or undoes the
rest. Who has read the file may move or delete it: it is not made again unless the key is. The first account's file
is `root-credentials`, that of another one `root-credentials-<account>`.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from blotter.database.durable_files import sync_directory, write_private_file
from blotter.database.security.access_records import (
    AccessKey,
    Account,
    accounts,
    delete,
    every,
    find,
    save,
)
from blotter.database.security.access_state import secret_context
from blotter.database.security.identifiers import account_of, new_access_key_id, new_secret
from blotter.database.security.sealing import Sealer, Unsealable
from blotter.database.storage.protocol import (
    DataDirectoryError,
    ReadTransaction,
    Storage,
    StorageUnavailable,
    WriteTransaction,
)

FILE_NAME = "root-credentials"
_UNFINISHED = ".unfinished"


class RootKeys:
    """The root keys of the accounts of one store, and the folder for their files. `clock` gives seconds since the
    epoch. Methods raise DataDirectoryError when a file cannot be written; nothing is changed then."""

    def __init__(self, storage: Storage, sealer: Sealer, folder: Path, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._sealer = sealer
        self._folder = folder
        self._clock = clock

    async def accounts(self) -> list[str]:
        """The accounts that were made, ascending."""
        return await self._storage.fetch(accounts)

    async def check_sealer(self) -> None:
        """Raises DataDirectoryError if access keys are stored and none of them can be unsealed: the store and the
        sealer's key do not belong together."""
        keys = await self._storage.fetch(_all_keys)
        for account, key in keys:
            try:
                self._sealer.unseal(key.sealed_secret, secret_context(account, key.id))
            except Unsealable:
                continue
            return
        if keys:
            raise DataDirectoryError(
                f"the access keys in {self._folder} cannot be unsealed: secret-key, or keys.json of an encrypted "
                "directory, is missing or another one. Restore it, or let `blotter access reset-root` make a new "
                "root key"
            )

    async def ensure(self, account: str) -> Path | None:
        """Makes the account with its root key if there is no such account; returns the key's file then. An account
        whose root key was deleted gets no other one: `replace` makes that. Of several servers that begin on one
        store at the same time, one makes it."""
        await self._finish(account)
        if await self._storage.fetch(lambda tx: find(tx, account, Account, account)) is not None:
            return None
        return await self._make(account, _make_account)

    async def replace(self, account: str) -> Path:
        """Makes a new root key of the account, and deletes those it has; returns the new one's file."""
        await self._finish(account)
        made = await self._make(account, _replace)
        assert made is not None  # what exists is replaced
        return made

    async def _make(self, account: str, store: Callable[[WriteTransaction, str, AccessKey], bool]) -> Path | None:
        """Writes a new key into a file, and stores it; without a file if `store` returns False."""
        path, unfinished = await self._file(account), self._unfinished(account)
        access_key, secret = new_access_key_id("AKIA", account), new_secret()
        sealed = self._sealer.seal(secret.encode(), secret_context(account, access_key))
        record = AccessKey(access_key, "", self._clock(), sealed)
        try:
            write_private_file(unfinished, _text(access_key, secret))
            sync_directory(self._folder)
        except OSError as error:
            raise DataDirectoryError(f"{path} cannot be written: {error.strerror}") from None
        try:
            stored = await self._storage.write(lambda tx: store(tx, account, record))
        except StorageUnavailable as error:
            unfinished.unlink()
            raise DataDirectoryError(f"the root key cannot be stored: {error}") from None
        if not stored:
            unfinished.unlink()
            return None
        self._name(unfinished, path)
        return path

    async def _finish(self, account: str) -> None:
        """Finishes or undoes what was interrupted."""
        unfinished = self._unfinished(account)
        written = _key_in(unfinished)
        if written is None and not unfinished.exists():
            return
        if written in await self._storage.fetch(lambda tx: _keys(tx, account)):
            self._name(unfinished, await self._file(account))
            return
        try:
            unfinished.unlink()
        except OSError as error:
            raise DataDirectoryError(f"{unfinished} cannot be removed: {error.strerror}") from None

    def _name(self, unfinished: Path, path: Path) -> None:
        try:
            os.replace(unfinished, path)
            sync_directory(self._folder)
        except OSError as error:
            raise DataDirectoryError(
                f"{path} cannot be written: {error.strerror}; the root credentials are in {unfinished}"
            ) from None

    async def _file(self, account: str) -> Path:
        """`root-credentials` for the first account, a name with the account for others. Raises DataDirectoryError
        for a file that is there and holds nothing of this account."""
        first = await self._storage.fetch(_first_account)
        path = self._folder / (FILE_NAME if first in (None, account) else f"{FILE_NAME}-{account}")
        if os.path.lexists(path) and account_of(_key_in(path) or "") != account:
            raise DataDirectoryError(f"{path} exists, but not with a root key of account {account}: move it away")
        return path

    def _unfinished(self, account: str) -> Path:
        return self._folder / f".{FILE_NAME}-{account}{_UNFINISHED}"


def _first_account(tx: ReadTransaction) -> str | None:
    made = [record for account in accounts(tx) if (record := find(tx, account, Account, account)) is not None]
    return min(made, key=lambda record: record.created).id if made else None


def _all_keys(tx: ReadTransaction) -> list[tuple[str, AccessKey]]:
    return [(account, key) for account in accounts(tx) for key in every(tx, account, AccessKey)]


def _keys(tx: ReadTransaction, account: str) -> list[str]:
    return [key.id for key in every(tx, account, AccessKey) if not key.user]


def _make_account(tx: WriteTransaction, account: str, record: AccessKey) -> bool:
    """Stores the first root key of an account that does not exist yet."""
    return find(tx, account, Account, account) is None and _replace(tx, account, record)


def _replace(tx: WriteTransaction, account: str, record: AccessKey) -> bool:
    for key in list(every(tx, account, AccessKey)):
        if not key.user:
            delete(tx, account, key)
    save(tx, account, record)
    made = find(tx, account, Account, account)
    if made is None:
        save(tx, account, Account(account, record.created))
    else:
        save(tx, account, msgspec.structs.replace(made, root_replaced=record.created))
    return True


def _text(access_key: str, secret: str) -> bytes:
    return f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n".encode()


def _key_in(path: Path) -> str | None:
    """The id of the access key in a credentials file; None when there is none to be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, "utf-8")
        return parser.get("default", "aws_access_key_id")
    except (OSError, UnicodeDecodeError, configparser.Error):
        return None
