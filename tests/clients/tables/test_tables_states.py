"""Any table state to any declaration on real endpoints: valid requests, the end reached, several runs at once.

The model test of tests/unit/tables/applying/test_tables_convergence.py against Blotter and moto over HTTP: they
decide what is valid. Then several `apply` at once, stepping through the same change side by side.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings

from blotter.config import ConfiguredTable, load_configuration
from blotter.tables.applying.apply import Applying, Outcome, Step, together
from blotter.tables.applying.progress import silent
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.calls.wait import Clock, Deadline
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.tables.errors import SetupError
from blotter.tables.planning import desired
from blotter.user_files import Document
from tests.unit.tables.applying.test_tables_convergence import MODES, declarations

KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
# What an endpoint does not offer, or forgets, cannot be reached on it.
LEFT_OUT = {
    "blotter": {"point_in_time_recovery", "resource_policy"},
    "moto": {"table_class", "on_demand_throughput"},
}


class Recorded:
    """The endpoint, and what it found invalid."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.refused: list[str] = []

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> dict[str, Any]:
        try:
            return self._endpoint.call(operation, service, **parameters)
        except SetupError as error:
            if error.code == "ValidationException":
                self.refused.append(f"{operation} {parameters}: {error}")
            raise


class Place:
    """One endpoint: tables are made there by other means, then brought to a declaration."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self.kind = kind
        file = folder / "blotter.toml"
        file.write_text(f'app = "a"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "{url}"\n')
        self._configuration = load_configuration(file, environ={})
        self.dynamodb = boto3.client("dynamodb", endpoint_url=url, **KEYS)  # type: ignore[call-overload]

    def recorded(self) -> Recorded:
        return Recorded(Endpoint(self._configuration, deadline=Deadline(Clock(), 120)))

    def possible(self, raw: dict[str, Any]) -> dict[str, Any]:
        left_out = LEFT_OUT[self.kind]
        kept = {key: value for key, value in raw.items() if key not in left_out}
        indexes = {
            name: {key: value for key, value in index.items() if key not in left_out}
            for name, index in raw["indexes"].items()
        }
        return kept | {"indexes": indexes}

    def make(self, name: str, raw: dict[str, Any]) -> None:
        parameters = desired.create_parameters(name, declared(name, raw))
        self.dynamodb.create_table(**parameters)


@pytest.fixture(params=["blotter", "moto"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    url = request.getfixturevalue(f"{request.param}_url")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return Place(request.param, url, tmp_path)


def declared(name: str, raw: dict[str, Any]) -> TableDeclaration:
    table = ConfiguredTable(label="t", name=name, source="test", declaration=raw)
    return parse_table(table, Document(Path("blotter.toml")))


def apply(endpoint: Recorded, name: str, raw: dict[str, Any]) -> Outcome:
    clock = Clock(sleep=lambda seconds: threading.Event().wait(min(seconds, 0.1)))
    deadline = Deadline(clock, 120)
    work = Applying(
        "t", name, declared(name, raw), Step(endpoint, silent, clock, deadline), may_delete=True
    ).work()
    outcomes, errors = together({"t": work}, clock, deadline)
    for error in errors.values():
        raise error
    return outcomes["t"]


def reach(place: Place, first: dict[str, Any], second: dict[str, Any]) -> None:
    name, endpoint = f"t{uuid.uuid4().hex}", place.recorded()
    if place.kind == "moto" and first.get("stream") and second.get("stream"):
        second = second | {"stream": first["stream"]}  # moto never enables a stream again that was disabled
    place.make(name, place.possible(first))
    apply(endpoint, name, place.possible(second))
    assert endpoint.refused == []
    assert apply(endpoint, name, place.possible(second)).changed == []
    place.dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    place.dynamodb.delete_table(TableName=name)


SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=12, **SETTINGS)
@given(declarations(MODES[:2]), declarations())
def test_any_declaration_is_reached_by_valid_requests(
    place: Place, first: dict[str, Any], second: dict[str, Any]
) -> None:
    reach(place, first, second)


@pytest.mark.slow
@settings(max_examples=150, **SETTINGS)
@given(declarations(MODES[:2]), declarations())
def test_any_declaration_is_reached_by_valid_requests_many_times(
    place: Place, first: dict[str, Any], second: dict[str, Any]
) -> None:
    reach(place, first, second)


UNITS = {"read_capacity_units": 3, "write_capacity_units": 2}
KEY = {"partition_key": {"name": "k", "type": "S"}}
INDEX = {"partition_key": {"name": "x", "type": "S"}}
ON_DEMAND = KEY | {"billing_mode": "PAY_PER_REQUEST"}
PROVISIONED = KEY | {"billing_mode": "PROVISIONED", "provisioned_throughput": UNITS}


def with_index(raw: dict[str, Any], **more: Any) -> dict[str, Any]:
    return raw | {"indexes": {"by_x": INDEX | more}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ON_DEMAND, with_index(PROVISIONED, provisioned_throughput=UNITS)),
        (PROVISIONED, with_index(ON_DEMAND)),
        (with_index(ON_DEMAND), with_index(PROVISIONED, provisioned_throughput=UNITS, projection="KEYS_ONLY")),
        (with_index(PROVISIONED, provisioned_throughput=UNITS), ON_DEMAND | {"indexes": {"by_y": INDEX}}),
        (PROVISIONED, with_index(KEY)),
        (ON_DEMAND, with_index(KEY)),
    ],
    ids=["to provisioned", "to on demand", "rebuilt", "replaced", "mode not declared", "nor then"],
)
def test_a_new_index_and_another_billing_mode_in_one_declaration(
    place: Place, first: dict[str, Any], second: dict[str, Any]
) -> None:
    reach(place, first | {"indexes": first.get("indexes", {})}, second)


# --- several at once

EVERYTHING = with_index(PROVISIONED, provisioned_throughput=UNITS) | {
    "stream": "NEW_IMAGE",
    "time_to_live": "expires",
    "tags": {"a": "b", "c": "d"},
    "deletion_protection": True,
    "table_class": "STANDARD_INFREQUENT_ACCESS",
}
LARGER = {"read_capacity_units": 5, "write_capacity_units": 5}


@pytest.mark.parametrize("place", ["blotter"], indirect=True)  # moto changes a table without any lock
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, EVERYTHING),
        (ON_DEMAND, ON_DEMAND | {"time_to_live": "expires"}),
        (ON_DEMAND | {"time_to_live": "expires"}, ON_DEMAND | {"time_to_live": False}),
        (ON_DEMAND, ON_DEMAND | {"stream": "NEW_IMAGE"}),
        (ON_DEMAND | {"stream": "KEYS_ONLY"}, ON_DEMAND | {"stream": "NEW_IMAGE", "tags": {"a": "b"}}),
        (PROVISIONED, PROVISIONED | {"provisioned_throughput": LARGER}),
        (with_index(ON_DEMAND), EVERYTHING),
        (EVERYTHING, ON_DEMAND | {"indexes": {"by_y": INDEX}, "time_to_live": "other", "stream": False}),
        (
            ON_DEMAND,
            ON_DEMAND | {"point_in_time_recovery": True, "on_demand_throughput": {"max_read_request_units": 9}},
        ),
    ],
    ids=["made", "ttl", "no ttl", "stream", "other view", "units", "all", "back", "recovery"],
)
def test_four_at_once_all_succeed(place: Place, first: dict[str, Any] | None, second: dict[str, Any]) -> None:
    """Side by side, each step of one between the steps of the others."""
    name = f"t{uuid.uuid4().hex}"
    second = place.possible({"indexes": {}} | second)
    if first is not None:
        apply(place.recorded(), name, place.possible({"indexes": {}} | first))
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def run() -> None:
        endpoint = place.recorded()
        try:
            start.wait()
            apply(endpoint, name, second)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert apply(place.recorded(), name, second).changed == []
