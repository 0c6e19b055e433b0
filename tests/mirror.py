"""Databases side by side, over different stores: the same requests; every answer and all that is stored compared.

What is random in an answer (ids, tokens, iterators) gets a name by the order in which it first came; requests use
these names, and each database gets its own value back. Everything else must be equal: sequence numbers, sizes,
capacity, pages, the order of results, error messages.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.storage.protocol import METRICS_SPACE, RECORDS_SPACE, ReadTransaction
from tests.in_process import InProcessDatabase, Open

_SETTLED = {"CreateTable", "UpdateTable", "DeleteTable"}
"""Operations after which the background has work."""
_SHOWN = 300
"""Characters of a request in the report of a difference."""
START = 1_790_000_000.0
_OPAQUE = {"TableId", "ShardIterator", "NextShardIterator", "NextToken", "RevisionId"}
_RANDOM = re.compile(
    r"\bshardId-\d{20}-[0-9a-f]{8}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b"
)
_NAME = re.compile(r"«\d+»")


class _Names:
    """The random values of one database by name, and their names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, str] = {}

    def name(self, value: str) -> str:
        if value not in self._names:
            name = f"«{len(self._names)}»"
            self._names[value], self._values[name] = name, value
        return self._names[value]

    def named(self, answer: Any, member: str = "") -> Any:
        """An answer with names for what is random."""
        if isinstance(answer, dict):
            return {key: self.named(value, key) for key, value in answer.items()}
        if isinstance(answer, list):
            return [self.named(value, member) for value in answer]
        if not isinstance(answer, str):
            return answer
        if member in _OPAQUE:
            return self.name(answer)
        return _RANDOM.sub(lambda found: self.name(found[0]), answer)

    def valued(self, text: str) -> str:
        """A request with the values that it has names for."""
        return _NAME.sub(lambda found: self._values[found[0]], text)


class Mirror:
    """Databases over the stores that `openers` open, which share a clock."""

    def __init__(self, folder: Path, openers: dict[str, Open]) -> None:
        self.now = START
        self.databases = {
            kind: InProcessDatabase(folder / kind, clock=lambda: self.now, store=opener)
            for kind, opener in openers.items()
        }
        self._names = {kind: _Names() for kind in openers}
        self.asked: list[tuple[str, Any]] = []
        """The requests so far, for the report of a difference."""

    def call(self, operation: str, **request: Any) -> tuple[int, Any]:
        """Status and answer, with names for what is random; the same of all databases."""
        self.now += 0.25
        self.asked.append((operation, request))
        text = json.dumps(request, ensure_ascii=False)
        answers: dict[str, tuple[int, Any]] = {}
        for kind, database in self.databases.items():
            names = self._names[kind]
            database.background = operation in _SETTLED
            status, answer = database.call_raw(operation, names.valued(text).encode())
            answers[kind] = (status, names.named(answer))
        return self._same(answers)

    def together(self, *calls: tuple[str, dict[str, Any]], in_order: bool = True) -> list[tuple[int, Any]]:
        """Requests that are sent at once. The answers of those that depend on each other are compared without
        `in_order`."""
        self.now += 0.25
        self.asked += calls
        answers = {}
        for kind, database in self.databases.items():
            names = self._names[kind]
            own = [(name, json.loads(names.valued(json.dumps(request)))) for name, request in calls]
            got = [(status, names.named(answer)) for status, answer in database.call_together(*own)]
            answers[kind] = got if in_order else sorted(got, key=json.dumps)
        found: list[tuple[int, Any]] = self._same(answers)
        return found

    def expire(self) -> None:
        """Deletes expired items."""
        self.asked.append(("expire", {}))
        for database in self.databases.values():
            database.run(TimeToLiveSweeper(database.storage, lambda: self.now).run_once())

    def check_stored(self) -> None:
        """Compares everything that the stores hold."""
        stored = {}
        for kind, database in self.databases.items():
            stored[kind] = database.run(database.storage.fetch(_stored))
        self._same(stored)

    def close(self) -> None:
        for database in self.databases.values():
            database.close()

    def _same(self, found: dict[str, Any]) -> Any:
        (first, expected), *others = found.items()
        for kind, other in others:
            if other != expected:
                asked = [f"  {operation} {json.dumps(request)}"[:_SHOWN] for operation, request in self.asked]
                difference = _first_difference(expected, other)
                raise AssertionError("\n".join([f"{kind} differs from {first}: {difference}", "after", *asked]))
        return expected


def _first_difference(one: Any, other: Any, place: str = "answer") -> str:
    if type(one) is type(other) and isinstance(one, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other or one[key] != other[key]:
                return _first_difference(one.get(key), other.get(key), f"{place}.{key}")
    if type(one) is type(other) and isinstance(one, (list, tuple)):
        for number, (a, b) in enumerate(zip(one, other, strict=False)):
            if a != b:
                return _first_difference(a, b, f"{place}[{number}]")
    return f"{place}: {str(one)[:600]} … {str(other)[:600]}"


def _stored(tx: ReadTransaction) -> dict[str, Any]:
    """What a store holds; tables are named, because their ids are random."""
    tables = sorted(tx.tables(), key=lambda table: table.arn)
    names = {table.id: table.name for table in tables}
    places = [("records", RECORDS_SPACE), ("metrics", METRICS_SPACE)]
    for table in tables:
        places += [(table.name, table.space)]
        places += [(f"{table.name} {index.name}", index.space) for index in table.indexes]
    return {
        "items": {
            name: [tuple(row) for row in tx.items(space, b"", None, 99_999)]
            for name, space in places
            if name != "records"  # tokens and streams with random ids
        },
        "statistics": {name: tuple(tx.statistics(space)) for name, space in places},
        "spaces": [(name, space) for name, space in places],
        "log": [
            (each.sequence, each.time, names[each.table_id], each.shard, each.key, each.old, each.new, each.origin)
            for each in tx.log(0, 99_999)
            if each.kind == "item" and each.table_id in names
        ],
        "last": tx.last_change(),
        "readers": [(reader.name, reader.position, reader.retention) for reader in tx.log_readers()],
    }
