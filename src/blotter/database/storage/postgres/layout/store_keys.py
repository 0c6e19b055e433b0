"""The secrets of a store in PostgreSQL, which all its front ends share: the entries `secret` and `keys` of `meta`.

As in a data directory (`encryption.directory_keys`): one secret, from which the keys for single purposes are
derived, and, with a master key, a data key for the files that a front end has beside the store (its audit trail,
copies). With a master key, both are in the database only wrapped by it. What PostgreSQL keeps in its own files is
not encrypted by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from blotter.database.encryption import key_file
from blotter.database.encryption.data_keys import KEY_BYTES
from blotter.database.encryption.directory_keys import ADVICE, DirectoryKeys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.key_file import KeyFile
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.layout.schema_versions import KEYS, SECRET


def open_keys(state: Mapping[str, bytes], master: MasterKey | None, shown: str) -> DirectoryKeys:
    """The keys out of what the store says of itself (`schema_versions.read_state`). `shown` names the store.
    Raises MasterKeyError, one line for the operator."""
    if KEYS not in state:
        if master is not None:
            raise MasterKeyError(f"{shown} was made without a master key: use it without --master-key")
        secret = state.get(SECRET, b"")
        if len(secret) != KEY_BYTES:
            raise MasterKeyError(f"{shown}: the secret in its table meta is missing or damaged: restore it")
        return DirectoryKeys(Path(), None, {}, secret)
    file = _parsed(state[KEYS], shown)
    if master is None:
        found = ", ".join(sorted({f"{key.master_key_kind} {key.master_key_id}" for key in file.keys}))
        raise MasterKeyError(f"{shown} has a master key, which is needed ({found}): {ADVICE}")
    opened = [key_file.unwrap(wrapped, master, shown) for wrapped in file.keys]
    return DirectoryKeys(Path(), file, {key.id.hex(): key for key, _ in opened}, opened[0][1])


def _parsed(content: bytes, shown: str) -> KeyFile:
    try:
        file = msgspec.json.decode(content, type=KeyFile)
    except msgspec.DecodeError as error:
        raise MasterKeyError(f"{shown}: the keys in its table meta are damaged: {error}") from None
    if file.format != key_file.FORMAT or not file.keys or file.newest not in {key.id for key in file.keys}:
        raise MasterKeyError(f"{shown}: the keys in its table meta are damaged, or of a newer version of blotter")
    return file
