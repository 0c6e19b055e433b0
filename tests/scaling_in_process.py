"""Application Auto Scaling without a socket, beside the database whose tables it scales, by a clock of the test.

botocore serializes the calls and parses the answers. What tables consume is what the test says: `consume`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from blotter.database.http.messages import Request
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal
from blotter.database.services.api import ApiService
from blotter.database.services.autoscaling.records import Place
from blotter.database.services.autoscaling.registry import make_registry
from blotter.database.services.autoscaling.resources import Scaled
from blotter.database.services.autoscaling.scaler import Consumed, Scaler
from blotter.database.storage.protocol import ReadTransaction
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

READS, WRITES = "dynamodb:table:ReadCapacityUnits", "dynamodb:table:WriteCapacityUnits"
INDEX_READS = "dynamodb:index:ReadCapacityUnits"
NAMESPACE = "application-autoscaling"
START = 1_800_000_000.0
"""A whole minute: 2027-01-15 08:00:00 UTC."""


class Refused(Exception):
    """An error as the client sees it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class ScalingInProcess:
    """`scaling.call("RegisterScalableTarget", ResourceId=…)`: namespace and dimension (reads of a table) are given
    unless the test gives others. `now` is the time of everything; `principal` is who calls, None with open access.
    """

    def __init__(self, folder: Path, table_delay: float = 0.0) -> None:
        self.now = START
        self.principal: Principal | None = None
        self.region = REGION
        self.database = InProcessDatabase(folder, lambda: self.now, table_delay, store="memory")
        storage = self.database.storage
        self._service = ApiService(NAMESPACE, make_registry, self._authenticate, storage, lambda: self.now)
        self._consumed: dict[tuple[str, str], Callable[[int], float]] = {}
        self._table_delay = table_delay
        self.scaler = self.new_scaler()

    def new_scaler(self) -> Scaler:
        """Another one, as after a restart."""
        self.scaler = Scaler(self.database.storage, lambda: self.now, self._metrics, self._table_delay)
        return self.scaler

    def close(self) -> None:
        self.database.close()

    def make_table(self, name: str = "rides", read: int = 5, write: int = 5, **more: Any) -> None:
        request = {
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": write},
        }
        status, answer = self.database.call("CreateTable", request | more)
        assert status == 200, answer

    def units(self, name: str = "rides", index: str | None = None) -> tuple[int, int]:
        """Read and write units."""
        table = self.database.call("DescribeTable", {"TableName": name})[1]["Table"]
        found = table
        if index is not None:
            found = next(each for each in table["GlobalSecondaryIndexes"] if each["IndexName"] == index)
        units = found["ProvisionedThroughput"]
        return units["ReadCapacityUnits"], units["WriteCapacityUnits"]

    def consume(
        self, units: float | Callable[[int], float], resource: str = "table/rides", on: str = READS
    ) -> None:
        """From now on, so many units a second; a function is asked with the time of each minute."""
        self._consumed[resource, on] = units if callable(units) else lambda _: units

    def let_pass(self, minutes: int) -> None:
        """One round of the scaler in each minute."""
        for _ in range(minutes):
            self.now = (self.now // 60 + 1) * 60 + 3
            self.round()

    def round(self) -> None:
        self.database.run(self.scaler.run_once())

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        model = _model().operation_model(operation)
        members = model.input_shape.members
        given = {"ServiceNamespace": "dynamodb", "ResourceId": "table/rides", "ScalableDimension": READS}
        if not operation.startswith("Describe"):
            arguments = {name: value for name, value in given.items() if name in members} | arguments
        elif "ServiceNamespace" in members:
            arguments = {"ServiceNamespace": "dynamodb"} | arguments
        body = create_serializer("json", include_validation=False).serialize_to_request(arguments, model)["body"]
        status, answer, headers = self.database.run(self._send(operation, body))
        raw = {"status_code": status, "headers": headers, "body": answer}
        parsed: dict[str, Any] = create_parser("json").parse(raw, model.output_shape)
        if status != 200:
            raise Refused(status, parsed["Error"]["Code"], parsed["Error"]["Message"])
        parsed.pop("ResponseMetadata")
        return parsed

    def refusal(self, operation: str, **arguments: Any) -> tuple[str, str]:
        """Code and message of a call that is refused."""
        with pytest.raises(Refused) as refused:
            self.call(operation, **arguments)
        assert refused.value.status == 400
        return refused.value.code, refused.value.message

    def register(self, least: int = 1, most: int = 100, **more: Any) -> str:
        answer = self.call("RegisterScalableTarget", MinCapacity=least, MaxCapacity=most, **more)
        return str(answer["ScalableTargetARN"])

    def track(self, goal: float = 70.0, name: str = "p", **more: Any) -> dict[str, Any]:
        """Puts a target-tracking policy; `settings` are more members of its configuration."""
        dimension = more.get("ScalableDimension", READS)
        side = "Write" if dimension.endswith("WriteCapacityUnits") else "Read"
        configuration = {
            "TargetValue": goal,
            "PredefinedMetricSpecification": {"PredefinedMetricType": f"DynamoDB{side}CapacityUtilization"},
        } | more.pop("settings", {})
        return self.call(
            "PutScalingPolicy",
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
            **more,
        )

    def activities(self, **filters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("DescribeScalingActivities", **filters)["ScalingActivities"]
        return found

    async def _send(self, operation: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        headers = {"x-amz-target": f"AnyScaleFrontendService.{operation}", "x-amz-date": "20270115T080000Z"}
        answer = self._service.answer(Request("POST", "/", headers, body, "127.0.0.1", "ID"))
        response = await answer if inspect.isawaitable(answer) else answer
        await asyncio.sleep(0)
        return response.status, response.body, {name.lower(): value for name, value in response.headers}

    def _authenticate(self, _: Request) -> Identity:
        return Identity(ACCOUNT, self.region, "AKIA", self.principal)

    def _metrics(self, _: ReadTransaction) -> Consumed:
        def consumed(place: Place, __: Scaled, start: float, end: float) -> dict[int, float]:
            use = self._consumed.get((place.resource, place.dimension), lambda _: 0.0)
            return {minute: 60 * use(minute) for minute in range(int(start), int(end), 60)}

        return consumed


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model(NAMESPACE)
