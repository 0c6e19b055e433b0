"""A database with a clock of the test's, and a reader that follows a stream as a consumer does: parents first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.in_process import InProcessDatabase

START = 1_790_000_000.0

Record = dict[str, Any]


class StreamDatabase:
    def __init__(self, folder: Path, table_delay: float = 0.0) -> None:
        self.now = START
        self.database = InProcessDatabase(folder, lambda: self.now, table_delay=table_delay)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def refusal(self, operation: str, **request: Any) -> tuple[str, str]:
        """(code, message) of a request that must be refused."""
        status, body = self.database.call(operation, request)
        assert status == 400, body
        return body["__type"].rpartition("#")[2], body["message"]

    def create(self, name: str = "books", view: str = "NEW_AND_OLD_IMAGES", slots: int = 1, **more: Any) -> str:
        """A table with a stream; returns the stream's ARN. `slots` 4 makes it an on-demand table."""
        billing: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST"}
        if slots == 1:
            units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
            billing = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
        described = self.call(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
            **billing,
            **more,
        )
        return str(described["TableDescription"]["LatestStreamArn"])

    def put(self, key: str, name: str = "books", **numbers: float) -> None:
        item = {"id": {"S": key}} | {attribute: {"N": str(value)} for attribute, value in numbers.items()}
        self.call("PutItem", TableName=name, Item=item)

    def shards(self, arn: str) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = self.call("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]
        return shards

    def iterator(self, arn: str, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        answer = self.call("GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)
        return str(answer["ShardIterator"])

    def read(self, iterator: str, **more: Any) -> tuple[list[Record], str | None]:
        answer = self.call("GetRecords", ShardIterator=iterator, **more)
        return answer["Records"], answer.get("NextShardIterator")

    def read_shard(self, iterator: str, limit: int = 1000) -> tuple[list[Record], str | None]:
        """All records to the end of what there is; the iterator to go on with is None if the shard is closed."""
        records: list[Record] = []
        following: str | None = iterator
        while following is not None:
            page, following = self.read(following, Limit=limit)
            records += page
            if len(page) < limit:
                break
        return records, following

    def read_stream(self, arn: str, limit: int = 1000) -> list[Record]:
        """All records of the stream, those of a shard after those of its parent."""
        records: list[Record] = []
        for shard in self.shards(arn):  # parents have lower ids
            records += self.read_shard(self.iterator(arn, shard["ShardId"]), limit)[0]
        return records


def keys(records: list[Record]) -> list[str]:
    return [record["dynamodb"]["Keys"]["id"]["S"] for record in records]


def numbers(records: list[Record]) -> list[int]:
    return [int(record["dynamodb"]["SequenceNumber"]) for record in records]
