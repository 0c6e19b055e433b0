"""Jobs run side by side, a few at a time, each tried again by itself, and start as soon as they are requested."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from blotter.database.background import jobs as background_jobs
from blotter.database.background.jobs import MOST_AT_ONCE, JobRunner
from blotter.database.background.runner import Background
from blotter.database.copies import jobs
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import ObjectsUnavailable
from tests.in_process import InProcessDatabase
from tests.waiting import until

Run = Callable[[Job, Tools], object]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", background=False)
    yield database
    database.close()


def run_with(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Lets every job be run so, whatever its kind."""
    monkeypatch.setattr(background_jobs, "run_of", lambda _: run)


def start(database: InProcessDatabase, *ids: str) -> None:
    for job_id in ids:
        job = Job.new(job_id, "any", 1.0, {})
        database.run(database.storage.write(partial(jobs.start, job=job)))


def test_one_that_fails_is_tried_again_and_holds_up_no_other(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    runs: list[str] = []

    async def run(job: Job, tools: Tools) -> None:
        runs.append(job.id)
        if job.id == "bad" and len(runs) < 4:
            raise ObjectsUnavailable("s3://copies is gone")
        await tools.storage.write(partial(jobs.end, job_id=job.id))

    run_with(monkeypatch, run)
    start(database, "bad", "good")
    runner = JobRunner(database.tools, lambda: now[0])
    assert runner.pause() == float("inf")
    assert database.run(runner.run_once())
    assert sorted(runs) == ["bad", "good"]
    assert not database.run(runner.run_once())  # its pause is not over
    assert 0 < runner.pause() <= 1
    now[0] += runner.pause()
    assert database.run(runner.run_once())
    now[0] += 10
    assert database.run(runner.run_once())
    assert runs.count("bad") == 3
    assert not database.run(database.storage.fetch(jobs.all_jobs))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "job bad: failed, and will be tried again until it succeeds: ObjectsUnavailable: s3://copies is gone",
        "job bad: succeeded after 2 failed attempts",
    ]


def test_a_few_at_a_time_and_in_order(database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[str] = []
    most = [0]

    async def run(job: Job, tools: Tools) -> None:
        running.append(job.id)
        most[0] = max(most[0], len(running))
        for _ in range(5):
            await asyncio.sleep(0)
        running.remove(job.id)
        await tools.storage.write(partial(jobs.end, job_id=job.id))

    run_with(monkeypatch, run)
    start(database, *(f"job-{number}" for number in range(3 * MOST_AT_ONCE)))
    runner = JobRunner(database.tools)
    while database.run(runner.run_once()):
        pass
    assert most[0] == MOST_AT_ONCE
    assert not database.run(database.storage.fetch(jobs.all_jobs))


def test_a_kind_of_a_newer_version_is_left_alone(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job.new("later", "from-the-future", 1.0, {"a": 1})
    database.run(database.storage.write(lambda tx: jobs.start(tx, job)))
    database.run(JobRunner(database.tools).run_once())
    assert "job later: failed" in caplog.text
    assert [each.id for each in database.run(database.storage.fetch(jobs.all_jobs))] == ["later"]


def test_the_background_starts_a_job_when_it_is_requested(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def run(job: Job, tools: Tools) -> None:
        await tools.storage.write(partial(jobs.end, job_id=job.id))
        done.append(job.id)

    run_with(monkeypatch, run)
    # It looks again on its own only after two hours.
    background = Background(database.storage, tools=database.tools, tables_seconds=7200.0)

    async def use() -> None:
        work = asyncio.create_task(background.run())
        for number in range(2):
            job = Job.new(f"job-{number}", "any", 1.0, {})
            await database.storage.write(partial(jobs.start, job=job))
            await until(lambda: len(done) > number)  # noqa: B023
        background.stop()
        await work

    database.run(use())
    assert done == ["job-0", "job-1"]


def test_what_a_crash_left_is_removed_at_the_start(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data", objects=(tmp_path / "objects").as_uri())
    database.tools.objects.put("kept", b"1")
    (tmp_path / "objects" / ".0123.unfinished").write_bytes(b"half")
    scratch = tmp_path / "data" / "scratch" / "job"
    scratch.mkdir(parents=True)
    (scratch / "run-000000").write_bytes(b"rows")
    database.tools.tidy()
    assert [path.name for path in (tmp_path / "objects").iterdir()] == ["kept"]
    assert not scratch.exists()
    database.close()
