"""Any declared state can be reached from any other of the same key, in one run, and is then stable.

Two random declarations: the first is applied to nothing, the second to the first, with a kill at a random call in
between. Every request must be valid in the state it meets; after it the plan must be empty and a further run
must send nothing. Time is simulated; tests/clients/tables/test_tables_states.py does the same over HTTP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.config import ConfiguredTable
from blotter.tables.applying.apply import Applying, Outcome, Step, together
from blotter.tables.applying.progress import silent
from blotter.tables.calls.wait import Deadline
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.user_files import Document
from tests.examples import examples
from tests.simulated_dynamodb import FakeClock, Fault, SimulatedDynamoDB

UNITS = st.integers(1, 5)
MODES = ("PAY_PER_REQUEST", "PROVISIONED", None)


def keys(names: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from(names).map(lambda name: {"name": name, "type": {"x": "S", "y": "N", "z": "B"}[name]})


def throughput(mode: str | None) -> st.SearchStrategy[dict[str, Any]]:
    off = {"on_demand_throughput": st.just(False)}
    if mode is None:
        return st.fixed_dictionaries({}, optional=off)
    if mode == "PROVISIONED":
        units = st.fixed_dictionaries({"read_capacity_units": UNITS, "write_capacity_units": UNITS})
        return st.fixed_dictionaries({"provisioned_throughput": units}, optional=off)
    side = UNITS | st.just(False)
    maxima = st.fixed_dictionaries({}, optional={"max_read_request_units": side, "max_write_request_units": side})
    return st.fixed_dictionaries({}, optional={"on_demand_throughput": maxima | st.just(False)})


@st.composite
def indexes(draw: st.DrawFn, mode: str | None) -> dict[str, Any]:
    found = {}
    for name in draw(st.sets(st.sampled_from(["one", "two", "three"]))):
        projection = draw(st.sampled_from(["ALL", "KEYS_ONLY", ["a"], ["a", "b"]]))
        index = {"partition_key": draw(keys("xy")), "projection": projection, **draw(throughput(mode))}
        if draw(st.booleans()):
            index["sort_key"] = draw(keys("z"))
        found[name] = index
    return found


@st.composite
def declarations(draw: st.DrawFn, modes: tuple[str | None, ...] = MODES) -> dict[str, Any]:
    """Mode None: the billing mode is not declared and stays as it is."""
    mode = draw(st.sampled_from(modes))
    optional = {
        "table_class": st.sampled_from(["STANDARD", "STANDARD_INFREQUENT_ACCESS"]),
        "deletion_protection": st.booleans(),
        "stream": st.sampled_from([False, "KEYS_ONLY", "NEW_IMAGE"]),
        "time_to_live": st.sampled_from([False, "a", "b"]),
        "point_in_time_recovery": st.one_of(
            st.booleans(), st.integers(1, 35).map(lambda days: {"recovery_period_in_days": days})
        ),
        "tags": st.dictionaries(st.sampled_from("kl"), st.sampled_from(["v", "w", False])),
        "resource_policy": st.sampled_from([False, {"Statement": []}, {"Statement": ["x"]}]),
    }
    fixed = {"partition_key": {"name": "k", "type": "S"}, "indexes": draw(indexes(mode))}
    fixed |= {"billing_mode": mode} if mode else {}
    return fixed | draw(throughput(mode)) | draw(st.fixed_dictionaries({}, optional=optional))


class Killed(BaseException):
    """The process dies."""


def declared(raw: dict[str, Any]) -> TableDeclaration:
    table = ConfiguredTable(label="t", name="table", source="test", declaration=raw)
    return parse_table(table, Document(Path("blotter.toml")))


def apply(dynamodb: SimulatedDynamoDB, time: FakeClock, raw: dict[str, Any]) -> Outcome:
    clock = time.clock()
    deadline = Deadline(clock, 3600)
    step = Step(dynamodb, silent, clock, deadline)
    work = Applying("t", "table", declared(raw), step, may_delete=True).work()
    outcomes, errors = together({"t": work}, clock, deadline)
    for error in errors.values():
        raise error
    return outcomes["t"]


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(declarations(), declarations(), st.integers(1, 40), st.sampled_from(["before", "after"]))
def test_any_state_is_reached_from_any_other_even_when_killed_on_the_way(
    first: dict[str, Any], second: dict[str, Any], call: int, when: Any
) -> None:
    time = FakeClock()
    dynamodb = SimulatedDynamoDB(time, delay=2.0)
    apply(dynamodb, time, first)
    dynamodb.calls.clear()
    dynamodb.faults = {call: Fault(Killed(), when)}
    try:
        apply(dynamodb, time, second)
    except Killed:
        dynamodb.faults = {}
        apply(dynamodb, time, second)
    dynamodb.faults = {}
    dynamodb.calls.clear()
    assert apply(dynamodb, time, second).changed == []
    assert dynamodb.writes() == []
    assert dynamodb.refused == []
    check(dynamodb.tables["table"], second)


def throughput_agrees(described: dict[str, Any], raw: dict[str, Any]) -> None:
    for key, name, read, write in (
        ("provisioned_throughput", "ProvisionedThroughput", "read_capacity_units", "write_capacity_units"),
        ("on_demand_throughput", "OnDemandThroughput", "max_read_request_units", "max_write_request_units"),
    ):
        by_side = {"Read" if "Read" in field else "Write": value for field, value in described[name].items()}
        wanted = raw.get(key, {})
        if wanted is False:
            assert by_side == {}
        else:
            for side, field in (("Read", read), ("Write", write)):
                assert by_side.get(side, False) == wanted.get(field, by_side.get(side, False))


def check(table: dict[str, Any], raw: dict[str, Any]) -> None:
    """The endpoint's own state against the declaration, without the code under test."""
    mode = table["BillingModeSummary"]["BillingMode"]
    assert raw.get("billing_mode", mode) == mode
    throughput_agrees(table, raw)
    found = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert found.keys() == raw["indexes"].keys()
    for name, index in raw["indexes"].items():
        parts = [index["partition_key"], *([index["sort_key"]] if "sort_key" in index else [])]
        assert [part["AttributeName"] for part in found[name]["KeySchema"]] == [part["name"] for part in parts]
        include = isinstance(index["projection"], list)
        assert found[name]["Projection"]["ProjectionType"] == ("INCLUDE" if include else index["projection"])
        throughput_agrees({"ProvisionedThroughput": {}, "OnDemandThroughput": {}} | found[name], index)
    held = {
        "table_class": table["TableClassSummary"]["TableClass"],
        "deletion_protection": table["DeletionProtectionEnabled"],
        "time_to_live": table["_ttl"],
        "stream": table.get("StreamSpecification", {}).get("StreamViewType", False),
    }
    for key, value in held.items():
        assert raw.get(key, value) == value
    recovery = raw.get("point_in_time_recovery")
    if isinstance(recovery, dict):
        assert table["_pitr"] == recovery["recovery_period_in_days"]
    elif recovery is not None:
        assert bool(table["_pitr"]) is recovery
    for key, value in raw.get("tags", {}).items():
        assert table["_tags"].get(key, False) == value
    if "resource_policy" in raw:
        assert json.loads(table["_policy"] or "false") == raw["resource_policy"]
