"""The local queue: nothing in its folder stops a worker, and several workers share it in order."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from blotter.crimes.item import Result
from blotter.crimes.jobs.intake import Intake
from blotter.crimes.jobs.local_queue import REJECTED, LocalQueue
from blotter.crimes.jobs.worker import Worker
from blotter.crimes.storage.results import ResultsTable
from tests.unit.crimes.conftest import Processor

CSV = b"Date,Primary Type\n2022-01-01,THEFT\n"
EARLY = "00000000000000000001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def poison(folder: Path) -> list[str]:
    """Files without an event, all of them due before the first event."""
    contents = {
        f"{EARLY}-0-deep.json": b"[" * 100_000,
        f"{EARLY}-0-latin.json": b"\xff\xfe",
        f"{EARLY}-0-empty.json": b"",
        f"{EARLY}-0-large.json": b"0" * 2_000_000,
        f"{EARLY}-0-nan.json": b"NaN NaN",
        f"{'9' * 5000}.json"[:250] + ".json": b"{}",
        "1-x-y.json": b"{}",
        "1.json": b"{}",
        "-1-0-x.json": b"{}",
        "notes.json": b"{}",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / f"{EARLY}-0-folder.json").mkdir()
    (folder / f"{EARLY}-0-link.json").symlink_to("/dev/zero")
    os.mkfifo(folder / f"{EARLY}-0-pipe.json")
    return [path.name for path in folder.iterdir()]


def test_poisoned_files_are_set_aside_and_the_events_go_on(queue: LocalQueue, folder: Path) -> None:
    names = poison(folder)
    queue.send({"Records": []})
    assert [queued.event for queued in queue.due()] == [{"Records": []}]
    assert sorted(path.name for path in (folder / REJECTED).iterdir()) == sorted(names)
    (left,) = folder.glob("*.json")
    assert left.name not in names


@pytest.mark.parametrize("event", [None, [], 7, "x", {}, {"Records": [{"eventName": "Odd", "s3": {}}]}])
def test_events_that_are_not_understood_are_set_aside_not_done(
    queue: LocalQueue,
    folder: Path,
    intake: Intake,
    worker: Worker,
    results: ResultsTable,
    event: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue.send(event)  # type: ignore[arg-type]
    key = intake.accept("a.csv", [CSV])
    worker.work_off(queue)
    found = results.find(key)
    assert isinstance(found, Result)
    assert found.status == "COMPLETED"
    assert len(list((folder / REJECTED).iterdir())) == 1
    assert list(queue.due()) == []
    assert "not understood" in caplog.text


@pytest.fixture
def worker(application: object, processor: Processor) -> Worker:
    worker = Worker(application)  # type: ignore[arg-type]
    worker.parts.processor = processor
    return worker


def test_two_workers_take_different_events_the_oldest_first(queue: LocalQueue, folder: Path) -> None:
    for number in range(3):
        queue.send({"number": number})
    other = LocalQueue(folder)
    first, second = iter(queue.due()), iter(other.due())
    assert next(first).event == {"number": 0}
    held = next(second)
    assert held.event == {"number": 1}
    other.done(held)
    assert next(first).event == {"number": 2}
    assert next(second, None) is None
    first.close()  # type: ignore[attr-defined]
    assert [queued.event for queued in queue.due()] == [{"number": 0}, {"number": 2}]


def test_the_folder_and_its_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    queue = LocalQueue(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    queue.send({})
    (folder / "bad.json").write_bytes(b"{}")
    list(queue.due())
    assert stat.S_IMODE((folder / REJECTED).stat().st_mode) == 0o700


def test_a_full_disk_leaves_no_half_event(
    queue: LocalQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("blotter.crimes.jobs.local_queue.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        queue.send({})
    assert list(folder.iterdir()) == []


def test_drafts_of_killed_senders_are_removed(queue: LocalQueue, folder: Path) -> None:
    (folder / "1-0-a.draft").write_text("{")
    assert queue.discard_drafts(3600.0) == 0
    assert queue.discard_drafts(0.0) == 1
    assert list(folder.iterdir()) == []
