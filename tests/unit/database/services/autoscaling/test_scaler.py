"""What the scaler does, minute by minute of a clock that the test moves.

Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html; what AWS really does,
ack-api-quirks, DDB-TABLE-314 to -316.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.alarms.records import Alarm, alarms_of
from blotter.database.services.autoscaling.records import Activity, Place, note
from tests.in_process import ACCOUNT, REGION
from tests.scaling_in_process import INDEX_READS, READS, START, WRITES, ScalingInProcess


def test_units_are_raised_when_two_minutes_were_above_the_target(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    alarms = scaling.track(70)["Alarms"]
    scaling.consume(7)
    scaling.let_pass(1)
    assert scaling.units() == (5, 5)
    scaling.let_pass(1)
    assert scaling.units() == (10, 5)
    (activity,) = scaling.activities()
    assert activity["Description"] == "Setting read capacity units to 10."
    assert activity["Cause"] == f"monitor alarm {alarms[0]['AlarmName']} in state ALARM triggered policy p"
    assert activity["StatusCode"] == "Successful"
    assert activity["StatusMessage"] == (
        "Successfully set read capacity units to 10. Change successfully fulfilled by dynamodb."
    )
    assert (activity["ResourceId"], activity["ScalableDimension"]) == ("table/rides", READS)
    assert activity["StartTime"] == activity["EndTime"] == datetime.fromtimestamp(scaling.now, UTC)
    scaling.let_pass(20)
    assert scaling.units() == (10, 5), "7 of 10 is the target"


def test_one_minute_at_the_target_is_no_reason(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    scaling.track(70)
    scaling.consume(lambda minute: 5.0 if minute // 60 % 2 else 3.5)
    scaling.let_pass(20)
    assert scaling.units() == (5, 5)


def test_never_above_the_maximum(scaling: ScalingInProcess) -> None:
    scaling.register(5, 8)
    scaling.track(70)
    scaling.consume(50)
    scaling.let_pass(5)
    assert scaling.units() == (8, 5)
    assert len(scaling.activities()) == 1


def test_units_are_lowered_after_fifteen_quiet_minutes(scaling: ScalingInProcess) -> None:
    scaling.make_table("busy", 100, 5)
    scaling.register(2, 100, ResourceId="table/busy")
    scaling.track(50, ResourceId="table/busy")
    scaling.consume(20, "table/busy")
    scaling.let_pass(14)
    assert scaling.units("busy") == (100, 5)
    scaling.let_pass(1)
    assert scaling.units("busy") == (40, 5), "what gives 50 % for the busiest of these minutes"
    scaling.consume(0, "table/busy")
    scaling.let_pass(60)
    assert scaling.units("busy") == (2, 5), "idle tables too"


def test_a_quarter_of_an_hour_with_one_busy_minute_is_not_quiet(scaling: ScalingInProcess) -> None:
    scaling.register(1, 100)
    scaling.track(70)
    scaling.consume(lambda minute: 3.0 if minute // 60 % 10 == 0 else 0.0)
    scaling.let_pass(60)
    assert scaling.units() == (5, 5)


def test_the_first_minute_of_a_policy_is_one_that_begins_after_it(scaling: ScalingInProcess) -> None:
    scaling.now += 20
    scaling.register(5, 100)
    scaling.track(70)
    scaling.consume(7)
    scaling.let_pass(2)
    assert scaling.units() == (5, 5)
    scaling.let_pass(1)
    assert scaling.units() == (10, 5)


def test_scaling_in_can_be_disabled(scaling: ScalingInProcess) -> None:
    scaling.register(1, 100)
    scaling.track(70, settings={"DisableScaleIn": True})
    scaling.let_pass(30)
    assert scaling.units() == (5, 5)
    scaling.track(70, settings={"DisableScaleIn": False})
    scaling.let_pass(1)
    assert scaling.units() == (1, 5)


@pytest.mark.parametrize(
    ("suspended", "units"),
    [("DynamicScalingInSuspended", (10, 1)), ("DynamicScalingOutSuspended", (5, 1))],
)
def test_either_direction_can_be_suspended(
    scaling: ScalingInProcess, suspended: str, units: tuple[int, int]
) -> None:
    scaling.register(1, 100, SuspendedState={suspended: True})
    scaling.register(1, 100, ScalableDimension=WRITES)
    scaling.track(70)
    scaling.track(70, ScalableDimension=WRITES)
    scaling.consume(7)
    scaling.let_pass(20)
    assert scaling.units() == units
    scaling.consume(0)
    scaling.let_pass(40)
    assert scaling.units()[0] == (10 if suspended == "DynamicScalingInSuspended" else 1)


def test_cooldowns_are_rests_between_two_changes(scaling: ScalingInProcess) -> None:
    scaling.register(1, 1000)
    scaling.track(70, settings={"ScaleOutCooldown": 300, "ScaleInCooldown": 3600})
    scaling.consume(7)
    scaling.let_pass(2)
    assert scaling.units() == (10, 5)
    scaling.consume(70)
    scaling.let_pass(4)
    assert scaling.units() == (10, 5)
    scaling.let_pass(1)
    assert scaling.units() == (100, 5)
    scaling.consume(1)
    scaling.let_pass(59)
    assert scaling.units() == (100, 5)
    scaling.let_pass(1)
    assert scaling.units() == (2, 5)


def test_an_index_has_its_own_units(scaling: ScalingInProcess) -> None:
    scaling.make_table(
        "indexed",
        AttributeDefinitions=[
            {"AttributeName": "k", "AttributeType": "S"},
            {"AttributeName": "j", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-j",
                "KeySchema": [{"AttributeName": "j", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
            }
        ],
    )
    where = {"ResourceId": "table/indexed/index/by-j", "ScalableDimension": INDEX_READS}
    scaling.register(5, 100, **where)
    scaling.track(70, **where)
    scaling.consume(7, "table/indexed/index/by-j", INDEX_READS)
    scaling.let_pass(2)
    assert (scaling.units("indexed", "by-j"), scaling.units("indexed")) == ((10, 6), (5, 5))


# Bounds


def test_bounds_are_enforced_when_they_are_set(scaling: ScalingInProcess) -> None:
    scaling.register(8, 20)
    scaling.round()
    assert scaling.units() == (8, 5)
    scaling.register(2, 4)
    scaling.now += 1
    scaling.round()
    assert scaling.units() == (4, 5)
    second, first = scaling.activities()
    assert first["Cause"] == "minimum capacity was set to 8"
    assert second["Cause"] == "maximum capacity was set to 4"


def test_and_only_then(scaling: ScalingInProcess) -> None:
    """Units that somebody sets elsewhere stay there."""
    scaling.register(2, 10)
    scaling.track(70)
    scaling.round()
    units = {"ReadCapacityUnits": 30, "WriteCapacityUnits": 5}
    assert scaling.database.call("UpdateTable", {"TableName": "rides", "ProvisionedThroughput": units})[0] == 200
    scaling.consume(20)
    scaling.let_pass(30)
    assert scaling.units() == (30, 5)
    scaling.register(2, 10)
    scaling.round()
    assert scaling.units() == (10, 5)


# Tables that are not there, or not now


def test_a_table_on_demand_is_left_alone_and_keeps_its_target(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    scaling.track(70)
    on_demand = {"TableName": "rides", "BillingMode": "PAY_PER_REQUEST"}
    assert scaling.database.call("UpdateTable", on_demand)[0] == 200
    scaling.consume(50)
    scaling.let_pass(20)
    assert scaling.activities() == []
    assert len(scaling.call("DescribeScalableTargets")["ScalableTargets"]) == 1
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    back = {"TableName": "rides", "BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
    assert scaling.database.call("UpdateTable", back)[0] == 200
    scaling.let_pass(1)
    assert scaling.units() == (72, 5)


def test_a_deleted_table_leaves_its_target(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    scaling.track(70)
    assert scaling.database.call("DeleteTable", {"TableName": "rides"})[0] == 200
    scaling.let_pass(3)
    assert scaling.activities() == []
    assert len(scaling.call("DescribeScalingPolicies")["ScalingPolicies"]) == 1
    assert scaling.call("DeregisterScalableTarget") == {}


def test_a_table_that_is_being_changed_is_waited_for(tmp_path: Path) -> None:
    scaling = ScalingInProcess(tmp_path, table_delay=10)
    scaling.make_table()
    scaling.now += 11
    scaling.register(8, 20)
    scaling.register(9, 20, ScalableDimension=WRITES)
    scaling.round()
    assert scaling.units() == (5, 5), "until the change is made"
    (activity,) = scaling.activities()
    assert activity["StatusCode"] == "InProgress"
    assert activity["StatusMessage"] == (
        "Successfully set read capacity units to 8. Waiting for change to be fulfilled by dynamodb."
    )
    assert "EndTime" not in activity
    for _ in range(25):
        scaling.now += max(scaling.scaler.pause(), 0.1)
        scaling.round()
    assert scaling.units() == (8, 9)
    second, first = scaling.activities()
    assert first["StatusCode"] == "Successful"
    assert first["StatusMessage"].endswith("Change successfully fulfilled by dynamodb.")
    assert first["EndTime"] > first["StartTime"]
    assert second["Description"] == "Setting write capacity units to 9."
    scaling.close()


def test_what_update_table_refuses_is_noted_once_an_hour(scaling: ScalingInProcess) -> None:
    """AWS's quota of 40,000 units a table."""
    from blotter.database.operations.tables.quotas import enforce_quotas

    enforce_quotas(True)
    try:
        scaling.register(5, 1_000_000)
        scaling.track(70)
        scaling.consume(100_000)
        scaling.let_pass(59)
        (activity,) = scaling.activities()
        scaling.let_pass(10)
        assert len(scaling.activities()) == 2
    finally:
        enforce_quotas(False)
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"].startswith("Failed to set read capacity units to 142858. Reason: ")
    assert "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: " in activity["StatusMessage"]
    assert scaling.units() == (5, 5)


