"""A table as plain Python: what an item operation must do, without stores, keys' bytes or compiled expressions.

Items are dicts of wire values. Numbers compare as decimals, everything else as it is; sets are in their order
(`in_order`). The model knows what the
rules promise (conditions, projections, order within a partition, what a write costs) and nothing of how Blotter
keeps it; `test_model.py` holds both against each other.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]
Test = Callable[[Item], bool]


def key_schema(partition: tuple[str, ...], sort: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in partition),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in sort),
    ]


@dataclass(frozen=True)
class IndexModel:
    name: str
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    projection: str | tuple[str, ...]
    """"ALL", "KEYS_ONLY", or the included attributes."""
    local: bool = False

    def request(self) -> dict[str, Any]:
        """The parameters of CreateTable and UpdateTable that make it."""
        projection: dict[str, Any] = {"ProjectionType": self.projection}
        if isinstance(self.projection, tuple):
            projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(self.projection)}
        return {
            "IndexName": self.name,
            "KeySchema": key_schema(self.partition, self.sort),
            "Projection": projection,
        }

    def entry(self, item: Item | None, table_keys: tuple[str, ...]) -> Item | None:
        """What the index holds of an item; None for an item without all of its key attributes."""
        if item is None or any(name not in item for name in (*self.partition, *self.sort)):
            return None
        if self.projection == "ALL":
            return item
        included = () if self.projection == "KEYS_ONLY" else self.projection
        held = {*table_keys, *self.partition, *self.sort, *included}
        return {name: value for name, value in item.items() if name in held}


@dataclass
class TableModel:
    partition: str
    sort: str
    indexes: tuple[IndexModel, ...]
    items: dict[Any, Item] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, str]:
        return self.partition, self.sort

    def key(self, item: Item) -> tuple[Any, ...]:
        return tuple(comparable(item[name]) for name in self.keys)

    def get(self, key: Item) -> Item | None:
        return self.items.get(self.key(key))

    def write(self, key: Item, new: Item | None) -> dict[str, float]:
        """Replaces or removes an item of less than 1 KB; returns the write units by index, "" being the table."""
        old = self.get(key)
        if new is None:
            self.items.pop(self.key(key), None)
        else:
            self.items[self.key(key)] = new
        units = {"": 1.0}
        for index in self.indexes:
            before, after = index.entry(old, self.keys), index.entry(new, self.keys)
            if before != after:
                moved = (
                    before is not None
                    and after is not None
                    and self._place(index, before) != self._place(index, after)
                )
                units[index.name] = 2.0 if moved else 1.0
        return units

    def _place(self, index: IndexModel, entry: Item) -> list[Any]:
        return [comparable(entry[name]) for name in (*index.partition, *index.sort)]

    def entries(self, index: IndexModel | None) -> list[Item]:
        if index is None:
            return list(self.items.values())
        held = (index.entry(item, self.keys) for item in self.items.values())
        return [entry for entry in held if entry is not None]

    def query(
        self, index: IndexModel | None, partition: Item, test: Test, *, forward: bool
    ) -> list[tuple[list[Any], Item]]:
        """(sort key, item) of a partition where `test` holds, in order; items of one sort key in any."""
        sort = (self.sort,) if index is None else index.sort
        found = [
            ([comparable(entry[name]) for name in sort], entry)
            for entry in self.entries(index)
            if all(comparable(entry[name]) == comparable(value) for name, value in partition.items())
            and test(entry)
        ]
        return sorted(found, key=lambda pair: pair[0], reverse=not forward)


def comparable(value: Value) -> Any:
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else content


def in_order(item: Item) -> Item:
    """The item as it comes back: members of sets in the order of their values, or of their bytes."""
    return {
        name: {kind: _ordered(kind, content)} for name, value in item.items() for kind, content in value.items()
    }


def _ordered(kind: str, content: Any) -> Any:
    by = {"SS": str.encode, "NS": Decimal, "BS": b64decode}.get(kind)
    return content if by is None else sorted(content, key=by)


def united(item: Item, unions: Item, differences: Item) -> Item:
    """ADD and DELETE of sets; one without members is no attribute."""
    new = dict(item)
    for name, value in unions.items():
        ((kind, members),) = value.items()
        new[name] = {kind: list({*new.get(name, {kind: []})[kind], *members})}
    for name, value in differences.items():
        ((kind, members),) = value.items()
        left = set(new.get(name, {kind: []})[kind]) - set(members)
        new.pop(name, None)
        if left:
            new[name] = {kind: list(left)}
    return in_order(new)


def updated(key: Item, old: Item | None, sets: Item, adds: dict[str, int], removes: Iterable[str]) -> Item | None:
    """SET, ADD of numbers and REMOVE on top-level attributes; None when there was nothing and nothing comes."""
    if old is None and not sets and not adds:
        return None
    new = {**(old or key), **sets}
    for name, amount in adds.items():
        current = Decimal((old or {}).get(name, {"N": "0"})["N"])
        new[name] = {"N": str(current + amount)}
    for name in removes:
        new.pop(name, None)
    return new


def multiset(items: Iterable[Item]) -> list[str]:
    return sorted(repr(sorted(item.items())) for item in items)
