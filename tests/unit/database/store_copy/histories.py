"""Random requests for tests of copies: tables that come and go, indexes, streams, transactions, records."""

from __future__ import annotations

import json
import random
from typing import Any

from blotter.database.security.access_records import User, save
from tests.in_process import ACCOUNT, InProcessDatabase

NAMES = ("first", "second", "third")
_STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def _schema(partition: str, sort: str | None = None) -> list[dict[str, str]]:
    keys = [{"AttributeName": partition, "KeyType": "HASH"}]
    return keys if sort is None else [*keys, {"AttributeName": sort, "KeyType": "RANGE"}]


def create_table(name: str, *, stream: bool = False) -> dict[str, Any]:
    return {
        "TableName": name,
        "KeySchema": _schema("p", "s"),
        "AttributeDefinitions": [
            {"AttributeName": "p", "AttributeType": "S"},
            {"AttributeName": "s", "AttributeType": "N"},
            {"AttributeName": "v", "AttributeType": "N"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-v", "KeySchema": _schema("v"), "Projection": {"ProjectionType": "ALL"}}
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "local",
                "KeySchema": _schema("p", "v"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        **({"StreamSpecification": _STREAM} if stream else {}),
    }


class History:
    """One random request after another. `tables` is what there is, with the names of the indexes that come and
    go."""

    def __init__(self, database: InProcessDatabase, seed: int) -> None:
        self.database = database
        self.chance = random.Random(seed)
        self.tables: dict[str, bool] = {}

    async def step(self) -> None:
        chance = self.chance
        kind = chance.choice(["put"] * 14 + ["delete"] * 4 + ["order", "transaction", "table", "index", "user"])
        name = chance.choice(NAMES)
        key = {"p": {"S": chance.choice("abc")}, "s": {"N": str(chance.randrange(9))}}
        if kind == "table":
            await self._create_or_delete(name)
        elif kind == "user":
            user = User(f"user{chance.randrange(9)}", "AIDA", "/", 1.0)
            await self.database.storage.write(lambda tx: save(tx, ACCOUNT, user))
        elif name not in self.tables:
            return
        elif kind == "put":
            await self.ask("PutItem", TableName=name, Item=self._item(key))
        elif kind == "order":  # the same item, its members in another order: nothing that the log shows
            members = [("a", {"S": "x"}), ("b", {"SS": ["x", "y"]}), ("v", {"N": "1"})]
            for order in (members, members[::-1]):
                await self.ask("PutItem", TableName=name, Item={**key, **dict(order)})
        elif kind == "delete":
            await self.ask("DeleteItem", TableName=name, Key=key)
        elif kind == "transaction":
            puts = [{"Put": {"TableName": each, "Item": self._item(key)}} for each in sorted(self.tables)]
            await self.ask("TransactWriteItems", TransactItems=puts, ClientRequestToken=f"t{chance.random()}")
        else:
            await self._change_index(name)

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = await self.database.answer(operation, json.dumps(request).encode())
        assert status == 200, answer
        return answer

    def _item(self, key: dict[str, Any]) -> dict[str, Any]:
        item = {**key, "text": {"S": "é" * self.chance.choice([1, 1, 400])}}
        if self.chance.random() < 0.7:
            item["v"] = {"N": str(self.chance.randrange(5))}
        return item

    async def _create_or_delete(self, name: str) -> None:
        if self.tables.pop(name, None) is not None:
            await self.ask("DeleteTable", TableName=name)
        else:
            self.tables[name] = False
            await self.ask("CreateTable", **create_table(name, stream=self.chance.random() < 0.5))

    async def _change_index(self, name: str) -> None:
        if self.tables[name]:
            change: dict[str, Any] = {"Delete": {"IndexName": "late"}}
        else:
            projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["text"]}
            change = {"Create": {"IndexName": "late", "KeySchema": _schema("v", "p"), "Projection": projection}}
        self.tables[name] = not self.tables[name]
        await self.ask(
            "UpdateTable",
            TableName=name,
            AttributeDefinitions=create_table(name)["AttributeDefinitions"],
            GlobalSecondaryIndexUpdates=[change],
        )