# Time


def test_after_a_restart_only_minutes_since_then_count(scaling: ScalingInProcess) -> None:
    scaling.register(1, 100)
    scaling.track(70)
    scaling.consume(3)
    scaling.let_pass(14)
    scaling.now += 86_400
    scaling.new_scaler()
    scaling.consume(0)
    scaling.let_pass(14)
    assert scaling.units() == (5, 5)
    scaling.let_pass(2)
    assert scaling.units() == (1, 5)


def test_a_round_that_is_repeated_does_nothing_twice(scaling: ScalingInProcess) -> None:
    scaling.register(5, 1000)
    scaling.track(70)
    scaling.consume(7)
    scaling.let_pass(2)
    scaling.consume(70)
    scaling.round()
    scaling.round()
    assert scaling.units() == (10, 5)
    assert len(scaling.activities()) == 1


def test_the_next_round_is_due_when_there_is_something_to_do(scaling: ScalingInProcess) -> None:
    scaling.round()
    assert scaling.scaler.pause() == 60
    scaling.register(1, 100)
    scaling.round()
    scaling.now = START + 30
    scaling.call(
        "PutScheduledAction",
        ScheduledActionName="soon",
        Schedule="at(2027-01-15T08:00:45)",
        ScalableTargetAction={"MinCapacity": 9},
    )
    scaling.round()
    assert scaling.scaler.pause() == 15
    scaling.now = START + 45
    scaling.round()
    assert scaling.units() == (9, 5)
    scaling.track(70)
    scaling.round()
    assert scaling.scaler.pause() == 17, "two seconds after the end of the minute"


