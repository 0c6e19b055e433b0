"""Working storage of one job, beside a store that has no directory: a file without a name, encrypted under a key
that nobody else has."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

import apsw

from blotter.database.encryption.data_keys import ID_BYTES, KEY_BYTES, DataKey
from blotter.database.storage.scratch import Scratch
from blotter.database.storage.sqlite.schema import open_file


def open_scratch() -> Scratch:
    descriptor, name = tempfile.mkstemp(prefix="blotter-scratch-")
    path = Path(name)
    try:
        path.chmod(0o600)
        key = DataKey(secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))
        return Scratch(open_file(name, key, flags=apsw.SQLITE_OPEN_READWRITE))
    finally:
        path.unlink()
        os.close(descriptor)
