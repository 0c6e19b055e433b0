"""`keys.json` of a data directory: its data keys, wrapped by the master key, and a change of keys in progress.

    {"format": 1, "current": "id or null", "changing": true, "target": "id or null", "keys": [{...}, ...]}

`current` is the key under which everything is, null for plain files. While `changing` is true, everything is on
its way to `target`: each file is under the one or the other. Without the file nothing can be decrypted. It is
replaced as a whole and synced, so that a crash leaves the old one or the new one.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from blotter.database.durable_files import sync_directory, write_durably
from blotter.database.encryption.data_keys import DataKey
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey

FILE_NAME: Final = "keys.json"
FORMAT: Final = 1
_SECRET = "secret key"

Goal = Literal["encrypt", "decrypt", "rekey"]


class WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data key as it is stored. Bytes are base64 in the file."""

    id: str
    """16 bytes in hexadecimal."""
    created: str
    master_key_kind: str
    """"local" or "aws-kms"."""
    master_key_id: str
    """A fingerprint, or the ARN of a key of KMS."""
    wrapped_at: str
    wrapped: bytes
    secret: bytes
    """The directory's secret key, encrypted with this data key."""


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    current: str | None
    keys: tuple[WrappedKey, ...]
    changing: bool = False
    target: str | None = None

    @property
    def newest(self) -> str | None:
        """The key under which new files are made."""
        return self.target if self.changing else self.current

    @property
    def unfinished(self) -> Goal | None:
        """The `blotter keys` command that finishes the change in progress."""
        if not self.changing:
            return None
        return "decrypt" if self.target is None else "encrypt" if self.current is None else "rekey"

    def key(self, key_id: str) -> WrappedKey:
        return next(key for key in self.keys if key.id == key_id)


def wrap(key: DataKey, secret_key: bytes, master: MasterKey, created: str = "") -> WrappedKey:
    now = _now()
    return WrappedKey(
        key.id.hex(),
        created or now,
        master.kind,
        master.id,
        now,
        master.wrap(key.material, key.id.hex()),
        _seal(key, secret_key),
    )


def unwrap(wrapped: WrappedKey, master: MasterKey, place: str) -> tuple[DataKey, bytes]:
    """The data key and the directory's secret key. `place` names the directory in messages. Raises
    MasterKeyError."""
    if (wrapped.master_key_kind, wrapped.master_key_id) != (master.kind, master.id):
        raise MasterKeyError(
            f"the master key {master.text} ({master.kind} {master.id}) is not the one that {place} was encrypted "
            f"with ({wrapped.master_key_kind} {wrapped.master_key_id})"
        )
    material = master.unwrap(wrapped.wrapped, wrapped.id)
    try:
        key = DataKey(bytes.fromhex(wrapped.id), material)
    except ValueError:
        raise MasterKeyError(f"{place}: the data key {wrapped.id} has not the form of one") from None
    return key, _unseal(key, wrapped.secret, place)


def load(path: Path) -> KeyFile | None:
    """None if there is no such file. Raises MasterKeyError if it cannot be read or is damaged."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # a data directory that is none is refused where it is opened
        return None
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = msgspec.json.decode(content, type=KeyFile)
    except msgspec.DecodeError as error:
        raise MasterKeyError(f"{path} is damaged or from a newer version of blotter: {error}") from None
    ids = {key.id for key in found.keys}
    if found.format != FORMAT or not {found.current, found.newest} - {None} <= ids:
        raise MasterKeyError(f"{path} is damaged or from a newer version of blotter")
    return found


def save(path: Path, file: KeyFile) -> None:
    write_durably(path, encode(file))


def encode(file: KeyFile) -> bytes:
    """The content of the file."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def remove(path: Path) -> None:
    path.unlink()
    sync_directory(path.parent)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _seal(key: DataKey, secret_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key.derive(_SECRET)).encrypt(nonce, secret_key, key.id)


def _unseal(key: DataKey, sealed: bytes, place: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key.derive(_SECRET)).decrypt(sealed[:12], sealed[12:], key.id)
    except (InvalidTag, ValueError):
        raise MasterKeyError(
            f"{place}: the secret key in {FILE_NAME} is damaged: it does not authenticate"
        ) from None
