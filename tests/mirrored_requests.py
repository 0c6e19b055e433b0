"""Random requests for `mirror.py`: most are right, some are wrong in ways that clients are."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.mirror import Mirror

NAMES = ("one", "two", "three")
_PARTITIONS = ("x", "y", "é" * 40, "k" * 2048)
_SORTS = ("-1.5", "0", "2", "10", "123456789012345678901234567890.12345678")
_LETTERS = ("x", "y", "xy", "", "long " * 900)
_SHARES = {
    "put": 10,
    "update": 8,
    "delete": 4,
    "get": 3,
    "query": 4,
    "scan": 3,
    "batch_get": 2,
    "batch_write": 3,
    "transact_get": 2,
    "transact_write": 5,
    "statement": 3,
    "statements": 2,
    "create": 3,
    "drop": 2,
    "describe": 2,
    "index": 2,
    "settings": 2,
    "stream": 2,
    "wrong": 3,
    "together": 2,
    "contend": 1,
    "wait": 1,
}


class Table:
    """What is known of a table that was asked for."""

    def __init__(self, name: str, *, sort: bool) -> None:
        self.name = name
        self.sort = sort
        self.indexes: set[str] = set()
        self.streamed = False


class Requests:
    """Asks a mirror, one step at a time."""

    def __init__(self, mirror: Mirror, chance: random.Random) -> None:
        self._mirror = mirror
        self._chance = chance
        self._tables: dict[str, Table] = {}
        self._steps = [name for name, share in _SHARES.items() for _ in range(share)]
        self._tokens = 0

    def step(self) -> None:
        if not self._tables:
            self.create()
        else:
            getattr(self, self._chance.choice(self._steps))()

    # What requests are made of

    def _table(self) -> Table:
        return self._tables[self._chance.choice(sorted(self._tables))]

    def _key(self, table: Table) -> dict[str, Any]:
        key: dict[str, Any] = {"p": {"S": self._chance.choice(_PARTITIONS)}}
        if table.sort:
            key["s"] = {"N": self._chance.choice(_SORTS)}
        return key

    def _value(self) -> dict[str, Any]:
        chance = self._chance
        kind = chance.randrange(7)
        if kind == 0:
            return {"N": chance.choice(_SORTS)}
        if kind == 1:
            return {"B": chance.choice(["AAA=", "", "/w=="])}
        if kind == 2:
            return {"SS": chance.sample(["a", "b", "c"], 2)}
        if kind == 3:
            return {"L": [{"S": "x"}, {"M": {"k": {"NULL": True}}}]}
        return {"S": chance.choice(_LETTERS)}

    def _item(self, table: Table) -> dict[str, Any]:
        item = self._key(table)
        for name in ("a", "b", "d"):
            if self._chance.random() < 0.6:
                item[name] = self._value()
        if self._chance.random() < 0.9:  # else perhaps of a type that an index does not take
            item["a"] = {"S": self._chance.choice(["x", "y", "k" * 1500])}
            item["b"] = {"N": self._chance.choice(_SORTS)}
        for name in ("a", "b"):
            if self._chance.random() < 0.2:
                item.pop(name, None)
        if self._chance.random() < 0.2:
            item["ttl"] = {"N": str(int(self._mirror.now) + self._chance.choice([-9, 5]))}
        return item

    def _condition(self) -> dict[str, Any]:
        kind = self._chance.randrange(12)
        if kind == 0:
            return {"ConditionExpression": "attribute_exists(p)"}
        if kind == 1:
            return {"ConditionExpression": "attribute_not_exists(p)"}
        if kind == 2:
            return {
                "ConditionExpression": "a = :c OR size(b) < :n",
                "ExpressionAttributeValues": {":c": {"S": "x"}, ":n": {"N": "4"}},
            }
        return {}

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self._chance.random() < 0.5:
            options["ReturnConsumedCapacity"] = self._chance.choice(["TOTAL", "INDEXES"])
        if self._chance.random() < 0.2:
            options["ReturnItemCollectionMetrics"] = "SIZE"
        return options

    def _write(self, table: Table) -> tuple[str, dict[str, Any]]:
        """One write as a transaction takes it: its kind and members."""
        chance = self._chance
        kind = chance.choice(["Put", "Put", "Put", "Update", "Update", "Delete", "ConditionCheck"])
        condition = self._condition()
        if kind == "Put":
            return kind, {"Item": self._item(table), **condition}
        if kind == "Update":
            return kind, {"Key": self._key(table), **self._update(condition)}
        if kind == "ConditionCheck" and not condition:
            condition = {"ConditionExpression": "attribute_not_exists(p)"}
        return kind, {"Key": self._key(table), **condition}

    def _update(self, condition: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = dict(condition.get("ExpressionAttributeValues", {}))
        kind = self._chance.randrange(5)
        if kind == 0:
            text = "ADD c :one"
            values[":one"] = {"N": "1"}
        elif kind == 1:
            text = "REMOVE a, d"
        elif kind == 2:
            text = "SET d = list_append(if_not_exists(d, :l), :l)"
            values[":l"] = {"L": [{"S": "x"}]}
        else:
            text = "SET a = :a, b = if_not_exists(b, :b)"
            value = self._value() if self._chance.random() < 0.2 else {"S": self._chance.choice(["x", "y"])}
            values |= {":a": value, ":b": {"N": "7"}}
        update = {**condition, "UpdateExpression": text}
        if values:
            update["ExpressionAttributeValues"] = values
        return update

    # Steps

    def put(self) -> None:
        table = self._table()
        self._mirror.call(
            "PutItem",
            TableName=table.name,
            Item=self._item(table),
            ReturnValues=self._chance.choice(["NONE", "ALL_OLD"]),
            **self._condition(),
            **self._options(),
        )

    def update(self) -> None:
        table = self._table()
        self._mirror.call(
            "UpdateItem",
            TableName=table.name,
            Key=self._key(table),
            ReturnValues=self._chance.choice(["ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", "ALL_OLD", "NONE"]),
            ReturnValuesOnConditionCheckFailure=self._chance.choice(["ALL_OLD", "NONE"]),
            **self._update(self._condition()),
            **self._options(),
        )

    def delete(self) -> None:
        table = self._table()
        self._mirror.call(
            "DeleteItem",
            TableName=table.name,
            Key=self._key(table),
            ReturnValues="ALL_OLD",
            **self._condition(),
            **self._options(),
        )

    def get(self) -> None:
        table = self._table()
        options = {"ProjectionExpression": "a, d[0], p"} if self._chance.random() < 0.3 else {}
        self._mirror.call(
            "GetItem",
            TableName=table.name,
            Key=self._key(table),
            ConsistentRead=self._chance.random() < 0.5,
            ReturnConsumedCapacity="TOTAL",
            **options,
        )

    def query(self) -> None:
        table, chance = self._table(), self._chance
        request: dict[str, Any] = {"ScanIndexForward": chance.random() < 0.5, **self._options()}
        index = chance.choice(sorted(table.indexes)) if table.indexes and chance.random() < 0.6 else None
        request.pop("ReturnItemCollectionMetrics", None)
        if index is None or index == "local":
            text, values = "p = :p", {":p": {"S": chance.choice(_PARTITIONS)}}
            if index is None and table.sort and chance.random() < 0.5:
                text += f" AND s {chance.choice(['<', '>=', '='])} :s"
                values[":s"] = {"N": chance.choice(_SORTS)}
        else:
            text, values = "a = :p", {":p": {"S": chance.choice(["x", "k" * 1500])}}
        if index is not None:
            request["IndexName"] = index
        if chance.random() < 0.3:
            request["FilterExpression"] = "attribute_exists(d)"
        if chance.random() < 0.2:
            request["Select"] = "COUNT"
        request |= {"KeyConditionExpression": text, "ExpressionAttributeValues": values}
        self._pages("Query", table, request)

    def scan(self) -> None:
        table, chance = self._table(), self._chance
        request: dict[str, Any] = {}
        if table.indexes and chance.random() < 0.5:
            request["IndexName"] = chance.choice(sorted(table.indexes))
        if chance.random() < 0.3:
            request |= {"TotalSegments": 3, "Segment": chance.randrange(3)}
        if chance.random() < 0.3:
            request |= {"FilterExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
        self._pages("Scan", table, request)

    def _pages(self, operation: str, table: Table, request: dict[str, Any]) -> None:
        if self._chance.random() < 0.6:
            request["Limit"] = self._chance.choice([1, 2, 5])
        while True:
            status, answer = self._mirror.call(operation, TableName=table.name, **request)
            if status != 200 or "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def batch_get(self) -> None:
        tables = {self._table().name for _ in range(2)}
        self._mirror.call(
            "BatchGetItem",
            RequestItems={
                name: {"Keys": [self._key(self._tables[name]) for _ in range(self._chance.randrange(1, 4))]}
                for name in sorted(tables)
            },
            ReturnConsumedCapacity="TOTAL",
        )

    def batch_write(self) -> None:
        requests = {}
        for name in sorted({self._table().name for _ in range(2)}):
            table = self._tables[name]
            requests[name] = [
                {"PutRequest": {"Item": self._item(table)}}
                if self._chance.random() < 0.7
                else {"DeleteRequest": {"Key": self._key(table)}}
                for _ in range(self._chance.randrange(1, 4))
            ]
        self._mirror.call("BatchWriteItem", RequestItems=requests, **self._options())

    def transact_get(self) -> None:
        gets = []
        for _ in range(self._chance.randrange(1, 4)):
            table = self._table()
            gets.append({"Get": {"TableName": table.name, "Key": self._key(table)}})
        self._mirror.call("TransactGetItems", TransactItems=gets, ReturnConsumedCapacity="TOTAL")

    def transact_write(self) -> None:
        items = []
        for _ in range(self._chance.randrange(1, 5)):
            table = self._table()
            kind, members = self._write(table)
            members["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            items.append({kind: {"TableName": table.name, **members}})
        request: dict[str, Any] = {"TransactItems": items, **self._options()}
        if self._chance.random() < 0.4:
            self._tokens += 1
            request["ClientRequestToken"] = f"token-{self._tokens}"
        self._mirror.call("TransactWriteItems", **request)
        if "ClientRequestToken" in request:
            self._mirror.call("TransactWriteItems", **request)

    def _statement(self, table: Table) -> dict[str, Any]:
        chance, key = self._chance, self._key(table)
        where = " AND ".join(f"{name} = ?" for name in key)
        values = list(key.values())
        kind = chance.randrange(5)
        if kind == 0:
            item = self._key(table) | {"a": {"S": "x"}}
            members = ", ".join(f"'{name}': ?" for name in item)
            text = f'INSERT INTO "{table.name}" VALUE {{{members}}}'
            return {"Statement": text, "Parameters": list(item.values())}
        if kind == 1:
            text = f'UPDATE "{table.name}" SET a = ? WHERE {where}'
            return {"Statement": text, "Parameters": [{"S": "y"}, *values]}
        if kind == 2:
            return {"Statement": f'DELETE FROM "{table.name}" WHERE {where}', "Parameters": values}
        return {"Statement": f'SELECT * FROM "{table.name}" WHERE {where}', "Parameters": values}

    def statement(self) -> None:
        table = self._table()
        if self._chance.random() < 0.3:
            text = f"SELECT p, a FROM \"{table.name}\" WHERE a = 'x' OR begins_with(p, 'k')"
            request: dict[str, Any] = {"Statement": text, "Limit": 2}
            while True:
                status, answer = self._mirror.call("ExecuteStatement", **request)
                if status != 200 or "NextToken" not in answer:
                    return
                request["NextToken"] = answer["NextToken"]
        self._mirror.call("ExecuteStatement", **self._statement(table), ReturnConsumedCapacity="TOTAL")

    def statements(self) -> None:
        chosen = [self._statement(self._table()) for _ in range(self._chance.randrange(1, 4))]
        if self._chance.random() < 0.5:
            self._mirror.call("BatchExecuteStatement", Statements=chosen)
        else:
            self._mirror.call("ExecuteTransaction", TransactStatements=chosen)

    def create(self) -> None:
        name, chance = self._chance.choice(NAMES), self._chance
        table = Table(name, sort=chance.random() < 0.7)
        keys = [{"AttributeName": "p", "KeyType": "HASH"}]
        types = {"p": "S"}
        if table.sort:
            keys.append({"AttributeName": "s", "KeyType": "RANGE"})
            types["s"] = "N"
        request: dict[str, Any] = {}
        if chance.random() < 0.6:
            table.indexes.add("global")
            types["a"] = "S"
            request["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": "global",
                    "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ]
        if table.sort and chance.random() < 0.5:
            table.indexes.add("local")
            types["b"] = "N"
            request["LocalSecondaryIndexes"] = [
                {
                    "IndexName": "local",
                    "KeySchema": [keys[0], {"AttributeName": "b", "KeyType": "RANGE"}],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["d"]},
                }
            ]
        if chance.random() < 0.5:
            table.streamed = True
            view = chance.choice(["NEW_AND_OLD_IMAGES", "KEYS_ONLY", "NEW_IMAGE"])
            request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
        status, _ = self._mirror.call(
            "CreateTable",
            TableName=name,
            KeySchema=keys,
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in types.items()],
            BillingMode="PAY_PER_REQUEST",
            Tags=[{"Key": "made", "Value": "here"}],
            **request,
        )
        if status == 200:
            self._tables[name] = table

    def drop(self) -> None:
        table = self._table()
        status, _ = self._mirror.call("DeleteTable", TableName=table.name)
        if status == 200:
            del self._tables[table.name]

    def describe(self) -> None:
        table = self._table()
        self._mirror.call("DescribeTable", TableName=table.name)
        self._mirror.call("ListTables", Limit=self._chance.choice([1, 2, 50]))
        self._mirror.call("DescribeContinuousBackups", TableName=table.name)
        self._mirror.call("DescribeTimeToLive", TableName=table.name)
        self._mirror.call("DescribeLimits")

    def index(self) -> None:
        table = self._table()
        if "later" in table.indexes:
            change: dict[str, Any] = {"Delete": {"IndexName": "later"}}
        else:
            keys = [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "p", "KeyType": "RANGE"}]
            projection = {"ProjectionType": "KEYS_ONLY"}
            change = {"Create": {"IndexName": "later", "KeySchema": keys, "Projection": projection}}
        status, _ = self._mirror.call(
            "UpdateTable",
            TableName=table.name,
            AttributeDefinitions=[
                {"AttributeName": "a", "AttributeType": "S"},
                {"AttributeName": "p", "AttributeType": "S"},
            ],
            GlobalSecondaryIndexUpdates=[change],
        )
        if status == 200:
            table.indexes ^= {"later"}

    def settings(self) -> None:
        table, kind = self._table(), self._chance.randrange(6)
        arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/{table.name}"
        if kind == 0:
            self._mirror.call("TagResource", ResourceArn=arn, Tags=[{"Key": "k", "Value": str(self._mirror.now)}])
            self._mirror.call("ListTagsOfResource", ResourceArn=arn)
        elif kind == 1:
            specification = {"AttributeName": "ttl", "Enabled": self._chance.random() < 0.7}
            self._mirror.call("UpdateTimeToLive", TableName=table.name, TimeToLiveSpecification=specification)
        elif kind == 2:
            view = {"StreamViewType": "NEW_AND_OLD_IMAGES"} if not table.streamed else {}
            specification = {"StreamEnabled": not table.streamed, **view}
            status, _ = self._mirror.call("UpdateTable", TableName=table.name, StreamSpecification=specification)
            table.streamed ^= status == 200
        elif kind == 3:
            self._policy(arn)
        elif kind == 4:
            self._mirror.call("UntagResource", ResourceArn=arn, TagKeys=["k"])
        else:
            self._mirror.call(
                "UpdateTable", TableName=table.name, DeletionProtectionEnabled=False, TableClass="STANDARD"
            )

    def _policy(self, arn: str) -> None:
        principal = self._chance.choice([{"AWS": "123456789012"}, {"AWS": "arn:aws:iam::123456789012:root"}, "*"])
        statement = {"Effect": "Allow", "Principal": principal, "Action": "dynamodb:GetItem", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._mirror.call("PutResourcePolicy", ResourceArn=arn, Policy=policy)
        self._mirror.call("GetResourcePolicy", ResourceArn=arn)
        if self._chance.random() < 0.5:
            self._mirror.call("DeleteResourcePolicy", ResourceArn=arn)

    def stream(self) -> None:
        """Everything that the streams of a table have."""
        table = self._table()
        _, streams = self._mirror.call("ListStreams", TableName=table.name)
        for stream in streams.get("Streams", ()):
            _, description = self._mirror.call("DescribeStream", StreamArn=stream["StreamArn"])
            shards = description["StreamDescription"]["Shards"]
            for shard in self._chance.sample(shards, min(4, len(shards))):
                _, answer = self._mirror.call(
                    "GetShardIterator",
                    StreamArn=stream["StreamArn"],
                    ShardId=shard["ShardId"],
                    ShardIteratorType=self._chance.choice(["TRIM_HORIZON", "LATEST"]),
                )
                self._mirror.call("GetRecords", ShardIterator=answer["ShardIterator"], Limit=7)

    def wrong(self) -> None:
        table, key = self._table(), self._key(self._table())
        item = self._item(table)
        for operation, request in (
            ("PutItem", {"TableName": "absent", "Item": item}),
            ("PutItem", {"TableName": table.name, "Item": {"p": {"N": "1"}}}),
            ("PutItem", {"TableName": table.name, "Item": {**item, "p": {"S": ""}}}),
            ("PutItem", {"TableName": table.name, "Item": {**item, "p": {"S": "k" * 2049}}}),
            ("GetItem", {"TableName": table.name, "Key": {**key, "more": {"S": "x"}}}),
            ("UpdateItem", {"TableName": table.name, "Key": self._key(table), "UpdateExpression": "SET p = a"}),
            ("Query", {"TableName": table.name, "KeyConditionExpression": "a = a"}),
            ("Scan", {"TableName": table.name, "IndexName": "absent"}),
            ("Scan", {"TableName": table.name, "Limit": 0}),
            ("ExecuteStatement", {"Statement": f"SELEC * FROM {table.name}"}),
            ("TransactWriteItems", {"TransactItems": [{"Delete": {"TableName": "absent", "Key": key}}]}),
            ("DeleteTable", {"TableName": "absent"}),
        ):
            if self._chance.random() < 0.25:
                self._mirror.call(operation, **request)

    def together(self) -> None:
        """Reads at once, and writes of different items to tables whose changes nobody reads."""
        calls: list[tuple[str, dict[str, Any]]] = []
        written = set()
        for _ in range(6):
            table = self._table()
            key = self._key(table)
            place = (table.name, str(key))
            if self._chance.random() < 0.5 and not table.streamed and place not in written:
                written.add(place)
                calls.append(("PutItem", {"TableName": table.name, "Item": {**key, "a": {"S": "x"}}}))
        for _ in range(4):
            table = self._table()
            key = self._key(table)
            if (table.name, str(key)) not in written:
                calls.append(("GetItem", {"TableName": table.name, "Key": key, "ConsistentRead": True}))
        if calls:
            self._mirror.together(*calls)

    def contend(self) -> None:
        """Writes of one item at once: whatever their order, together they give the same answers."""
        table = self._table()
        if table.streamed:
            return
        key, condition = self._key(table), self._chance.random() < 0.3
        request: dict[str, Any] = {
            "TableName": table.name,
            "Key": key,
            "UpdateExpression": "ADD c :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValues": "UPDATED_NEW",
        }
        if condition:
            request["ConditionExpression"] = "attribute_not_exists(c) OR c < :most"
            request["ExpressionAttributeValues"][":most"] = {"N": "3"}
        self._mirror.together(*[("UpdateItem", request)] * 5, in_order=False)

    def wait(self) -> None:
        self._mirror.now += 10
        self._mirror.expire()