# Scheduled actions


def _schedule(scaling: ScalingInProcess, schedule: str, name: str = "night", **more: Any) -> None:
    action = {"MinCapacity": 15, "MaxCapacity": 20} | more.pop("action", {})
    scaling.call(
        "PutScheduledAction", ScheduledActionName=name, Schedule=schedule, ScalableTargetAction=action, **more
    )


def test_a_scheduled_action_sets_the_bounds(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10)
    _schedule(scaling, "at(2027-01-15T09:00:00)")
    scaling.let_pass(59)
    assert scaling.units() == (5, 5)
    scaling.let_pass(1)
    assert scaling.units() == (15, 5)
    (target,) = scaling.call("DescribeScalableTargets")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (15, 20)
    raised, scheduled = scaling.activities()
    assert scheduled["Cause"] == "scheduled action name night was triggered"
    assert scheduled["Description"] == "Setting min capacity to 15 and max capacity to 20"
    assert scheduled["StatusMessage"] == "Successfully set min capacity to 15 and max capacity to 20"
    assert raised["Cause"] == "minimum capacity was set to 15"
    scaling.let_pass(60)
    assert len(scaling.activities()) == 2


def test_a_recurring_action_runs_again_and_again(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10)
    _schedule(scaling, "rate(10 minutes)", "up", action={"MinCapacity": 8, "MaxCapacity": 9})
    _schedule(scaling, "cron(5/10 * * * ? *)", "down", action={"MinCapacity": 2, "MaxCapacity": 3})
    seen = []
    for _ in range(31):
        scaling.let_pass(1)
        if not seen or seen[-1] != scaling.units()[0]:
            seen.append(scaling.units()[0])
    assert seen == [5, 3, 8, 3, 8, 3, 8]


def test_what_was_due_while_no_server_ran_is_done_once(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10)
    _schedule(scaling, "rate(10 minutes)")
    scaling.now += 86_400
    scaling.new_scaler()
    scaling.round()
    assert len([each for each in scaling.activities() if "scheduled" in each["Cause"]]) == 1


