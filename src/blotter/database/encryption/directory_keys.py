"""The keys of one data directory, unwrapped: opened once, before a server forks, and inherited by its processes.

A directory is plain, encrypted, or changing from one key to another (`blotter keys`). In each of these states it
can be opened: the database file says in its first bytes which key it is under, as every encrypted file does. So an
interrupted change of keys keeps nobody from using the data, and is finished by the next `blotter keys`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from blotter.database.durable_files import write_durably
from blotter.database.encryption import key_file
from blotter.database.encryption.data_keys import ID_BYTES, KEY_BYTES, DataKey, derive
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.files import FileCipher
from blotter.database.encryption.key_file import FILE_NAME, KeyFile, WrappedKey
from blotter.database.encryption.master_keys import AWS_KMS, MasterKey

SECRET_KEY_FILE: Final = "secret-key"
"""The secret key of a plain directory; it stands wrapped in `keys.json` in an encrypted one."""
KEY_FILES: Final = (FILE_NAME, SECRET_KEY_FILE)
"""What a copy of the database needs beside it."""
ADVICE: Final = "give it with --master-key or BLOTTER_MASTER_KEY"
SQLITE_MAGIC: Final = b"SQLite format 3\0"


class DirectoryKeys:
    """The unwrapped keys of a directory. `file` None: it is plain."""

    def __init__(
        self,
        directory: Path,
        file: KeyFile | None = None,
        keys: dict[str, DataKey] | None = None,
        secret: bytes = b"",
    ) -> None:
        self.directory = directory
        self.file = file
        self._keys = keys or {}
        self._secret = secret

    @property
    def newest(self) -> DataKey | None:
        """The key for what is made from now on; None: it stays plain."""
        return None if self.file is None or self.file.newest is None else self._keys[self.file.newest]

    @property
    def kms_key(self) -> str | None:
        """The ARN of the key of AWS KMS that protects the directory, None if there is none."""
        if self.file is None or self.file.newest is None:
            return None
        wrapped = self.file.key(self.file.newest)
        return wrapped.master_key_id if wrapped.master_key_kind == AWS_KMS else None

    def as_files(self) -> dict[str, bytes]:
        """The key files of a directory with these keys, by name."""
        if self.file is None:
            return {SECRET_KEY_FILE: self._secret} if self._secret else {}
        return {FILE_NAME: key_file.encode(self.file)}

    @property
    def secret(self) -> bytes:
        """The secret key itself, of an encrypted directory."""
        return self._secret

    def under(self, file: KeyFile) -> DirectoryKeys:
        """The same keys with another state of the key file."""
        return DirectoryKeys(self.directory, file, self._keys, self._secret)

    def with_another(self, master: MasterKey) -> DirectoryKeys:
        """With a new data key, and a change to it in progress. Nothing is written."""
        assert self.file is not None
        key = DataKey.generate()
        wrapped = (*self.file.keys, key_file.wrap(key, self._secret, master))
        file = KeyFile(key_file.FORMAT, self.file.current, wrapped, changing=True, target=key.id.hex())
        return DirectoryKeys(self.directory, file, {**self._keys, key.id.hex(): key}, self._secret)

    def wrapped_by(self, master: MasterKey) -> Iterator[WrappedKey]:
        """The data keys, wrapped anew."""
        for old in () if self.file is None else self.file.keys:
            yield key_file.wrap(self._keys[old.id], self._secret, master, old.created)

    def are_current(self) -> bool:
        """Whether the directory still has these keys."""
        return key_file.load(self.directory / FILE_NAME) == self.file

    def find(self, key_id: bytes) -> DataKey | None:
        return self._keys.get(key_id.hex())

    def database_key(self, database: Path) -> DataKey | None:
        """The key that the database file is under; for one that is not made yet, the key it is to be made with.
        Raises MasterKeyError for a file that is under none of the directory's keys."""
        head = read_head(database)
        if not head:
            return self.newest
        plain = head == SQLITE_MAGIC or self.file is None
        allowed = (None,) if self.file is None else (self.file.current, self.file.newest)
        if plain:
            if None in allowed:
                return None
            raise MasterKeyError(f"{database} is not encrypted, although {FILE_NAME} beside it says so")
        key = self._keys.get(head.hex())
        if key is None:
            raise MasterKeyError(
                f"{database} is damaged, or under the data key {head.hex()}, which {FILE_NAME} does not have"
            )
        return key

    def file_cipher(self) -> FileCipher:
        """For files beside the database: the audit trail, copies."""
        return FileCipher(self.newest, self.find)

    def secret_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same at every call; they survive every change of keys. The first call in a
        plain directory makes `secret-key`."""
        if not self._secret:
            self._secret = _secret_of_plain(self.directory)
        return derive(self._secret, f"secret {purpose}")


def open_keys(directory: Path, master: MasterKey | None, *, database: str = "blotter.db") -> DirectoryKeys:
    """Unwraps a directory's keys and changes nothing. A directory without a database counts as plain. Raises
    MasterKeyError, one line for the operator: the master key is missing or not the right one, or one was given for
    a plain directory."""
    file = key_file.load(directory / FILE_NAME)
    if file is None:
        head = read_head(directory / database)
        if master is not None and head:
            raise MasterKeyError(
                f"{directory} has no {FILE_NAME}, so its data cannot be decrypted: put that file back"
                if head != SQLITE_MAGIC
                else f"{directory} is not encrypted: `blotter keys encrypt` does that, with this --master-key"
            )
        return DirectoryKeys(directory)
    if master is None:
        raise MasterKeyError(f"{directory} is encrypted, its master key is needed ({_described(file)}): {ADVICE}")
    opened = [key_file.unwrap(wrapped, master, str(directory)) for wrapped in file.keys]
    return DirectoryKeys(directory, file, {key.id.hex(): key for key, _ in opened}, opened[0][1])


def key_files(directory: Path) -> dict[str, bytes]:
    """The key files that a directory has, by name."""
    found = {}
    for name in KEY_FILES:
        with suppress(FileNotFoundError):
            found[name] = (directory / name).read_bytes()
    return found


def make_keys(directory: Path, master: MasterKey) -> DirectoryKeys:
    """A first data key for a directory that has no database yet, stored durably before anything is encrypted."""
    keys = _generated(directory, master, changing=False)
    assert keys.file is not None
    key_file.save(directory / FILE_NAME, keys.file)
    remove_secret(directory)
    return keys


def first_key(directory: Path, master: MasterKey, database: str) -> DirectoryKeys:
    """A first data key for a plain directory, and a change to it in progress. Nothing is written. Raises
    MasterKeyError if the database file is not plain."""
    if read_head(directory / database) not in (b"", SQLITE_MAGIC):
        raise MasterKeyError(f"{directory} is encrypted and has lost its {FILE_NAME}: put that file back")
    return _generated(directory, master, changing=True)


def _generated(directory: Path, master: MasterKey, *, changing: bool) -> DirectoryKeys:
    key, secret = DataKey.generate(), existing_secret(directory) or secrets.token_bytes(KEY_BYTES)
    key_id, wrapped = key.id.hex(), (key_file.wrap(key, secret, master),)
    file = KeyFile(key_file.FORMAT, None if changing else key_id, wrapped, changing, key_id if changing else None)
    return DirectoryKeys(directory, file, {key_id: key}, secret)


def read_head(path: Path) -> bytes:
    """The first bytes of a database file, which name its key; b"" if there is none or it is empty."""
    try:
        with path.open("rb") as file:
            return file.read(ID_BYTES)
    except OSError:
        return b""


def existing_secret(directory: Path) -> bytes:
    """The secret key of a plain directory, b"" if it has none. Raises MasterKeyError if it cannot be read."""
    path = directory / SECRET_KEY_FILE
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be read: {error.strerror}") from None
    if len(found) != KEY_BYTES:
        raise MasterKeyError(f"{path} is damaged: it must have {KEY_BYTES} bytes. Restore it from a copy")
    return found


def save_secret(directory: Path, secret: bytes) -> None:
    write_durably(directory / SECRET_KEY_FILE, secret)


def remove_secret(directory: Path) -> None:
    with suppress(FileNotFoundError):
        key_file.remove(directory / SECRET_KEY_FILE)


def _secret_of_plain(directory: Path) -> bytes:
    """Of two processes that make it at once, the second takes the first one's."""
    return existing_secret(directory) or _make_secret(directory)


def _make_secret(directory: Path) -> bytes:
    path = directory / SECRET_KEY_FILE
    try:
        write_durably(path, secrets.token_bytes(KEY_BYTES), replace=False)
    except FileExistsError:
        pass
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be written: {error.strerror}") from None
    return existing_secret(directory)


def _described(file: KeyFile) -> str:
    found = {f"{key.master_key_kind} {key.master_key_id}" for key in file.keys}
    return ", ".join(sorted(found))
