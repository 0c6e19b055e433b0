"""When alarms are evaluated, and what the evaluation leaves alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from blotter.database.background.alarms import HISTORY_DAYS
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps
from tests.cloudwatch_in_process import NOON, CloudWatchInProcess, expression, metric
from tests.distant_store import DistantStorage


@pytest.fixture(params=[MemoryStorage, DistantStorage])
def cloudwatch(request: pytest.FixtureRequest) -> Iterator[CloudWatchInProcess]:
    cloudwatch = CloudWatchInProcess(storage=request.param(OrderedMaps()))
    yield cloudwatch
    cloudwatch.close()


def states(cloudwatch: CloudWatchInProcess) -> dict[str, str]:
    return {each["AlarmName"]: each["StateValue"] for each in cloudwatch.call("DescribeAlarms")["MetricAlarms"]}


def test_a_round_with_nothing_due_reads_no_alarm(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    judge = cloudwatch.evaluator._judge

    async def counted(*arguments: float) -> object:
        nonlocal looks
        looks += 1
        return await judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cloudwatch.evaluator, "_judge", counted)
    for _ in range(3):
        cloudwatch.evaluate()
    assert looks == 1
    cloudwatch.alarm()
    for second in range(0, 120, 5):
        cloudwatch.now = NOON + second
        cloudwatch.evaluate()
    assert looks == 4, "the change, the minute that ended before it, the one after"


def test_minutes_and_ten_seconds(cloudwatch: CloudWatchInProcess) -> None:
    """Alarms of a short period are evaluated every ten seconds, the others with the minutes."""
    cloudwatch.now = NOON + 5
    cloudwatch.alarm("short", Period=10, TreatMissingData="notBreaching")
    cloudwatch.alarm("long", TreatMissingData="notBreaching")
    cloudwatch.evaluate()
    for name in ("short", "long"):
        cloudwatch.call("SetAlarmState", AlarmName=name, StateValue="ALARM", StateReason="x")
    cloudwatch.now = NOON + 12
    cloudwatch.evaluate()
    assert states(cloudwatch) == {"short": "OK", "long": "ALARM"}
    cloudwatch.now = NOON + 62
    cloudwatch.evaluate()
    assert states(cloudwatch) == {"short": "OK", "long": "OK"}


def test_an_expression_that_cannot_be_evaluated_stops_no_other_alarm(
    cloudwatch: CloudWatchInProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [expression("e", "m + 1"), metric("m", "m", ReturnData=False)]
    settings = {"EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold"}
    cloudwatch.call("PutMetricAlarm", AlarmName="a-broken", Metrics=metrics, **settings)
    cloudwatch.alarm("b-sound", TreatMissingData="notBreaching")
    cloudwatch.put("m", 5)
    monkeypatch.setattr("blotter.database.metric_math.queries.MOST_COMPUTED", 0)
    with caplog.at_level(logging.WARNING):
        for minute in range(1, 4):
            cloudwatch.now = NOON + 60 * minute + 2
            cloudwatch.evaluate()
    assert states(cloudwatch) == {"a-broken": "INSUFFICIENT_DATA", "b-sound": "OK"}
    assert caplog.messages == [
        "alarm arn:aws:cloudwatch:us-east-1:123456789012:alarm:a-broken cannot be evaluated: Error in expression "
        "'e': Expressions may compute up to 0 data points"
    ]


def test_an_alarm_that_was_deleted_meanwhile_stays_deleted(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes between the look and the write win."""
    judge = cloudwatch.evaluator._judge

    async def deleted(now: float, current: int) -> object:
        found = await judge(now, current)
        assert len(found) == 2
        await cloudwatch.storage.write(lambda tx: tx.delete(*_row(tx, "a")))
        return found

    cloudwatch.alarm("a", TreatMissingData="notBreaching")
    cloudwatch.alarm("b", TreatMissingData="notBreaching")
    monkeypatch.setattr(cloudwatch.evaluator, "_judge", deleted)
    assert cloudwatch.evaluate() == 1
    assert states(cloudwatch) == {"b": "OK"}


def _row(tx: object, name: str) -> tuple[object, ...]:
    from blotter.database.alarms.records import find_alarm
    from blotter.database.storage.protocol import RECORDS_SPACE

    alarm = find_alarm(tx, "123456789012", "us-east-1", name)  # type: ignore[arg-type]
    assert alarm is not None
    return RECORDS_SPACE, tx.get(RECORDS_SPACE, alarm.key)  # type: ignore[attr-defined]


def test_old_history_is_deleted(cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blotter.database.background.alarms._ITEMS_AT_ONCE", 2)
    for number in range(5):
        cloudwatch.alarm(f"old-{number}")
    cloudwatch.now = NOON + HISTORY_DAYS * 86_400 + 1
    cloudwatch.alarm("young")
    cloudwatch.evaluate()
    items = cloudwatch.call("DescribeAlarmHistory", HistoryItemType="ConfigurationUpdate")["AlarmHistoryItems"]
    assert {item["AlarmName"] for item in items} == {"young"}
