"""A job that fails pauses longer and longer, is reported once, and stops no other."""

from __future__ import annotations

import asyncio
import logging

import pytest

from blotter.database.background.attempts import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Attempts
from blotter.database.storage.protocol import StorageUnavailable


class Job:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error


def test_pauses_grow_to_a_limit_and_end_with_success(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    attempts = Attempts(lambda: now, chance=lambda: 0.0)
    job = Job(ZeroDivisionError("in a test"))
    pauses = []
    for _ in range(15):
        assert attempts.may_run("a")
        assert asyncio.run(attempts.run("a", "filling index i of table t", job)) is False
        assert not attempts.may_run("a")
        pauses.append(attempts.pause("a"))
        now += pauses[-1]
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "filling index i of table t" in record.getMessage()
    assert "in a test" in record.getMessage()
    assert record.exc_info is not None
    job.error = None
    assert asyncio.run(attempts.run("a", "filling index i of table t", job)) is True
    assert attempts.pause("a") == 0
    assert "after 15 failed attempts" in caplog.records[-1].getMessage()
    asyncio.run(attempts.run("a", "filling index i of table t", job))
    assert len(caplog.records) == 2


def test_chance_shortens_a_pause_by_up_to_half() -> None:
    for chance, pause in ((0.0, 1.0), (0.5, 0.75), (1.0, 0.5)):
        attempts = Attempts(lambda: 0.0, chance=lambda: chance)  # noqa: B023
        asyncio.run(attempts.run("a", "a", Job(ValueError())))
        assert attempts.pause("a") == pause


def test_a_store_that_is_not_available_is_no_mistake_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(Attempts(lambda: 0.0).run("a", "deleting table t", Job(StorageUnavailable("disk full"))))
    (record,) = caplog.records
    assert "deleting table t" in record.getMessage()
    assert "disk full" in record.getMessage()
    assert not record.exc_info


def test_jobs_fail_for_themselves() -> None:
    attempts = Attempts(lambda: 0.0)
    asyncio.run(attempts.run("a", "a", Job(ValueError())))
    assert not attempts.may_run("a")
    assert attempts.may_run("b")
    assert asyncio.run(attempts.run("b", "b", Job())) is True
    assert not attempts.may_run("a")
