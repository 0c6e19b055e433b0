"""The parts of a copy that need no endpoint: checksums, notes, pace, unprocessed items. Time is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blotter.tables.copying import Copy, Digest, Pace, Side, decode_key, digest, encode_key
from blotter.tables.errors import SetupError
from tests.simulated_dynamodb import FakeClock, aws_error


def test_the_checksum_depends_on_content_and_not_on_order() -> None:
    one = {"k": {"S": "a"}, "s": {"SS": ["x", "y"]}, "b": {"BS": [b"1", b"2"]}}
    same = {"b": {"BS": [b"2", b"1"]}, "s": {"SS": ["y", "x"]}, "k": {"S": "a"}}
    other = {"k": {"S": "b"}}
    assert digest([one, other]) == digest([other, same])
    assert digest([one]) != digest([other])
    assert digest([{"k": {"S": "1"}}]) != digest([{"k": {"N": "1"}}])
    assert digest([{"k": {"L": [{"S": "1"}, {"S": "2"}]}}]) != digest([{"k": {"L": [{"S": "2"}, {"S": "1"}]}}])
    parts = Digest()
    parts.add(digest([one]))
    parts.add(digest([other]))
    assert parts == digest([one, other])


def test_keys_of_every_type_survive_the_notes() -> None:
    key = {"p": {"B": b"\x00\xff"}, "s": {"N": "1"}, "t": {"S": "ü"}}
    assert decode_key(encode_key(key)) == key
    assert decode_key(encode_key(None)) is None


def test_the_pace_is_free_until_throttled_then_halves_and_recovers() -> None:
    time = FakeClock()
    pace = Pace(time.clock())
    pace.take(1000)
    assert (pace.rate, time.slept) == (None, [])
    time.time = 10.0
    pace.slow()
    assert pace.rate == pytest.approx(50)
    for _ in range(4):
        pace.take(50)
    assert 2 < time.time - 10 < 4  # 200 items at 50 a second and rising; the first take does not wait
    assert pace.rate is not None
    assert pace.rate > 50
    before = pace.rate
    time.time += 2
    for _ in range(8):  # all threads are throttled at once: that is one reason to slow down, not eight
        pace.slow()
    assert pace.rate == pytest.approx(before / 2)
    for _ in range(20):
        time.time += 2
        pace.slow()
    assert pace.rate == 5


def test_a_given_rate_is_kept() -> None:
    time = FakeClock()
    pace = Pace(time.clock(), most=100)
    for _ in range(11):
        pace.take(100)
    assert time.time == pytest.approx(10)


class Throttling:
    """A destination that takes three items of every batch and gives the others back."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items, self.written = items, {}

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:  # noqa: ARG002
        if operation == "DescribeTable":
            name = parameters["TableName"]
            key = {"AttributeName": "k", "KeyType": "HASH"}
            definition = {"AttributeName": "k", "AttributeType": "S"}
            return {
                "Table": {
                    "TableName": name,
                    "TableArn": name,
                    "KeySchema": [key],
                    "AttributeDefinitions": [definition],
                }
            }
        if operation == "Scan":
            found = self.items if parameters["TableName"] == "source" else list(self.written.values())
            return {"Items": found[parameters.get("Segment", 0) :: parameters.get("TotalSegments", 1)]}
        ((name, puts),) = parameters["RequestItems"].items()
        for put in puts[:3]:
            item = put["PutRequest"]["Item"]
            self.written[item["k"]["S"]] = item
        return {"UnprocessedItems": {name: puts[3:]} if puts[3:] else {}}


def test_a_table_deleted_meanwhile_ends_the_copy(tmp_path: Path) -> None:
    class Gone(Throttling):
        def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:
            if operation == "BatchWriteItem":
                raise aws_error("ResourceNotFoundException", "gone")
            return super().call(operation, service, **parameters)

    endpoint = Gone([{"k": {"S": "1"}}])
    copy = Copy(Side(endpoint, "source"), Side(endpoint, "destination"), tmp_path / "n", FakeClock().clock())
    with pytest.raises(SetupError, match="gone"):
        copy.run()


def test_unprocessed_items_are_sent_again_more_slowly(tmp_path: Path) -> None:
    time = FakeClock()
    endpoint = Throttling([{"k": {"S": str(number)}} for number in range(100)])
    copy = Copy(
        Side(endpoint, "source"), Side(endpoint, "destination"), tmp_path / "notes", time.clock(), segments=1
    )
    assert copy.run().items == 100
    source, destination = copy.verify()
    assert source == destination == digest(endpoint.items)
    assert time.slept
    copy.finish()
    assert not (tmp_path / "notes").exists()
