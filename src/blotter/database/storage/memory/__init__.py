"""The in-memory store: everything is gone when the process ends. For tests and for trying things out."""

from blotter.database.storage.memory.storage import MemoryStorage, MemoryStore

__all__ = ["MemoryStorage", "MemoryStore"]
