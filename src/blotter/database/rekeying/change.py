"""Changes of keys: encrypt a plain directory, decrypt it, put it under a new data key, wrap its data key anew.

    1  keys.json gets the new data key, and says that a change is in progress
    2  the database file is written anew under it and replaced in one step (`storage/sqlite/conversion.py`)
    3  so is every file of the audit trail
    4  keys.json says that everything is under the new key; the old one is gone

Every file says itself which key it is under, so servers start at any moment in between, and the same command goes
on where it was interrupted, whatever interrupted it. Wrapping anew replaces `keys.json` and nothing else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from blotter.database.audit.keys import FOLDER as AUDIT
from blotter.database.audit.reserve import FILE_NAME as RESERVE
from blotter.database.copies.objects import OBJECTS_FOLDER, SCRATCH_FOLDER
from blotter.database.durable_files import sync_directory
from blotter.database.encryption import files, key_file
from blotter.database.encryption.data_keys import DataKey
from blotter.database.encryption.directory_keys import (
    KEY_FILES,
    DirectoryKeys,
    first_key,
    open_keys,
    remove_secret,
    save_secret,
)
from blotter.database.encryption.errors import DamagedCiphertext, MasterKeyError
from blotter.database.encryption.key_file import Goal, KeyFile
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.data_directory import DataDirectory, open_lock_file, try_lock
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite.conversion import SUFFIX, convert, discard
from blotter.database.storage.sqlite.schema import FILE_NAME

FOLDERS: Final = (AUDIT, OBJECTS_FOLDER, SCRATCH_FOLDER)
"""Folders of the data directory whose files are under the data key as well."""

LOCK: Final = "keys.lock"

Progress = Callable[[int, int], None]
"""Called now and then with bytes done and bytes expected of the database file."""


class Status(NamedTuple):
    """What `keys.json` says, without the master key."""

    file: KeyFile | None

    @property
    def unfinished(self) -> Goal | None:
        return None if self.file is None else self.file.unfinished


def status(directory: Path) -> Status:
    """Raises DataDirectoryError."""
    _require_database(directory)
    with _as_directory_errors(directory):
        return Status(key_file.load(directory / key_file.FILE_NAME))


def change(directory: Path, master: MasterKey, goal: Goal, progress: Progress) -> bool:
    """Begins a change, or finishes the one that was interrupted; False if the directory is as it shall be already.
    Raises DataDirectoryError: if a server has the directory, the master key is not the right one or another change
    is unfinished, and if the disk is full or data are damaged. Whatever happens, the directory can be used with
    the same master key."""
    _require_database(directory)
    with _as_directory_errors(directory):
        if _planned(directory, master, goal) is None:  # before anything is touched
            return False
        claim = DataDirectory.claim(directory)
        try:
            with _alone(directory):
                planned = _planned(directory, master, goal)
                if planned is not None:
                    _carry_out(directory, *planned, progress)
                return planned is not None
        finally:
            claim.release()


def rotate(directory: Path, master: MasterKey, new_master: MasterKey) -> None:
    """Wraps the data key with another master key, or anew with the same. A server may run meanwhile. Raises
    DataDirectoryError; the old wrapping is valid then."""
    _require_database(directory)
    with _as_directory_errors(directory):
        open_keys(directory, master)  # before anything is touched
        with _alone(directory):
            keys = open_keys(directory, master)
            if keys.file is None:
                raise DataDirectoryError(f"{directory} is not encrypted")
            wrapped = tuple(keys.wrapped_by(new_master))
            for each in wrapped:  # What cannot be unwrapped again must not replace what can.
                key_file.unwrap(each, new_master, str(directory))
            key_file.save(directory / key_file.FILE_NAME, msgspec.structs.replace(keys.file, keys=wrapped))


def _require_database(directory: Path) -> None:
    if not (directory / FILE_NAME).exists():
        raise DataDirectoryError(f"{directory} holds no blotter database: there is no {FILE_NAME}")


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keeps other changes of `keys.json` away: one that began before would be lost, and a data key with it."""
    descriptor = open_lock_file(directory / LOCK)
    try:
        if not try_lock(descriptor):
            raise DataDirectoryError(f"another `blotter keys` is at work on {directory}")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _as_directory_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except MasterKeyError as error:
        raise DataDirectoryError(str(error)) from None
    except OSError as error:
        hint = "; make room and repeat the command" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise DataDirectoryError(f"{directory} cannot be written: {error.strerror}{hint}") from None


