"""The worker's loop and the commands around it, in this process; killed processes are in tests/faults."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from blotter.crimes.cli import crimes
from blotter.crimes.jobs import worker as worker_module
from blotter.crimes.jobs.intake import Intake
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.jobs.worker import Worker
from blotter.crimes.settings import Application
from blotter.crimes.storage.results import ResultsTable
from tests.waiting import wait_until

CSV = b"Date,Primary Type\n2022-01-01,THEFT\n"
EXAMPLES = Path(__file__).parents[4] / "examples"


@pytest.fixture
def worker(application: Application, processor: Processor) -> Worker:
    worker = Worker(application)
    worker.parts.processor = processor
    return worker


def test_events_are_worked_off_once(
    worker: Worker, intake: Intake, results: ResultsTable, queue: LocalQueue
) -> None:
    keys = [intake.accept(f"{number}.csv", [CSV]) for number in range(3)]
    assert worker.work_off(queue)
    assert {getattr(results.find(key), "status", None) for key in keys} == {"COMPLETED"}
    assert not worker.work_off(queue)
    assert list(queue.due()) == []


def test_an_event_for_a_busy_file_waits_for_the_lease(
    worker: Worker, intake: Intake, results: ResultsTable, queue: LocalQueue, tmp_path: Path
) -> None:
    key = intake.accept("a.csv", [CSV])
    seen = results.find(key)
    assert seen is not None
    other = results.claim(
        seen,
        key,
        file_name="a.csv",
        object_version=seen.object_version,
        size_bytes=1,
        uploaded_at=seen.uploaded_at or "",
        owner="other",
        lease_seconds=60,
    )
    assert other is not None
    worker.work_off(queue)
    assert list(queue.due()) == []
    (waiting,) = (tmp_path / "queue").glob("*.json")
    assert 40 < int(waiting.name.split("-")[0]) / 1e9 - time.time() < 61


def test_bad_events_are_dropped_and_the_rest_goes_on(
    worker: Worker, intake: Intake, results: ResultsTable, queue: LocalQueue
) -> None:
    queue.send({"nonsense": True})
    key = intake.accept("a.csv", [CSV])
    worker.work_off(queue)
    result = results.find(key)
    assert result is not None
    assert result.status == "COMPLETED"
    assert list(queue.due()) == []


def test_an_error_puts_the_event_back(
    application: Application, worker: Worker, intake: Intake, queue: LocalQueue, tmp_path: Path
) -> None:
    intake.accept("a.csv", [CSV])
    worker.parts.processor._results = ResultsTable(application.results._client, "no-such-table")
    worker.work_off(queue)
    (waiting,) = (tmp_path / "queue").glob("*.json")
    assert waiting.name.split("-")[1] == "1"


def test_the_loop_sweeps_and_stops(
    worker: Worker, intake: Intake, results: ResultsTable, queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_POLL_SECONDS", 0.01)
    lost = intake.accept("lost.csv", [CSV])
    for queued in queue.due():
        queue.done(queued)
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_until(lambda: getattr(results.find(lost), "status", None) == "COMPLETED")
    worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert getattr(results.find(lost), "status", None) == "COMPLETED"


def test_drafts_of_killed_writers_are_cleared_away(application: Application, tmp_path: Path) -> None:
    objects = application.objects
    objects.put_stream("k/a.csv", [CSV])
    draft = tmp_path / "objects" / "k" / "a.csv#1"
    draft.write_bytes(b"half")
    (tmp_path / "objects" / "k" / "b.csv#2").write_bytes(b"half")
    assert objects.discard_drafts(3600.0) == 0
    assert objects.discard_drafts(0.0, "k/a.csv") == 1
    assert not draft.exists()
    assert objects.discard_drafts(0.0) == 1
    assert [info.key for info in objects.list("k/")] == ["k/a.csv"]


def test_score_writes_predictions_beside_the_file(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_bytes((EXAMPLES / "chicago-crimes-2025-first-100.csv").read_bytes())
    result = CliRunner().invoke(crimes, ["score", str(sample)])
    assert result.exit_code == 0, result.output
    assert '"rows_scored": 100' in result.stdout
    lines = (tmp_path / "sample.csv.predictions.csv").read_text().splitlines()
    assert lines[0].endswith(",probability,skipped_reason")
    assert len(lines) == 101


def test_score_of_a_bad_file_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"%PDF-1.7")
    result = CliRunner().invoke(crimes, ["score", str(bad)])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["blotter crimes: NOT_CSV: the file is a PDF document, not CSV"]
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_missing_configuration_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BLOTTER_CONFIG", raising=False)
    for command in ("serve", "worker", "process", "sweep"):
        result = CliRunner().invoke(crimes, [command])
        assert result.exit_code == 3
        assert len(result.stderr.splitlines()) == 1
        assert "blotter.toml" in result.stderr


def test_a_wrong_setting_is_one_line_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blotter.toml").write_text(
        'app = "x"\n[environments.dev]\nregion = "us-east-1"\n[tables.results]\n'
        'partition_key = { name = "file_key", type = "S" }\n[crimes]\nlease_seconds = "soon"\n'
    )
    result = CliRunner().invoke(crimes, ["process"])
    assert result.exit_code == 3
    assert "lease_seconds" in result.stderr
    assert "line 7" in result.stderr
