"""A Kinesis data stream in memory that fails as it is told, and what a consumer of it must find."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from blotter.database.background.kinesis.records import Record
from blotter.database.background.kinesis.stream import Undelivered


class FailingStream:
    """Stores records, or fails: `broken` is the error of every call, `store_only` how many records of the next
    call are stored, from its end, which is the worst order. `lost_answers` calls store everything and fail."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self.answer: str | None = None
        """What `refusal` returns."""
        self.broken: str | None = None
        self.store_only: int | None = None
        self.lost_answers = 0

    def refusal(self) -> str | None:
        if self.broken is not None:
            raise Undelivered(self.broken)
        return self.answer

    def put(self, records: Sequence[Record]) -> list[str | None]:
        if self.broken is not None:
            raise Undelivered(self.broken)
        self.calls.append(len(records))
        kept = len(records) if self.store_only is None else self.store_only
        self.store_only = None
        first = len(records) - kept
        self.records += [json.loads(record.data) for record in records[first:]]
        if self.lost_answers:
            self.lost_answers -= 1
            raise Undelivered("Read timeout")
        refused: list[str | None] = ["ProvisionedThroughputExceededException: Rate exceeded"]
        return refused * first + [None] * kept


def assert_in_order(records: Sequence[dict[str, Any]], expected: dict[str, list[int | None]]) -> None:
    """Every version of every item was delivered, and none before the versions that came before it had been.
    `expected` maps an `id` to the values of `n` that it had, None for a deletion."""
    found: defaultdict[str, list[int | None]] = defaultdict(list)
    for record in records:
        image = record["dynamodb"].get("NewImage")
        found[record["dynamodb"]["Keys"]["id"]["S"]].append(None if image is None else int(image["n"]["N"]))
    for key, versions in expected.items():
        firsts = list(dict.fromkeys(found[key]))
        assert firsts == versions, (key, found[key])
    assert set(found) == set(expected)
