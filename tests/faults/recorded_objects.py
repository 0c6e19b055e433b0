"""Objects beside a recorded disk: what was in the store of objects at a crash after any event of the disk.

An object is there, whole and safe, once `put` has returned, and not before; that a folder keeps this promise is
tested in tests/unit/database/copies/test_objects.py.
"""

from __future__ import annotations

import json
from typing import Any

from blotter.database.copies.jobs import Tools
from blotter.database.copies.memory_objects import MemoryObjects
from tests.faults.storage_power_loss import Record
from tests.in_process import InProcessDatabase

TABLE: dict[str, Any] = {
    "TableName": "books",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "kind")],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-kind",
            "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
Items = dict[str, dict[str, Any]]


class RecordedObjects(dict[str, tuple[bytes, float]]):
    """The contents of `MemoryObjects`; notes after which event of the disk an object was there, or gone (None)."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record
        self._history: list[tuple[int, str, tuple[bytes, float] | None]] = []

    def __setitem__(self, name: str, content: tuple[bytes, float]) -> None:
        super().__setitem__(name, content)
        self._history.append((len(self._record.events), name, content))

    def pop(self, name: str, *default: Any) -> Any:
        self._history.append((len(self._record.events), name, None))
        return super().pop(name, *default)

    def at(self, event: int) -> MemoryObjects:
        """What was there at a crash after an event."""
        contents: dict[str, tuple[bytes, float]] = {}
        for at, name, content in self._history:
            if at <= event and content is None:
                contents.pop(name, None)
            elif at <= event and content is not None:
                contents[name] = content
        return MemoryObjects(contents, "")


def use(tools: Tools, objects: MemoryObjects) -> None:
    tools.objects = objects  # type: ignore[misc]


def read(database: InProcessDatabase, table: str) -> Items:
    """The items of a table that is ACTIVE; its index must hold the same."""
    described = database.call("DescribeTable", {"TableName": table})[1]["Table"]
    assert described["TableStatus"] == "ACTIVE"
    items = database.call("Scan", {"TableName": table})[1]["Items"]
    indexed = database.call("Scan", {"TableName": table, "IndexName": "by-kind"})[1]["Items"]
    assert sorted(map(json.dumps, items)) == sorted(map(json.dumps, indexed))
    assert described["ItemCount"] == len(items)
    return {item["id"]["S"]: item for item in items}