def test_actions_end(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10)
    _schedule(scaling, "rate(10 minutes)", EndTime=START + 1000)
    scaling.let_pass(60)
    assert len([each for each in scaling.activities() if "scheduled" in each["Cause"]]) == 1


def test_suspended_actions_are_not_run_later(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10, SuspendedState={"ScheduledScalingSuspended": True})
    _schedule(scaling, "at(2027-01-15T08:05:00)")
    scaling.let_pass(10)
    scaling.register(1, 10, SuspendedState={"ScheduledScalingSuspended": False})
    scaling.let_pass(10)
    assert scaling.units() == (5, 5)


def test_an_action_that_contradicts_the_bounds_fails(scaling: ScalingInProcess) -> None:
    scaling.register(1, 10)
    scaling.call(
        "PutScheduledAction",
        ScheduledActionName="much",
        Schedule="at(2027-01-15T08:05:00)",
        ScalableTargetAction={"MinCapacity": 50},
    )
    scaling.let_pass(6)
    (activity,) = scaling.activities()
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"] == (
        "Failed to set min capacity to 50. Reason: Maximum capacity cannot be less than minimum capacity"
    )


@given(st.floats(0, 4e9))
def test_an_activity_is_newer_than_those_before_it(tmp_path_factory: pytest.TempPathFactory, now: float) -> None:
    scaling = ScalingInProcess(tmp_path_factory.mktemp("store"))
    try:
        place = Place(ACCOUNT, REGION, "table/rides", READS)
        for number in range(3):
            activity = Activity(place, str(9 - number), str(number), "", now, "Successful", "")
            scaling.database.run(scaling.database.storage.write(partial(note, activity=activity)))
        assert [each["Description"] for each in scaling.activities()] == ["2", "1", "0"]
    finally:
        scaling.close()


def test_only_so_many_activities_are_kept(scaling: ScalingInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    from blotter.database.services.autoscaling import records

    monkeypatch.setattr(records, "MOST_ACTIVITIES", 3)
    for least in range(6, 12):
        scaling.register(least, 100)
        scaling.now += 1
        scaling.round()
    assert [each["Cause"][-2:].strip() for each in scaling.activities()] == ["11", "10", "9"]
    scaling.now += 50 * 86_400
    scaling.register(20, 100)
    scaling.round()
    assert len(scaling.activities()) == 1


# Alarms


def _alarms(scaling: ScalingInProcess) -> list[Alarm]:
    return scaling.database.run(scaling.database.storage.fetch(lambda tx: list(alarms_of(tx, ACCOUNT, REGION))))


def test_a_policy_has_the_alarms_of_aws(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    policy = scaling.track(70)
    found = {alarm.name: alarm.settings for alarm in _alarms(scaling)}
    members = ("metric_name", "statistic", "period", "evaluation_periods", "comparison_operator", "threshold")
    named = [found[alarm["AlarmName"]] for alarm in policy["Alarms"]]
    shown = [tuple(getattr(each, member) for member in members) for each in named]
    assert shown == [
        ("ConsumedReadCapacityUnits", "Sum", 60, 2, "GreaterThanThreshold", 210.0),
        ("ConsumedReadCapacityUnits", "Sum", 60, 15, "LessThanThreshold", 150.0),
        ("ProvisionedReadCapacityUnits", "Average", 300, 3, "GreaterThanThreshold", 5.0),
        ("ProvisionedReadCapacityUnits", "Average", 300, 3, "LessThanThreshold", 5.0),
    ]
    assert {each.alarm_actions for each in found.values()} == {(policy["PolicyARN"],)}
    scaling.call("DeleteScalingPolicy", PolicyName="p")
    assert _alarms(scaling) == []


def test_alarms_follow_the_units(scaling: ScalingInProcess) -> None:
    scaling.register(5, 100)
    scaling.track(70)
    scaling.consume(7)
    scaling.let_pass(3)
    assert scaling.units() == (10, 5)
    assert sorted(alarm.settings.threshold for alarm in _alarms(scaling)) == [10.0, 10.0, 300.0, 420.0]
    units = {"ReadCapacityUnits": 20, "WriteCapacityUnits": 5}
    scaling.database.call("UpdateTable", {"TableName": "rides", "ProvisionedThroughput": units})
    scaling.let_pass(1)
    assert sorted(alarm.settings.threshold for alarm in _alarms(scaling)) == [20.0, 20.0, 600.0, 840.0]
    scaling.call("DeregisterScalableTarget")
    assert _alarms(scaling) == []
