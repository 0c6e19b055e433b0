"""Tokens of transactions go when they no longer mean anything, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blotter.database.background.tokens import TokenSweeper
from blotter.database.operations.imports import client_tokens
from blotter.database.operations.request_tokens import TOKEN_LIFETIME, TOKEN_RECORDS
from blotter.database.storage.protocol import RECORDS_SPACE, WriteTransaction
from tests.in_process import ACCOUNT, REGION
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


def test_so_do_those_of_imports_and_bulk_operations(streams: StreamDatabase) -> None:
    def remember(tx: WriteTransaction) -> None:
        client_tokens.remember(tx, "import", ACCOUNT, REGION, "a token", streams.now, "one")
        client_tokens.remember(tx, "bulk", ACCOUNT, REGION, "a token", streams.now, "two", "5c1a")

    def remembered() -> list[list[str] | None]:
        with streams.database.storage.read() as tx:
            kinds: tuple[client_tokens.Kind, ...] = ("import", "bulk")
            return [client_tokens.remembered(tx, kind, ACCOUNT, REGION, "a token", streams.now) for kind in kinds]

    streams.database.run(streams.database.storage.write(remember))
    streams.now += client_tokens.TOKEN_SECONDS - 1
    assert sweep(streams) == 0
    assert remembered() == [["one"], ["two", "5c1a"]]
    streams.now += 1
    assert remembered() == [None, None]
    assert sweep(streams) == 2
    assert tokens(streams) == 0
