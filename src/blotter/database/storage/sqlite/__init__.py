"""The embedded store: one SQLite file in WAL mode, shared by the worker processes of one server."""

from blotter.database.storage.sqlite.storage import Shared, SqliteStorage
from blotter.database.storage.sqlite.store import SqliteStore

__all__ = ["Shared", "SqliteStorage", "SqliteStore"]
