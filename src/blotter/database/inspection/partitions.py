"""How a table's items and traffic spread over the hash space. For `blotter inspect partitions`.

Keys are stored in the order of their partitions' hashes, so a part of the hash space is a range of keys. Each of
`PARTS` parts is counted in a short snapshot of its own, so that a running server's log can be started over between
them: counts of different parts may be of different moments. Traffic is what contributor insights have counted
(`insights`), if the table or index has them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from blotter.database.encryption.master_keys import MasterKey
from blotter.database.insights.report import make_report
from blotter.database.insights.settings import Insights, find_insights
from blotter.database.insights.sketch import PARTS
from blotter.database.model.arns import parse_arn
from blotter.database.model.table import Index, KeySchema, Table
from blotter.database.storage.protocol import DataDirectoryError, ReadTransaction
from blotter.database.storage.sqlite.read_only import ReadOnlyFile

SHOWN: Final = 10
"""Largest partition keys and hottest keys."""
PARTITION_BYTES: Final = 10 * 10**9
PARTITION_READS: Final = 3000
PARTITION_WRITES: Final = 1000
"""What one of DynamoDB's partitions holds and serves in a second.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"""

_COUNT = "SELECT count(*), coalesce(sum(size), 0) FROM items WHERE space = ? AND key >= ? AND key < ?"
_LARGEST = """SELECT count(*), coalesce(sum(size), 0), min(key) FROM items
    WHERE space = ? AND key >= ? AND key < ? GROUP BY substr(key, 1, 8) ORDER BY 1 DESC LIMIT ?"""
_END = b"\xff" * 4096


class Part(msgspec.Struct):
    """One part of the hash space."""

    items: int
    bytes: int
    units: float = 0.0
    """ConsumedThroughputUnits of its partitions, if they are counted."""


class LargePartition(msgspec.Struct, frozen=True):
    """A partition key with many items."""

    key: dict[str, Any]
    items: int
    bytes: int


class HotKey(msgspec.Struct, frozen=True):
    """A partition key with much traffic. `peak` is its busiest minute's average, in units a second."""

    key: list[str]
    units: float
    peak: float


class Traffic(msgspec.Struct, frozen=True):
    since: float
    """In seconds since the epoch."""
    units: float
    keys: int
    """About how many different partition keys were accessed."""
    hottest: list[HotKey]


class Partitions(msgspec.Struct, frozen=True):
    arn: str
    index: str | None
    keys: list[str]
    """The partition key's attributes."""
    items: int
    bytes: int
    parts: list[Part]
    fullest: float
    """How many times its even share the fullest part holds."""
    busiest: float | None
    """The same of the traffic; None if that is not counted."""
    largest: list[LargePartition]
    traffic: Traffic | None
    by_size: int
    """How many of AWS's partitions the data would fill."""


def read_partitions(
    directory: Path,
    name: str,
    index_name: str | None = None,
    hours: int = 24,
    master_key: MasterKey | None = None,
    clock: Callable[[], float] = time.time,
) -> Partitions:
    """The view of a table, by name or ARN, or of one of its indexes. Raises DataDirectoryError for what is not
    there or not clear, and as `contents.read_contents`."""
    file = ReadOnlyFile(directory, master_key)
    try:
        with file.snapshot() as tx:
            table, index = _find(tx, name, index_name)
            insights = find_insights(
                tx, table.account, table.region, table.name, "" if index is None else index.name
            )
        keys = table.keys if index is None else index.keys
        space = table.space if index is None else index.space
        parts: list[Part] = []
        largest: list[LargePartition] = []
        for number in range(PARTS):
            part, found = _read_part(file, space, keys, number, has_many=bool(keys.sort) or index is not None)
            parts.append(part)
            largest += found
        traffic = None
        if insights is not None and insights.enabled and insights.mode != "THROTTLED_KEYS":
            with file.snapshot() as tx:
                traffic = _read_traffic(tx, insights, parts, hours, clock())
    finally:
        file.close()
    items, size = sum(part.items for part in parts), sum(part.bytes for part in parts)
    largest.sort(key=lambda partition: -partition.items)
    return Partitions(
        table.arn,
        index_name,
        [attribute.name for attribute in keys.partition],
        items,
        size,
        parts,
        _share([part.items for part in parts]) or 0.0,
        None if traffic is None else _share([part.units for part in parts]),
        largest[:SHOWN],
        traffic,
        max(1, math.ceil(size / PARTITION_BYTES)),
    )


def _find(tx: ReadTransaction, name: str, index_name: str | None) -> tuple[Table, Index | None]:
    arn = parse_arn(name) if name.startswith("arn:") else None
    found = [table for table in tx.tables() if (table.arn == name if arn is not None else table.name == name)]
    if not found:
        raise DataDirectoryError(f"there is no table {name}")
    if len(found) > 1:
        choices = ", ".join(sorted(table.arn for table in found))
        raise DataDirectoryError(f"there are several tables {name}; name one by its ARN: {choices}")
    if index_name is None:
        return found[0], None
    index = found[0].index(index_name)
    if index is None or index.vector is not None:
        raise DataDirectoryError(f"table {name} has no secondary index {index_name}")
    return found[0], index


def _read_part(
    file: ReadOnlyFile, space: int, keys: KeySchema, number: int, *, has_many: bool
) -> tuple[Part, list[LargePartition]]:
    width = (1 << 64) // PARTS
    start = (width * number).to_bytes(8)
    end = _END if number + 1 == PARTS else (width * (number + 1)).to_bytes(8)
    with file.snapshot() as tx:
        counted: list[Any] = file.connection.execute(_COUNT, (space, start, end)).fetchall()
        part = Part(*counted[0])
        if not has_many:
            return part, []
        rows: list[Any] = file.connection.execute(_LARGEST, (space, start, end, SHOWN)).fetchall()
        return part, [_large(tx, space, keys, row) for row in rows if row[0] > 1]


def _large(tx: ReadTransaction, space: int, keys: KeySchema, row: Any) -> LargePartition:
    items, size, key = row
    stored = tx.get(space, key)
    item = {} if stored is None else orjson.loads(stored.body)
    named = {attribute.name: item.get(attribute.name) for attribute in keys.partition}
    return LargePartition(named, items, size)


def _read_traffic(tx: ReadTransaction, insights: Insights, parts: list[Part], hours: int, now: float) -> Traffic:
    """Adds the units of each part, and says what was hottest."""
    since = now - hours * 3600.0
    report = make_report(tx, insights, "PKC", since, now + 60, 60, now, count=SHOWN)
    peaks: dict[str, float] = {}
    for point in report.periods.values():
        for number, units in enumerate(point.spread):
            parts[number].units += units
        for key, units in point.contributors.items():
            peaks[key] = max(units, peaks.get(key, 0.0))
    hottest = [
        HotKey(values, units, peaks.get(orjson.dumps(values).decode(), 0.0) / 60)
        for values, units in report.contributors
    ]
    return Traffic(since, report.total, report.unique, hottest)


def _share(amounts: list[int] | list[float]) -> float | None:
    total = sum(amounts)
    return max(amounts) * len(amounts) / total if total else None
