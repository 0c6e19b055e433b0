"""Makes a database file whose change log goes on after that of another, for `blotter recover`."""

from __future__ import annotations

from pathlib import Path

from blotter.database.encryption.data_keys import DataKey
from blotter.database.storage.sqlite import schema
from blotter.database.storage.sqlite.schema import LAST_CHANGE


def make_file(path: Path, key: DataKey | None, last_change: int) -> None:
    """The first change in the new file gets the number after `last_change`. Raises DataDirectoryError."""
    schema.create_or_check(path, key=key)
    connection = schema.connect(path, key=key)
    try:
        connection.execute("UPDATE counters SET value = ? WHERE id = ?", (last_change, LAST_CHANGE))
        connection.execute("UPDATE log_readers SET position = ?", (last_change,))
    finally:
        connection.close()
