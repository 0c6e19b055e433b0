"""apply: every state it may find, every place it may be interrupted, every failure it may meet; time simulated."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blotter.config import ConfiguredTable
from blotter.tables.applying.apply import MOST_REFUSALS, Applying, Outcome, Step, together
from blotter.tables.applying.progress import News, silent
from blotter.tables.calls.wait import Deadline
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.user_files import Document
from tests.simulated_dynamodb import ACCOUNT, FakeClock, Fault, SimulatedDynamoDB, aws_error

NAME = "chicago-crimes-results-dev"
SEED: dict[str, Any] = {
    "partition_key": {"name": "file_key", "type": "S"},
    "billing_mode": "PAY_PER_REQUEST",
}
EVERYTHING: dict[str, Any] = SEED | {
    "table_class": "STANDARD_INFREQUENT_ACCESS",
    "deletion_protection": True,
    "stream": "NEW_AND_OLD_IMAGES",
    "time_to_live": "expires_at",
    "point_in_time_recovery": {"recovery_period_in_days": 7},
    "tags": {"app": "crimes"},
    "on_demand_throughput": {"max_read_request_units": 100},
    "indexes": {
        "by_status": {"partition_key": {"name": "status", "type": "S"}},
        "by_day": {"partition_key": {"name": "day", "type": "N"}, "projection": "KEYS_ONLY"},
    },
}


def declared(raw: dict[str, Any]) -> TableDeclaration:
    table = ConfiguredTable(label="results", name=NAME, source="test", declaration=raw)
    return parse_table(table, Document(Path("blotter.toml")))


class World:
    """A simulated endpoint and runs against it."""

    def __init__(self, delay: float = 5.0) -> None:
        self.clock = FakeClock()
        self.dynamodb = SimulatedDynamoDB(self.clock, delay)
        self.news: list[News] = []

    def applying(self, raw: dict[str, Any], timeout: float = 600.0, **options: Any) -> Any:
        clock = self.clock.clock()
        step = Step(self.dynamodb, self.news.append, clock, Deadline(clock, timeout))
        return Applying("results", NAME, declared(raw), step, **options).work()

    def apply(self, raw: dict[str, Any] = SEED, timeout: float = 600.0, **options: Any) -> Outcome:
        clock = self.clock.clock()
        work = self.applying(raw, timeout, **options)
        outcomes, errors = together({"results": work}, clock, Deadline(clock, timeout))
        for error in errors.values():
            raise error
        return outcomes["results"]

    def create(self, raw: dict[str, Any] = SEED, **changes: Any) -> dict[str, Any]:
        self.apply(raw)
        table = self.dynamodb.tables[NAME]
        table |= changes
        self.dynamodb.calls.clear()
        return table


@pytest.fixture
def world() -> World:
    return World()


def test_a_missing_table_is_created_waited_for_and_verified(world: World) -> None:
    outcome = world.apply()
    assert outcome.changed == ["table"]
    assert outcome.observed.status == "ACTIVE"
    assert world.dynamodb.writes() == ["CreateTable"]
    assert world.dynamodb.names()[-1] == "DescribeTable"  # the verification is a fresh look
    assert world.dynamodb.calls[1][1] == {
        "TableName": NAME,
        "AttributeDefinitions": [{"AttributeName": "file_key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "file_key", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


def test_a_second_run_looks_once_and_does_nothing(world: World) -> None:
    world.create()
    outcome = world.apply()
    assert outcome.changed == []
    assert world.dynamodb.names() == ["DescribeTable"]


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_a_busy_table_is_waited_for_and_verified(world: World, status: str) -> None:
    world.create(TableStatus=status)
    world.dynamodb._later(NAME)
    outcome = world.apply()
    assert (outcome.changed, outcome.observed.status) == ([], "ACTIVE")
    assert world.dynamodb.writes() == []
    assert any(news.parts == {"": status} for news in world.news)


def test_a_table_being_deleted_is_waited_for_and_made_anew(world: World) -> None:
    old = world.create(TableStatus="DELETING")["TableId"]
    world.dynamodb._later(NAME)
    outcome = world.apply()
    assert outcome.changed == ["table"]
    assert outcome.observed.table["TableId"] != old


@pytest.mark.parametrize(
    "status", ["INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ARCHIVING", "ARCHIVED", "REPLICATION_NOT_AUTHORIZED"]
)
def test_a_state_that_waiting_does_not_end(world: World, status: str) -> None:
    world.create(TableStatus=status)
    with pytest.raises(SetupError, match=f"{NAME} is {status}: ") as error:
        world.apply()
    assert error.value.exit_code is Exit.UNUSABLE


@pytest.mark.parametrize("status", ["ACTIVE", "CREATING"])
def test_another_key_is_refused_with_both_shown_and_nothing_changed(world: World, status: str) -> None:
    other = {**SEED, "sort_key": {"name": "at", "type": "N"}, "billing_mode": "PAY_PER_REQUEST"}
    world.create(other, TableStatus=status)
    with pytest.raises(SetupError) as error:
        world.apply()
    assert error.value.exit_code is Exit.REPLACEMENT
    assert "has key file_key (S) HASH, at (N) RANGE, declared is file_key (S) HASH" in str(error.value)
    assert world.dynamodb.writes() == []


def test_the_same_key_of_another_type_is_another_key(world: World) -> None:
    world.create({**SEED, "partition_key": {"name": "file_key", "type": "B"}})
    with pytest.raises(SetupError, match=r"has key file_key \(B\) HASH, declared is file_key \(S\) HASH"):
        world.apply()


def test_everything_declared_is_reached_and_then_stable(world: World) -> None:
    outcome = world.apply(EVERYTHING)
    assert outcome.changed == ["table", "time_to_live", "point_in_time_recovery"]
    table = world.dynamodb.tables[NAME]
    assert (table["_ttl"], table["_pitr"], table["_tags"]) == ("expires_at", 7, {"app": "crimes"})
    assert world.apply(EVERYTHING).changed == []


def test_a_plain_table_becomes_everything_one_index_at_a_time(world: World) -> None:
    world.create()
    outcome = world.apply(EVERYTHING)
    assert outcome.changed[:2] == ["index by_status", "index by_day"]
    assert set(outcome.changed[2:]) == EVERYTHING.keys() - SEED.keys() - {"indexes"}
    assert world.apply(EVERYTHING).changed == []


def test_billing_goes_both_ways_with_units_for_every_index(world: World) -> None:
    units = {"read_capacity_units": 3, "write_capacity_units": 2}
    indexes = {"by_status": {"partition_key": {"name": "status", "type": "S"}}}
    provisioned = SEED | {
        "billing_mode": "PROVISIONED",
        "provisioned_throughput": units,
        "indexes": {"by_status": indexes["by_status"] | {"provisioned_throughput": units}},
    }
    world.create(SEED | {"indexes": indexes})
    assert world.apply(provisioned).changed == ["billing_mode"]
    assert world.dynamodb.tables[NAME]["ProvisionedThroughput"]["ReadCapacityUnits"] == 3
    assert world.apply(SEED | {"indexes": indexes}).changed == ["billing_mode"]


def test_another_stream_view_or_expiry_attribute_goes_off_first(world: World) -> None:
    world.create(SEED | {"stream": "KEYS_ONLY", "time_to_live": "old"})
    wanted = SEED | {"stream": "NEW_IMAGE", "time_to_live": "new"}
    assert world.apply(wanted).changed == ["stream", "time_to_live"]
    assert world.dynamodb.tables[NAME]["StreamSpecification"]["StreamViewType"] == "NEW_IMAGE"
    assert world.dynamodb.tables[NAME]["_ttl"] == "new"


def test_an_undeclared_index_is_removed_only_with_permission(world: World) -> None:
    world.create(EVERYTHING)
    without = EVERYTHING | {"indexes": {"by_day": EVERYTHING["indexes"]["by_day"]}}
    with pytest.raises(SetupError, match=r"index by_status .*--delete-indexes") as error:
        world.apply(without)
    assert (error.value.exit_code, world.dynamodb.writes()) == (Exit.REPLACEMENT, [])
    assert world.apply(without, may_delete=True).changed == ["index by_status"]
    assert set(world.apply(without).observed.indexes("global")) == {"by_day"}


def test_a_changed_index_is_built_again_only_with_permission(world: World) -> None:
    world.create(EVERYTHING)
    by_day = EVERYTHING["indexes"]["by_day"] | {"projection": ["rows"]}
    changed = EVERYTHING | {"indexes": EVERYTHING["indexes"] | {"by_day": by_day}}
    with pytest.raises(SetupError, match=r"index by_day .*are fixed"):
        world.apply(changed)
    world.apply(changed, may_delete=True)
    assert world.dynamodb.writes() == ["UpdateTable", "UpdateTable"]
    assert world.apply(changed).changed == []


def test_an_account_other_than_configured_is_refused(world: World) -> None:
    world.create()
    world.apply(account=ACCOUNT)
    with pytest.raises(SetupError, match=f"in account {ACCOUNT}, but account 999999999999 is configured") as error:
        world.apply(account="999999999999")
    assert error.value.exit_code is Exit.CONFIGURATION


# --- interruption


class Killed(BaseException):
    """The process dies at a call."""


def interrupted_at_every_call(start: Callable[[World], None], goal: dict[str, Any], when: Any) -> int:
    """Kill a run at its first call, its second, …; the next run must finish. Returns how many calls there were."""
    number = 1
    while True:
        world = World()
        start(world)
        world.dynamodb.calls.clear()
        world.dynamodb.faults = {number: Fault(Killed(), when)}
        try:
            world.apply(goal, may_delete=True)
        except Killed:
            world.dynamodb.faults = {}
            world.apply(goal, may_delete=True)
            world.dynamodb.calls.clear()
            assert world.apply(goal, may_delete=True).changed == [], f"killed {when} call {number}"
            assert world.dynamodb.writes() == []
            number += 1
        else:
            return number - 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_the_next_run_finishes_a_creation(when: str) -> None:
    assert interrupted_at_every_call(lambda _world: None, SEED, when) >= 4
    assert interrupted_at_every_call(lambda _world: None, EVERYTHING, when) >= 15


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_the_next_run_finishes_a_change(when: str) -> None:
    other_index = {"by_status": {"partition_key": {"name": "status", "type": "S"}, "projection": "KEYS_ONLY"}}
    start = SEED | {"indexes": other_index, "stream": "KEYS_ONLY", "time_to_live": "old"}
    assert interrupted_at_every_call(lambda world: world.create(start) and None, EVERYTHING, when) >= 40


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_an_old_table_goes_away(when: str) -> None:
    def deleting(world: World) -> None:
        world.create(TableStatus="DELETING")
        world.dynamodb._later(NAME)

    assert interrupted_at_every_call(deleting, SEED, when) >= 5


def test_a_lost_answer_to_create_is_judged_by_its_effect(world: World) -> None:
    lost = SetupError("no answer", Exit.UNREACHABLE, Retry.BRIEFLY)
    world.dynamodb.faults = {2: Fault(lost, "after")}
    assert world.apply().observed.status == "ACTIVE"
    assert world.dynamodb.writes() == ["CreateTable"]


# --- concurrency


@pytest.mark.parametrize("seed", range(20))
def test_concurrent_runs_do_not_harm_each_other(seed: int) -> None:
    """Three runs in random order of steps: all succeed, the table is made once, every index once."""
    world, chance = World(delay=1.0), random.Random(seed)
    works = {n: world.applying(EVERYTHING) for n in range(3)}
    outcomes = {}
    while works:
        number = chance.choice(list(works))
        try:
            world.clock.time += next(works[number]) / 3
        except StopIteration as stop:
            outcomes[number] = stop.value
            del works[number]
    assert [outcome.observed.status for outcome in outcomes.values()] == ["ACTIVE"] * 3
    assert sum("table" in outcome.changed for outcome in outcomes.values()) == 1
    assert world.apply(EVERYTHING).changed == []


def test_losing_the_race_to_create_is_no_error(world: World) -> None:
    """Between describe and create another run creates: ResourceInUseException, then it is there."""

    def somebody(number: int) -> None:
        if number == 2:
            other = World()
            other.create()
            world.dynamodb.tables |= other.dynamodb.tables

    world.dynamodb.before_call = somebody
    outcome = world.apply()
    assert (outcome.changed, outcome.observed.status) == ([], "ACTIVE")


# --- failures


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "LimitExceededException", "RequestLimitExceeded", "ResourceInUseException"]
)
def test_throttling_is_waited_out_for_as_long_as_the_deadline_allows(world: World, code: str) -> None:
    world.dynamodb.faults = {n: Fault(aws_error(code)) for n in range(1, 20)}
    assert world.apply().changed == ["table"]
    assert max(world.clock.slept) > 10


@pytest.mark.parametrize("code", ["InternalServerError", "ServiceUnavailable"])
def test_a_few_server_errors_in_a_row_are_repeated(world: World, code: str) -> None:
    world.dynamodb.faults = {n: Fault(aws_error(code), "after") for n in (1, 2, 4, 5, 7)}
    assert world.apply().changed in (["table"], [])
    world.dynamodb.faults = {n: Fault(aws_error(code)) for n in range(1, 100)}
    world.dynamodb.calls.clear()
    with pytest.raises(SetupError, match=code):
        world.apply()
    assert len(world.dynamodb.calls) == 5


@pytest.mark.parametrize("code", ["AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException"])
def test_what_does_not_pass_is_not_repeated(world: World, code: str) -> None:
    world.dynamodb.faults = {2: Fault(aws_error(code))}
    with pytest.raises(SetupError, match=code):
        world.apply()
    assert len(world.dynamodb.calls) == 2


def test_the_deadline_ends_the_wait_and_says_what_for(world: World) -> None:
    world.create(TableStatus="CREATING")
    begin = world.clock.time
    with pytest.raises(SetupError, match="waiting until it is ACTIVE after 30 s; run again to continue") as error:
        world.apply(timeout=30)
    assert error.value.exit_code is Exit.TIMED_OUT
    assert world.clock.time - begin == pytest.approx(30)


def test_the_deadline_under_throttling_repeats_the_endpoints_words(world: World) -> None:
    world.dynamodb.faults = {n: Fault(aws_error("ThrottlingException", "Rate exceeded")) for n in range(1, 999)}
    with pytest.raises(SetupError, match=r"after 60 s \(ThrottlingException: Rate exceeded\)") as error:
        world.apply(timeout=60)
    assert error.value.exit_code is Exit.TIMED_OUT


def test_an_endpoint_that_accepts_and_does_not_do_is_not_asked_forever(world: World) -> None:
    world.create()
    world.dynamodb._dynamodb_TagResource = lambda **_: {}  # type: ignore[method-assign]
    with pytest.raises(SetupError, match="TagResource was accepted 3 times, but tags does not change") as error:
        world.apply(SEED | {"tags": {"a": "b"}})
    assert error.value.exit_code is Exit.REFUSED
    assert world.dynamodb.writes() == ["TagResource"] * 3


def test_a_change_that_shows_late_is_sent_once(world: World) -> None:
    """Tags and policies are eventually consistent."""
    world.create()
    reads = SimulatedDynamoDB._dynamodb_ListTagsOfResource
    start = world.clock.time

    def late(ResourceArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return reads(world.dynamodb, ResourceArn) if world.clock.time > start + 12 else {"Tags": []}

    world.dynamodb._dynamodb_ListTagsOfResource = late  # type: ignore[method-assign]
    world.apply(SEED | {"tags": {"a": "b"}})
    assert world.dynamodb.writes() == ["TagResource"]


# --- several tables


def test_tables_are_set_up_side_by_side_and_one_failure_does_not_stop_the_rest(world: World) -> None:
    clock = world.clock.clock()
    deadline = Deadline(clock, 600)
    step = Step(world.dynamodb, silent, clock, deadline)
    world.create({**SEED, "partition_key": {"name": "id", "type": "S"}})  # the first has another key
    begin = world.clock.time
    works = {name: Applying(name, name, declared(SEED), step).work() for name in (NAME, "second", "third")}
    outcomes, errors = together(works, clock, deadline)
    assert set(outcomes) == {"second", "third"}
    assert errors[NAME].exit_code is Exit.REPLACEMENT
    assert world.clock.time - begin < 2 * 10  # not one after the other


def test_what_fails_for_all_is_tried_once(world: World) -> None:
    clock = world.clock.clock()
    deadline = Deadline(clock, 600)
    world.dynamodb.faults = {n: Fault(aws_error("ExpiredTokenException")) for n in range(1, 9)}
    works = {
        name: Applying(name, name, declared(SEED), Step(world.dynamodb, silent, clock, deadline)).work()
        for name in ("first", "second")
    }
    outcomes, errors = together(works, clock, deadline)
    assert (outcomes, list(errors), len(world.dynamodb.calls)) == ({}, ["first"], 1)


# --- what was switched on is switched off


SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "maxima": ({"on_demand_throughput": {"max_read_request_units": 9}}, {"on_demand_throughput": False}),
    "one maximum": (
        {"on_demand_throughput": {"max_read_request_units": 9, "max_write_request_units": 9}},
        {"on_demand_throughput": {"max_read_request_units": False}},
    ),
    "stream": ({"stream": "NEW_IMAGE"}, {"stream": False}),
    "expiry": ({"time_to_live": "at"}, {"time_to_live": False}),
    "recovery": ({"point_in_time_recovery": True}, {"point_in_time_recovery": False}),
    "policy": ({"resource_policy": {"Statement": []}}, {"resource_policy": False}),
    "a tag": ({"tags": {"a": "b", "c": "d"}}, {"tags": {"a": False}}),
    "protection": ({"deletion_protection": True}, {"deletion_protection": False}),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_was_switched_on_can_be_switched_off(world: World, switch: str) -> None:
    on, off = SWITCHES[switch]
    world.apply(SEED | off)  # off from the beginning: nothing to do
    assert world.dynamodb.writes() == ["CreateTable"]
    world.apply(SEED | on)
    assert world.apply(SEED | off).changed == list(off)
    assert world.apply(SEED | off).changed == []
    assert world.dynamodb.refused == []


def test_an_index_without_a_maximum(world: World) -> None:
    index = {"partition_key": {"name": "x", "type": "S"}}
    for maximum in ({"max_write_request_units": 9}, False):
        world.apply(SEED | {"indexes": {"by_x": index | {"on_demand_throughput": maximum}}})
    assert world.dynamodb.tables[NAME]["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {}


def test_a_maximum_at_a_provisioned_table_is_refused_and_said(world: World) -> None:
    provisioned = SEED | {
        "billing_mode": "PROVISIONED",
        "provisioned_throughput": {"read_capacity_units": 1, "write_capacity_units": 1},
    }
    world.create(provisioned)
    undeclared = {"partition_key": SEED["partition_key"], "on_demand_throughput": {"max_read_request_units": 9}}
    with pytest.raises(SetupError, match=r"the table is provisioned; declare billing_mode") as error:
        world.apply(undeclared)
    assert (error.value.exit_code, world.dynamodb.writes()) == (Exit.REPLACEMENT, [])


@pytest.mark.parametrize("done_by_others_at", [1, 2, None])
def test_a_refusal_counts_only_if_the_change_is_still_missing(world: World, done_by_others_at: int | None) -> None:
    """Another run makes the change between describe and request: the refusal shows it, and it is done. A third may
    have undone it before the next look; what is refused again and again is the end."""
    world.create()
    real = world.dynamodb._dynamodb_UpdateTimeToLive
    calls: list[str] = []

    def raced(**given: Any) -> dict[str, Any]:
        calls.append("UpdateTimeToLive")
        if len(calls) == done_by_others_at:
            real(**given)
        raise aws_error("ValidationException", "TimeToLive is already enabled")

    world.dynamodb._dynamodb_UpdateTimeToLive = raced  # type: ignore[method-assign]
    if done_by_others_at is not None:
        assert world.apply(SEED | {"time_to_live": "at"}).observed.settings["time_to_live"] == "at"
    else:
        with pytest.raises(SetupError, match="TimeToLive is already enabled"):
            world.apply(SEED | {"time_to_live": "at"})
    assert len(calls) == (done_by_others_at or MOST_REFUSALS)


def test_autoscaling_and_alarms_are_ended() -> None:
    from blotter.tables.planning.aspects_around import alarm_requests, autoscaling_requests

    bounds = {"min_capacity": 1, "max_capacity": 9, "target_utilization": 70}
    found = {"table": {"read": bounds, "write": bounds}, "index by_x": {"read": bounds}}
    wanted = {"table": {"read": False}, "index by_x": {"read": False, "write": False}}
    requests = autoscaling_requests("t", found, wanted)
    assert [request.operation for request in requests] == ["DeregisterScalableTarget"] * 2
    assert [request.parameters["ResourceId"] for request in requests] == ["table/t", "table/t/index/by_x"]
    (request,) = alarm_requests("t", {"a": {}, "b": {}}, {"a": False, "gone": False})
    assert (request.operation, request.parameters) == ("DeleteAlarms", {"AlarmNames": ["t-a"]})
