"""Writing a file's items: the last of equal keys, throttling, refusals, and going on after an interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.loading import writing
from blotter.loading.writing import Notes, Work, Writer
from blotter.tables.errors import SetupError
from tests.simulated_dynamodb import FakeClock, aws_error

TABLE = "results"


class Endpoint:
    """Keeps items; `before` may raise instead, or say how many requests of a batch are not processed."""

    def __init__(self, before: Callable[[str, Any], int] = lambda _operation, _parameters: 0) -> None:
        self.items: dict[str, Any] = {}
        self.calls: list[str] = []
        self._before = before
        self._lock = threading.Lock()

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:  # noqa: ARG002
        with self._lock:
            self.calls.append(operation)
            left = self._before(operation, parameters)
            if operation == "PutItem":
                self._put(parameters["Item"])
                return {}
            requests = parameters["RequestItems"][TABLE]
            keys = [request["PutRequest"]["Item"]["id"]["S"] for request in requests]
            assert len(requests) <= 25
            assert len(set(keys)) == len(keys)
            for request in requests[left:]:
                self._put(request["PutRequest"]["Item"])
            return {"UnprocessedItems": {TABLE: requests[:left]} if left else {}}

    def _put(self, item: Any) -> None:
        self.items[item["id"]["S"]] = item


def works(keys: list[str]) -> list[Work]:
    return [Work(place + 2, {"id": {"S": key}, "place": {"N": str(place)}}, 10) for place, key in enumerate(keys)]


def written(
    endpoint: Endpoint, rows: list[Work], notes: Notes | None = None, **options: Any
) -> tuple[Notes, list[int]]:
    notes = notes or Notes("file", "table")
    seen: list[int] = []
    writer = Writer(endpoint, TABLE, ("id",), FakeClock().clock(), **options)  # type: ignore[arg-type]
    writer.run(rows[notes.rows :], notes, lambda notes: seen.append(notes.rows))
    return notes, seen


def test_the_last_row_of_a_key_stays_within_and_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNK_ROWS", 60)
    keys = [f"k{place % 37}" for place in range(500)]
    endpoint = Endpoint()
    notes, seen = written(endpoint, works(keys))
    assert {key: int(item["place"]["N"]) for key, item in endpoint.items.items()} == {
        key: place for place, key in enumerate(keys)
    }
    assert seen == [60, 120, 180, 240, 300, 360, 420, 480, 500]
    assert notes.rows == 500


def test_large_items_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH_BYTES", 25)
    endpoint = Endpoint()
    written(endpoint, works([f"k{place}" for place in range(10)]))
    assert endpoint.calls == ["BatchWriteItem"] * 5


def test_what_is_not_processed_and_throttled_is_sent_again() -> None:
    faults: Iterator[Any] = iter(
        [20, aws_error("ProvisionedThroughputExceededException"), 5, aws_error("InternalServerError"), 0]
    )

    def before(_operation: str, _parameters: Any) -> int:
        fault = next(faults, 0)
        if isinstance(fault, SetupError):
            raise fault
        return fault

    endpoint = Endpoint(before)
    notes, _ = written(endpoint, works([f"k{place}" for place in range(30)]), threads=1)
    assert len(endpoint.items) == 30
    assert notes.written == 30


def refuse_seven(operation: str, parameters: Any) -> int:
    items = [parameters["Item"]] if operation == "PutItem" else [
        request["PutRequest"]["Item"] for request in parameters["RequestItems"][TABLE]
    ]  # fmt: skip
    if any(item["id"]["S"] == "k7" for item in items):
        raise aws_error("ValidationException", "Item size has exceeded the maximum allowed size")
    return 0


def test_a_refused_row_is_named_and_ends_the_import_or_is_left_out() -> None:
    rows = works([f"k{place}" for place in range(30)])
    with pytest.raises(SetupError, match="row 9: ValidationException: Item size"):
        written(Endpoint(refuse_seven), rows)
    refused: list[tuple[int, str]] = []
    endpoint = Endpoint(refuse_seven)
    notes, _ = written(
        endpoint, rows, skip_refused=True, refused=lambda number, reason: refused.append((number, reason))
    )
    assert len(endpoint.items) == 29
    assert (notes.written, notes.refused) == (29, 1)
    assert [number for number, _ in refused] == [9]


def test_an_interrupted_import_goes_on_after_the_last_whole_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writing, "CHUNK_ROWS", 50)
    rows = works([f"k{place % 80}" for place in range(300)])
    endpoint = Endpoint()
    sent = 0

    def fail_at_the_fourth(_operation: str, _parameters: Any) -> int:
        nonlocal sent
        sent += 1
        if sent == 4:
            raise aws_error("AccessDeniedException")
        return 0

    notes = Notes("file", "table")
    for done in (50, 100, 150, 200, 250):  # a chunk is two batches: the second one of the second chunk fails
        endpoint._before, sent = fail_at_the_fourth, 0
        with pytest.raises(SetupError, match="AccessDenied"):
            written(endpoint, rows, notes, threads=1)
        assert notes.rows == done
        notes.save(tmp_path / "notes")
    endpoint._before = lambda _operation, _parameters: 0
    notes, _ = written(endpoint, rows, notes)
    assert notes.rows == 300
    assert {key: int(item["place"]["N"]) for key, item in endpoint.items.items()} == {
        f"k{place % 80}": place for place in range(300)
    }


def test_an_answer_about_other_items_is_not_believed() -> None:
    class Odd(Endpoint):
        def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:  # noqa: ARG002
            return {"UnprocessedItems": {"other": [{"PutRequest": {"Item": {}}}]}}

    with pytest.raises(SetupError, match="names items that were not sent"):
        written(Odd(), works(["a"]))