def _planned(directory: Path, master: MasterKey, goal: Goal) -> tuple[DirectoryKeys, KeyFile] | None:
    """The unwrapped keys, and the key file that says what is changed into what; None if nothing is to be done."""
    unfinished = status(directory).unfinished
    if goal == "encrypt" and status(directory).file is None:
        keys = first_key(directory, master, FILE_NAME)
        assert keys.file is not None
        return keys, keys.file
    if goal == "decrypt" and status(directory).file is None:
        return None
    keys = open_keys(directory, master)
    file = keys.file
    if file is None:
        raise DataDirectoryError(f"{directory} is not encrypted")
    if unfinished == goal:
        return keys, file
    if unfinished == "rekey" or (unfinished is not None and goal == "rekey"):
        raise DataDirectoryError(
            f"a change of the keys of {directory} was interrupted; finish it with `blotter keys {unfinished}`"
        )
    if goal == "encrypt":
        if unfinished is None:
            return None
        return keys, msgspec.structs.replace(file, current=None, target=file.current)
    if goal == "decrypt":
        return keys, msgspec.structs.replace(file, current=file.newest, changing=True, target=None)
    keys = keys.with_another(master)
    assert keys.file is not None
    return keys, keys.file


def _carry_out(directory: Path, keys: DirectoryKeys, file: KeyFile, progress: Progress) -> None:
    place, database = directory / key_file.FILE_NAME, directory / FILE_NAME
    target = None if file.target is None else keys.find(bytes.fromhex(file.target))
    for name in KEY_FILES:
        for left in directory.glob(f".{name}.*"):  # by a command that was killed while it wrote the file
            left.unlink()
    key_file.save(place, file)
    keys = keys.under(file)
    if file.current is not None or file.target is not None:
        remove_secret(directory)
    source = keys.database_key(database)
    if source is not target:
        convert(database, source, target, progress)
    discard(database)
    _convert_files(directory, keys, target)
    if target is None:
        save_secret(directory, keys.secret)
        key_file.remove(place)
    else:
        # Copies in other stores of objects are still under the keys that were replaced.
        keys_kept = sorted(file.keys, key=lambda key: key.id != target.id.hex())
        key_file.save(place, KeyFile(key_file.FORMAT, target.id.hex(), tuple(keys_kept)))


def _convert_files(directory: Path, keys: DirectoryKeys, target: DataKey | None) -> None:
    cipher = files.FileCipher(target, keys.find)
    for folder in FOLDERS:
        for path in sorted((directory / folder).rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            # Left by an interrupted run, or only room on the disk, which the server takes again.
            if path.name.endswith(SUFFIX) or path == directory / AUDIT / RESERVE:
                path.unlink()
                continue
            try:
                _convert_file(path, cipher)
            except DamagedCiphertext as error:
                raise DataDirectoryError(
                    f"{path} is damaged: {error}. Move it out of the way and repeat the command"
                ) from None


def _convert_file(path: Path, cipher: files.FileCipher) -> None:
    """Unless it is under the cipher's key. Its times and permissions stay."""
    with path.open("rb") as source:
        head = source.read(files.HEADER_BYTES)
        if not head or files.is_under(head, cipher.key):  # a lock file is empty
            return
        source.seek(0)
        new = path.with_name(path.name + SUFFIX)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            files.convert(source, target, cipher)
            target.flush()
            found = os.fstat(source.fileno())
            os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(target.fileno())
    new.replace(path)
    sync_directory(path.parent)
