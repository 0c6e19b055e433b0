"""A compressed request through the pipeline: carried out as if it were not, or not at all."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from blotter.database.http.messages import Request
from tests.in_process import InProcessDatabase, headers_for

PUT = json.dumps({"TableName": "things", "Item": {"p": {"S": "a"}}}).encode()


class _Table:
    def __init__(self, folder: Path) -> None:
        self.database = InProcessDatabase(folder)
        self.database.call(
            "CreateTable",
            {
                "TableName": "things",
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )

    def put(self, body: bytes, encoding: str) -> tuple[int, dict[str, Any]]:
        async def send() -> tuple[int, dict[str, Any]]:
            headers = headers_for("PutItem") | {"content-encoding": encoding}
            answer = self.database.pipeline.answer(Request("POST", "/", headers, body))
            response = await answer if inspect.isawaitable(answer) else answer
            return response.status, json.loads(response.body or b"{}")

        return self.database.run(send())

    def items(self) -> int:
        count: int = self.database.call("Scan", {"TableName": "things"})[1]["Count"]
        return count


@pytest.fixture
def table(tmp_path: Path) -> Any:
    table = _Table(tmp_path)
    yield table
    table.database.close()
    asyncio.set_event_loop(None)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(PUT)), ("deflate", zlib.compress(PUT)), ("identity", PUT)],
)
def test_it_is_carried_out(table: _Table, encoding: str, body: bytes) -> None:
    assert table.put(body, encoding) == (200, {})
    assert table.items() == 1


@pytest.mark.parametrize(
    ("encoding", "body"), [("garbage", PUT), ("gzip", PUT), ("gzip", gzip.compress(PUT)[:-1]), ("gzip", b"")]
)
def test_what_cannot_be_unpacked_is_a_500_and_nothing_is_done(table: _Table, encoding: str, body: bytes) -> None:
    status, answer = table.put(body, encoding)
    assert status == 500
    assert answer["__type"].endswith("#InternalServerError")
    assert table.items() == 0


def test_what_unpacks_to_more_than_a_body_may_be_is_a_413(table: _Table) -> None:
    status, _ = table.put(gzip.compress(PUT + b" " * 17_000_000), "gzip")
    assert status == 413
    assert table.items() == 0
