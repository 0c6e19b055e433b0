"""Sweeps: one odd object, item or failure never hides the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blotter.crimes.handler import Parts, sweep
from blotter.crimes.item import Result
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.jobs.worker import Worker
from blotter.crimes.settings import Application
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable

CSV = b"Date,Primary Type\n2022-01-01,THEFT\n"
GOOD = "uploads/20990101T000000.000Z-x/good.csv"

# Items that anybody who may write to the table can leave in it.
POISONED: list[dict[str, Any]] = [
    {"status": {"S": "UPLOADED"}, "uploaded_at": {"S": "yesterday"}},
    {"status": {"S": "UPLOADED"}, "uploaded_at": {"N": "7"}},
    {"status": {"S": "PROCESSING"}, "lease_until": {"S": "never"}, "attempt": {"N": "1"}},
    {"status": {"S": "PROCESSING"}, "attempt": {"N": "99999999999999999999999999999999999999"}},
    {"status": {"S": "PROCESSING"}, "attempt": {"N": "-1.5"}},
    {"status": {"S": "UPLOADED"}, "size_bytes": {"S": "much"}},
    {"status": {"S": "UPLOADED"}, "object_version": {"B": b"x"}},
    {"status": {"S": "UPLOADED"}, "uploaded_at": {"S": "0001-01-01T00:00:00+23:59"}},
    {"status": {"S": "UPLOADED"}, "predictions_key": {"S": "../../etc/passwd"}, "file_name": {"S": "x" * 9000}},
    {"status": {"S": "ELSE"}},
    {"status": {"SS": ["UPLOADED"]}},
]
ODD_KEYS = ["../../etc/passwd", "uploads//x", "uploads/a\tb", "x" * 2000, "/", "uploads/" + "y" * 300, "\u2028"]


@pytest.fixture
def parts(application: Application, processor: Processor) -> Parts:
    parts = Parts(application)
    parts.processor = processor
    return parts


@pytest.fixture
def poisoned(results: ResultsTable) -> None:
    for number, item in enumerate(POISONED):
        for key in (f"uploads/p{number}.csv", *(ODD_KEYS if number == 0 else ())):
            item_key = {"file_key": {"S": key}}
            results._client.put_item(TableName=results.table_name, Item=item | item_key)  # type: ignore[arg-type]


@pytest.mark.usefixtures("poisoned")
def test_poisoned_items_do_not_end_a_sweep(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    objects.put_stream(GOOD, [CSV])
    for number in range(len(POISONED)):
        objects.put_stream(f"uploads/p{number}.csv", [CSV])
    sweep(parts)
    found = results.find(GOOD)
    assert isinstance(found, Result)
    assert found.status == "COMPLETED"


@pytest.mark.usefixtures("poisoned")
def test_poisoned_items_do_not_stop_a_worker(
    application: Application, processor: Processor, objects: ObjectStore, results: ResultsTable
) -> None:
    objects.put_stream(GOOD, [CSV])
    worker = Worker(application)
    worker.parts.processor = processor
    worker.sweep()
    found = results.find(GOOD)
    assert isinstance(found, Result)
    assert found.status == "COMPLETED"


def test_odd_files_in_the_folder_are_told_once_and_passed_over(
    parts: Parts, objects: ObjectStore, results: ResultsTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`uploads/dir//x.csv` or a TAB in a key ended every sweep."""
    folder = tmp_path / "objects" / "uploads" / "dir"
    folder.mkdir(parents=True)
    (folder / "a\tb.csv").write_bytes(CSV)
    (folder / "c\nd.csv").write_bytes(CSV)
    Path(str(folder).encode().decode(), "\udcff.csv").write_bytes(CSV)
    objects.put_stream(GOOD, [CSV])
    for _ in range(2):
        sweep(parts)
    found = results.find(GOOD)
    assert isinstance(found, Result)
    assert found.status == "COMPLETED"
    assert caplog.text.count("is left out") == 3


def test_one_failing_file_does_not_stop_the_others(
    parts: Parts, objects: ObjectStore, results: ResultsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put_stream("uploads/20990101T000000.000Z-a/bad.csv", [CSV])
    objects.put_stream(GOOD, [CSV])
    head = objects.head

    def failing(key: str) -> Any:
        if "bad" in key and "list" not in key:
            raise OSError(5, "Input/output error")
        return head(key)

    lost = list(parts.sweeper.find_lost())
    assert len(lost) == 2
    monkeypatch.setattr(objects, "head", failing)
    monkeypatch.setattr(parts.sweeper, "find_lost", lambda: iter(lost))
    with pytest.raises(OSError, match="Input/output"):
        sweep(parts)
    found = results.find(GOOD)
    assert isinstance(found, Result)
    assert found.status == "COMPLETED"
