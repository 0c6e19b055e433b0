"""Tokens of transactions go when they no longer mean anything, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blotter.database.background.tokens import TokenSweeper
from blotter.database.operations.request_tokens import TOKEN_LIFETIME, TOKEN_RECORDS
from blotter.database.storage.protocol import RECORDS_SPACE
from tests.stream_database import StreamDatabase


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[StreamDatabase]:
    streams = StreamDatabase(tmp_path / "data")
    yield streams
    streams.database.close()


def write(streams: StreamDatabase, token: str) -> None:
    put = {"Put": {"TableName": "books", "Item": {"id": {"S": token}}}}
    streams.call("TransactWriteItems", TransactItems=[put], ClientRequestToken=token)


def tokens(streams: StreamDatabase) -> int:
    with streams.database.storage.read() as tx:
        return len(tx.items(RECORDS_SPACE, *TOKEN_RECORDS, 99))


def sweep(streams: StreamDatabase) -> int:
    return streams.database.run(TokenSweeper(streams.database.storage, lambda: streams.now).run_once())


def test_expired_tokens_go(streams: StreamDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blotter.database.background.tokens._TOKENS_AT_ONCE", 2)
    arn = streams.create()
    for n in range(5):
        write(streams, f"early {n}")
    streams.now += TOKEN_LIFETIME - 1
    write(streams, "late")
    write(streams, "early 3")  # a repetition: it does not live longer
    assert sweep(streams) == 0
    streams.now += 1
    assert sweep(streams) == 5
    assert tokens(streams) == 1
    assert len(streams.shards(arn)) == 1  # the store's other records are no tokens
