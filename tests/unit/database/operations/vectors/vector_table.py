"""A table with one vector index, and what a search of it must find, told from its items by plain arithmetic."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, TypeAlias

from blotter.database.model.keys import table_key
from blotter.database.model.table import KeyAttribute, KeySchema
from tests.in_process import InProcessDatabase

Item: TypeAlias = dict[str, Any]
KEYS = KeySchema((KeyAttribute("id", "S"),), ())
_names = count()


def vector(numbers: Iterable[float]) -> list[dict[str, str]]:
    return [{"N": format(number, ".17g")} for number in numbers]


def item(key: str, numbers: Iterable[float] | None, **texts: str) -> Item:
    found: Item = {"id": {"S": key}} | {name: {"S": text} for name, text in texts.items()}
    return found if numbers is None else found | {"v": {"L": vector(numbers)}}


def vector_index(
    dimensions: int, distance: str = "EUCLIDEAN", hashed: bool = True, name: str = "vix", projection: str = "ALL"
) -> dict[str, Any]:
    schema = [{"AttributeName": "tenant", "SearchSchemaElementType": "HASH"}] if hashed else []
    schema.append({"AttributeName": "color", "SearchSchemaElementType": "INLINE_FILTER"})
    return {
        "IndexName": name,
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": dimensions,
        "DistanceFunction": distance,
        "Projection": {"ProjectionType": projection},
        "SearchSchema": schema,
    }


def definitions(hashed: bool = True) -> list[dict[str, str]]:
    names = ["id", "color", *(["tenant"] if hashed else [])]
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


class VectorTable:
    """Requests about one new table; `databases` are several stores on one directory, `turn` is the one asked."""

    def __init__(
        self,
        databases: Sequence[InProcessDatabase],
        dimensions: int = 2,
        distance: str = "EUCLIDEAN",
        hashed: bool = True,
        indexed: bool = True,
    ) -> None:
        self.databases = databases
        self.turn = 0
        self.name = f"table-{next(_names)}"
        self.distance = distance
        self.hashed = hashed
        self.index = vector_index(dimensions, distance, hashed)
        created: dict[str, Any] = {
            "AttributeDefinitions": definitions(hashed) if indexed else definitions()[:1],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        self.call("CreateTable", **created, **({"VectorIndexes": [self.index]} if indexed else {}))
        self.items: dict[str, Item] = {}

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.send(operation, {"TableName": self.name, **request})
        assert status == 200, (operation, request, body)
        return body

    def send(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self.databases[self.turn % len(self.databases)].call(operation, request)

    def put(self, *items: Item) -> None:
        """One item by PutItem, several by BatchWriteItem."""
        if len(items) == 1:
            self.call("PutItem", Item=items[0])
        for start in range(0, len(items) if len(items) > 1 else 0, 25):
            requests = [{"PutRequest": {"Item": each}} for each in items[start : start + 25]]
            status, body = self.send("BatchWriteItem", {"RequestItems": {self.name: requests}})
            assert (status, body["UnprocessedItems"]) == (200, {}), body
        self.items |= {each["id"]["S"]: each for each in items}

    def delete(self, key: str) -> None:
        self.call("DeleteItem", Key={"id": {"S": key}})
        self.items.pop(key, None)

    def transact(self, puts: Sequence[Item], deletes: Sequence[str]) -> None:
        actions: list[dict[str, Any]] = [{"Put": {"TableName": self.name, "Item": each}} for each in puts]
        actions += [{"Delete": {"TableName": self.name, "Key": {"id": {"S": key}}}} for key in deletes]
        status, body = self.send("TransactWriteItems", {"TransactItems": actions})
        assert status == 200, body
        self.items |= {each["id"]["S"]: each for each in puts}
        for key in deletes:
            self.items.pop(key, None)

    def search(
        self, numbers: Sequence[float], k: int = 100, tenant: str = "t", color: str | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        return self.call("SearchVectors", **self.searching(numbers, k, tenant, color), **more)["SearchResults"]  # type: ignore[no-any-return]

    def searching(
        self, numbers: Sequence[float], k: int = 100, tenant: str = "t", color: str | None = None
    ) -> dict[str, Any]:
        clauses = {"tenant = :t": {":t": {"S": tenant}}} if self.hashed else {}
        if color is not None:
            clauses["color = :c"] = {":c": {"S": color}}
        request: dict[str, Any] = {"IndexName": "vix", "SearchVector": vector(numbers), "TopK": k}
        if clauses:
            request["SearchConditionExpression"] = " AND ".join(clauses)
            request["ExpressionAttributeValues"] = {
                name: value for values in clauses.values() for name, value in values.items()
            }
        return request

    def expected(
        self, numbers: Sequence[float], k: int = 100, tenant: str = "t", color: str | None = None
    ) -> list[tuple[str, float]]:
        """Keys and distances, nearest first; equal ones by the storage keys of the items."""
        found = []
        for key, each in self.items.items():
            if "v" not in each or (self.hashed and each.get("tenant") != {"S": tenant}):
                continue
            if color is not None and each.get("color") != {"S": color}:
                continue
            theirs = [float(element["N"]) for element in each["v"]["L"]]
            found.append((distance(self.distance, theirs, numbers), table_key(KEYS, each), key))
        return [(key, dist) for dist, _, key in sorted(found)[:k]]

    def check(self, numbers: Sequence[float], *arguments: Any) -> None:
        """Searches, and compares with what is expected; for vectors whose products are exact in 64 bits."""
        results = self.search(numbers, *arguments)
        sign = -1 if self.distance == "DOT_PRODUCT" else 1
        found = [(result["Item"]["id"]["S"], sign * result["Score"] + 0.0) for result in results]
        rounded = [(key, rounded_to_float(dist)) for key, dist in self.expected(numbers, *arguments)]
        assert found == rounded
        shown = [{name: self.items[key][name] for name in self.items[key] if name != "v"} for key, _ in rounded]
        assert [result["Item"] for result in results] == shown


def distance(function: str, one: Sequence[float], other: Sequence[float]) -> float:
    """What orders neighbors, in 64 bits: the dot product's negative."""
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    if function == "DOT_PRODUCT":
        return -product
    if function == "EUCLIDEAN":
        return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
    lengths = math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))
    return min(max(1 - product / lengths, 0.0), 2.0) if lengths else 1.0


def rounded_to_float(number: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded + 0.0
