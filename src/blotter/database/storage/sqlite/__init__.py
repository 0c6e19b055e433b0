"""The embedded backend: one SQLite file in WAL mode, shared by the worker processes of one server."""

from blotter.database.storage.sqlite.locks import TurnBell
from blotter.database.storage.sqlite.storage import SqliteStorage

__all__ = ["SqliteStorage", "TurnBell"]
