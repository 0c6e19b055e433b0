"""Requests over a store across a network, where nothing is read at once (`tests.distant_store`).

The golden scripts and the model test run over it too; here is what only several requests at a time, or a client
that is gone, show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.http.messages import Pending, Request
from blotter.database.storage.protocol import SnapshotTooOld
from tests.distant_store import DistantStorage
from tests.in_process import InProcessDatabase, headers_for

TEXT = {"S": "x" * 20_000}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path, store="distant")
    request = {
        "TableName": "table",
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert database.call("CreateTable", request)[0] == 200
    yield database
    database.close()


def put(name: str) -> tuple[str, dict[str, Any]]:
    return "PutItem", {"TableName": "table", "Item": {"p": {"S": name}, "text": TEXT}}


def test_a_page_is_read_in_slices_while_others_are_served(database: InProcessDatabase) -> None:
    for number in range(20):
        database.call(*put(f"{number:02}"))
    order: list[str] = []

    async def noted(name: str, work: Any) -> tuple[int, dict[str, Any]]:
        answer: tuple[int, dict[str, Any]] = await work
        order.append(name)
        return answer

    async def together() -> list[tuple[int, dict[str, Any]]]:
        scan = database.answer("Scan", json.dumps({"TableName": "table"}).encode())
        get = database.answer("GetItem", json.dumps({"TableName": "table", "Key": {"p": {"S": "07"}}}).encode())
        return await asyncio.gather(noted("scan", scan), noted("get", get))

    (_, page), (_, got) = database.run(together())
    assert (page["Count"], got["Item"]["text"]) == (20, TEXT)
    assert order == ["get", "scan"]


def test_a_client_that_is_gone_gets_no_page(database: InProcessDatabase) -> None:
    async def abandoned() -> int:
        request = Request("POST", "/", headers_for("Scan"), json.dumps({"TableName": "table"}).encode())
        pending = database.pipeline.answer(request)
        assert isinstance(pending, Pending)
        pending.abandoned = True
        return (await pending).status

    assert database.run(abandoned()) == 500


@pytest.mark.parametrize(("too_old", "status"), [(2, 200), (3, 500)])
def test_a_page_whose_snapshot_is_too_old_starts_over_a_few_times(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch, too_old: int, status: int
) -> None:
    database.call(*put("a"))
    read_slices, opened = DistantStorage.submit_slices, 0

    def expired(self: DistantStorage, start: Any, settled: Any) -> None:
        nonlocal opened
        opened += 1
        if opened > too_old:
            read_slices(self, start, settled)
        else:
            self._later(lambda: settled(None, SnapshotTooOld()))

    monkeypatch.setattr(DistantStorage, "submit_slices", expired)
    assert database.call("Scan", {"TableName": "table"})[0] == status


def test_transactions_at_once_on_one_item_conflict(database: InProcessDatabase) -> None:
    """An item is held once its transaction's tables are looked up, whichever way the others take."""
    transaction = ("TransactWriteItems", {"TransactItems": [{"Put": put("a")[1]}]})
    for _ in range(100):  # on a slow machine, the first may have ended when the second begins
        answers = database.call_together(transaction, transaction, put("a"))
        statuses = [status for status, _ in answers]
        if statuses != [200, 200, 200]:
            break
    assert statuses == [200, 400, 200]
    assert answers[1][1]["CancellationReasons"][0]["Code"] == "TransactionConflict"
    assert database.call(*transaction)[0] == 200
