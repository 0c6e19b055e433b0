"""Intake: every upload gets its own key, object, UPLOADED item and event, whatever its name is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.jobs.events import ObjectCreated, parse_event
from blotter.crimes.jobs.intake import Intake, UploadTooLarge, safe_name
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable


@pytest.mark.parametrize(
    ("given_name", "last"),
    [
        ("crimes.csv", "crimes.csv"),
        ("a b 'c' \"d\" 🚓+%.csv", "a b 'c' \"d\" 🚓+%.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\x.csv", "x.csv"),
        ("..", "upload.csv"),
        ("", "upload.csv"),
        ("a\0b\n.csv", "ab.csv"),
        ("old.predictions.csv", "old.predictions-upload.csv"),
        ("x#1", "x-1"),
        ("u\u202egpj.csv", "ugpj.csv"),
    ],
)
def test_a_file_goes_in(
    intake: Intake, objects: ObjectStore, results: ResultsTable, queue: LocalQueue, given_name: str, last: str
) -> None:
    key = intake.accept(given_name, [b"a,b\n", b"1,2\n"])
    assert key.startswith("uploads/")
    assert key.split("/", 2)[2] == last
    info = objects.head(key)
    assert info.size == 8
    item = results.find(key)
    assert item is not None
    assert (item.status, item.object_version, item.size_bytes) == ("UPLOADED", info.version, 8)
    (event,) = queue.due()
    assert parse_event(event.event).created == [ObjectCreated("local", key)]


def test_the_same_name_twice_gets_two_keys(intake: Intake) -> None:
    assert intake.accept("a.csv", [b"x"]) != intake.accept("a.csv", [b"x"])


def test_too_large_leaves_nothing(intake: Intake, objects: ObjectStore, queue: LocalQueue) -> None:
    with pytest.raises(UploadTooLarge):
        intake.accept("a.csv", (b"x" * 1_000_000 for _ in range(20)))
    assert list(objects.list("uploads/")) == []
    assert list(queue.due()) == []


def test_the_table_out_of_reach_does_not_refuse_the_upload(
    objects: ObjectStore, results: ResultsTable, queue: LocalQueue
) -> None:
    elsewhere = ResultsTable(results._client, "no-such-table")
    key = Intake(objects, elsewhere, queue, 1000).accept("a.csv", [b"x"])
    assert objects.head(key).size == 1
    assert len(list(queue.due())) == 1


@given(st.text())
def test_any_name_becomes_one_harmless_segment(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 220
    assert "/" not in safe
    assert "\\" not in safe
    assert safe.strip(".") != ""


@pytest.mark.parametrize("extension", [".csv", ".csv.gz"])
def test_a_long_name_keeps_its_extension(extension: str) -> None:
    assert safe_name("ü" * 300 + extension).endswith("ü" + extension)


def test_the_queue_keeps_order_defers_and_forgets(tmp_path: Path) -> None:
    queue = LocalQueue(tmp_path)
    for number in range(3):
        queue.send({"n": number})
    first, second, third = queue.due()
    assert [entry.event["n"] for entry in (first, second, third)] == [0, 1, 2]
    queue.done(first)
    queue.defer(second, 0.0)
    queue.defer(third, 4e9)
    queue.done(first)
    queue.defer(first, 1.0)
    (again,) = LocalQueue(tmp_path).due()
    assert (again.event, again.deliveries) == ({"n": 1}, 1)


def test_a_broken_event_file_does_not_stop_the_queue(tmp_path: Path) -> None:
    queue = LocalQueue(tmp_path)
    (tmp_path / "00000000000000000001-0-aa.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    queue.send({"n": 1})
    assert [entry.event for entry in queue.due()] == [{"n": 1}]
