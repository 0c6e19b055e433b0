"""Moving items between tables: every type arrives, a new key works, interrupted copies go on, losses are found."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

Blotter = Any  # fixture classes of conftest.py; test modules cannot import them
FaultyEndpoint = Any

TABLES = """
[tables.old]
partition_key = { name = "id", type = "S" }
sort_key = { name = "part", type = "B" }

[tables.new]
partition_key = { name = "day", type = "S" }
sort_key = { name = "number", type = "N" }
"""
ITEMS = 137


def client(blotter: Blotter) -> Any:
    url = blotter.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", **keys)


def item(number: int) -> dict[str, Any]:
    return {
        "id": {"S": f"{number:04}"},
        "part": {"B": number.to_bytes(4, "big")},
        "day": {"S": f"2026-01-{number % 7 + 1:02} ✓"},
        "number": {"N": str(number)},
        "tags": {"SS": ["b", "a"]},
        "numbers": {"NS": ["3", "1.5"]},
        "parts": {"BS": [b"\xff", b"\x00"]},
        "nested": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"B": b"\x01"}]}}},
        "long": {"S": "x" * 300},
    }


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # where the notes go
    return


@pytest.fixture
def filled(blotter: Blotter) -> Blotter:
    blotter.declare(TABLES)
    assert blotter("apply").code == 0
    fill(blotter, range(ITEMS))
    return blotter


def fill(blotter: Blotter, numbers: range) -> None:
    name = f"{blotter.app}-old-dev"
    for begin in range(0, len(numbers), 25):
        puts = [{"PutRequest": {"Item": item(number)}} for number in numbers[begin : begin + 25]]
        assert not client(blotter).batch_write_item(RequestItems={name: puts})["UnprocessedItems"]


def test_every_item_arrives_under_another_key_and_is_compared(filled: Blotter, tmp_path: Path) -> None:
    answer = filled("copy", "old", "new", "--json")
    assert (answer.code, answer.err) == (0, "")
    facts = answer.json()
    assert (facts["items"], facts["verified"]) == (ITEMS, True)
    key = {"day": item(5)["day"], "number": {"N": "5"}}
    found = client(filled).get_item(TableName=f"{filled.app}-new-dev", Key=key)["Item"]
    assert {**found, **{k: {t: sorted(v) for t, v in found[k].items()} for k in ("tags", "numbers", "parts")}} == {
        **item(5),
        "tags": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1.5", "3"]},
        "parts": {"BS": [b"\x00", b"\xff"]},
    }
    assert not list(tmp_path.glob(".blotter-copy-*"))


def test_from_one_endpoint_to_another(filled: Blotter, moto_url: str) -> None:
    """Out of Blotter into moto, and within moto: names are the same, endpoints differ."""
    filled.declare(TABLES.replace("new", f"into{'-moto' if filled.on_moto else ''}"))
    label = "into-moto" if filled.on_moto else "into"
    assert filled("apply", label, "--endpoint-url", moto_url).code == 0
    answer = filled("copy", "old", label, "--to-endpoint-url", moto_url)
    assert (answer.code, answer.err) == (0, "")
    assert f"has {ITEMS} items of {filled.app}-old-dev, verified: same count and checksum" in answer.out


def test_a_destination_with_items_is_refused(filled: Blotter) -> None:
    assert filled("copy", "old", "new", "--no-verify").code == 0
    again = filled("copy", "old", "new")
    assert (again.code, "is not empty; a copy begins with an empty table" in again.err) == (1, True)
    assert "same table" in filled("copy", "old", "old").err


def test_an_item_without_the_new_key_is_named(filled: Blotter) -> None:
    client(filled).put_item(
        TableName=f"{filled.app}-old-dev", Item={"id": {"S": "odd"}, "part": {"B": b"\x01"}, "day": {"N": "1"}}
    )
    answer = filled("copy", "old", "new", "--segments", "1")
    assert answer.code == 1
    assert f"an item has no day (S), which the key of {filled.app}-new-dev needs" in answer.err
    assert answer.err.count("\n") == 1


def test_items_that_share_the_new_key_are_found(filled: Blotter) -> None:
    twin = {**item(3), "id": {"S": "twin"}}
    client(filled).put_item(TableName=f"{filled.app}-old-dev", Item=twin)
    answer = filled("copy", "old", "new")
    assert answer.code == 1
    assert "the same key" in answer.err or f"has {ITEMS} (checksum" in answer.err


def test_tables_that_are_not_there(blotter: Blotter) -> None:
    blotter.declare(TABLES)
    answer = blotter("copy", "old", "new")
    assert (answer.code, answer.err) == (
        1,
        f"blotter: {blotter.app}-old-dev does not exist; `blotter tables apply` makes tables\n",
    )


@pytest.fixture
def many(filled: Blotter) -> Blotter:
    """More than one page of a Scan in every segment."""
    for begin in range(ITEMS, 1000, 25):
        numbers = range(begin, min(begin + 25, 1000))
        puts = [{"PutRequest": {"Item": {**item(n), "long": {"S": "x" * 9000}}}} for n in numbers]
        client(filled).batch_write_item(RequestItems={f"{filled.app}-old-dev": puts})
    return filled


@pytest.mark.parametrize("endpoint", ["blotter"], indirect=True)  # moto would take its time over 1,000 items
@pytest.mark.parametrize("number", [12, 30])
def test_killed_in_the_middle_it_goes_on(
    many: Blotter, faults: FaultyEndpoint, tmp_path: Path, number: int
) -> None:
    """SIGKILL at a request; the next run starts from the notes and everything arrives."""
    reached, ended = threading.Event(), threading.Event()
    faults.before = {number: lambda: (reached.set(), ended.wait(60))}
    faults.hang_up_before = {number}
    process = many.start("copy", "old", "new", "--segments", "2", AWS_ENDPOINT_URL_DYNAMODB=faults.url)
    assert reached.wait(60)
    process.kill()
    process.communicate()
    ended.set()
    assert process.returncode == -signal.SIGKILL
    (notes,) = tmp_path.glob(".blotter-copy-*.json")
    so_far = sum(segment["done"]["items"] for segment in json.loads(notes.read_text())["segments"])
    answer = many("copy", "old", "new", "--segments", "2")
    assert (answer.code, answer.err) == (0, "")
    assert f"going on after {so_far:,} items" in answer.out
    assert "has 1,000 items" in answer.out
    assert not notes.exists()


def test_throttling_slows_down_and_everything_arrives(filled: Blotter, faults: FaultyEndpoint) -> None:
    throttled = type("Refusal", (), {"code": "ThrottlingException", "message": "slow down", "status": 400})()
    faults.refusals = dict.fromkeys((6, 8, 9, 12), throttled)
    answer = filled("copy", "old", "new", "--segments", "2", "--endpoint-url", faults.url)
    assert (answer.code, answer.err) == (0, "")
    assert f"has {ITEMS} items" in answer.out


def test_notes_of_another_copy_are_not_followed(filled: Blotter, tmp_path: Path) -> None:
    notes = tmp_path / "notes.json"
    notes.write_text('{"source": "x", "destination": "y", "segments": []}')
    answer = filled("copy", "old", "new", "--notes", str(notes))
    assert (answer.code, "is of a copy between other tables" in answer.err) == (4, True)
    notes.write_text("{")
    assert "is not the notes of a copy" in filled("copy", "old", "new", "--notes", str(notes)).err
