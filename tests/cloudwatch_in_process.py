"""CloudWatch without a socket: calls go through the service over a store in memory, at a time that the test sets.

botocore serializes the calls and parses the answers, in any of the three protocols, so what a test sees is what
boto3 would show. `evaluate()` evaluates alarms as the background process does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote_plus

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from blotter.database.background.alarms import AlarmEvaluator
from blotter.database.http.messages import Request, Response
from blotter.database.metrics.series import MetricReader
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal
from blotter.database.services.api import ApiService
from blotter.database.services.cloudwatch.registry import make_registry
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.protocol import Storage

T = TypeVar("T")

ACCOUNT, REGION = "123456789012", "us-east-1"
PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")
NOON = 1_796_040_000
"""2026-11-30T12:00:00Z."""


class Refused(Exception):
    """An error as the client sees it: `type` as the newer protocols name it, `code` as boto3 shows it."""

    def __init__(self, status: int, code: str, message: str, error_type: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.type = status, code, message, error_type


class CloudWatchInProcess:
    """`cloudwatch.call("ListMetrics", Namespace="N")`; `now` is the time, `caller` who calls, None under open
    access."""

    def __init__(self, protocol: str = "smithy-rpc-v2-cbor", storage: Storage | None = None) -> None:
        self.now: float = NOON
        self.caller: Principal | None = None
        self.protocol = protocol
        self.region = REGION
        self.storage = storage or MemoryStorage(OrderedMaps())
        reader = MetricReader(None, lambda: self.now)
        self._service = ApiService(
            "monitoring", lambda: make_registry(reader), self._authenticate, self.storage, lambda: self.now
        )
        self.evaluator = AlarmEvaluator(self.storage, reader, lambda: self.now)
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.run_until_complete(self.storage.close())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def evaluate(self) -> int:
        """What the background process does every few seconds; returns how many alarms changed."""
        return self.run(self.evaluator.run_once())

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        status, headers, body = self.raw(operation, arguments)
        model = _model().operation_model(operation)
        raw = {"status_code": status, "headers": headers, "body": body}
        parsed: dict[str, Any] = create_parser(self.protocol).parse(raw, model.output_shape)
        if status != 200:
            error = parsed["Error"]
            raise Refused(status, error["Code"], error.get("Message", ""), error.get("QueryErrorCode", ""))
        parsed.pop("ResponseMetadata", None)
        return parsed

    def refusal(self, operation: str, **arguments: Any) -> tuple[str, str]:
        """Code and message of a call that is refused."""
        try:
            self.call(operation, **arguments)
        except Refused as error:
            return error.code, error.message
        raise AssertionError(f"{operation} was not refused")

    def raw(self, operation: str, arguments: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        model = _model().operation_model(operation)
        serialized = _serializer(self.protocol).serialize_to_request(arguments, model)
        body = serialized["body"]
        if isinstance(body, dict):
            body = "&".join(f"{quote_plus(name)}={quote_plus(str(value))}" for name, value in body.items())
        headers = {name.lower(): value for name, value in serialized["headers"].items()}
        headers |= {"user-agent": "test"}
        return self.send(serialized["url_path"], headers, body if isinstance(body, bytes) else body.encode())

    def send(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        answer = self.run(self._answered(Request("POST", path, headers, body, "127.0.0.1", "ID")))
        return answer.status, {name.lower(): value for name, value in answer.headers}, answer.body

    async def _answered(self, request: Request) -> Response:
        answer = self._service.answer(request)
        return answer if isinstance(answer, Response) else await answer

    def _authenticate(self, _: Request) -> Identity:
        return Identity(ACCOUNT, self.region, "AKIA", self.caller)

    # What many tests do

    def put(self, name: str, *values: float, at: float | None = None, **more: Any) -> None:
        """Publishes samples of a metric in the namespace N."""
        datum = {"MetricName": name, "Values": list(values), "Timestamp": self.now if at is None else at} | more
        self.call("PutMetricData", Namespace="N", MetricData=[datum])

    def values(self, *queries: dict[str, Any], minutes: int = 5, **more: Any) -> dict[str, list[float]]:
        """The values of queries over the last minutes, the oldest first, by the ids of the queries."""
        arguments = {"StartTime": self.now - 60 * minutes, "EndTime": self.now, "ScanBy": "TimestampAscending"}
        answer = self.call("GetMetricData", MetricDataQueries=list(queries), **(arguments | more))
        return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}

    def alarm(self, name: str = "busy", **settings: Any) -> None:
        """Makes an alarm on the sum of the metric `m`, or gives it other settings."""
        usual = {"Namespace": "N", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
        usual |= {"Threshold": 10.0, "ComparisonOperator": "GreaterThanThreshold"}
        given = {key: value for key, value in (usual | settings).items() if value is not None}
        self.call("PutMetricAlarm", AlarmName=name, **given)

    def described(self, name: str = "busy") -> dict[str, Any]:
        (alarm,) = self.call("DescribeAlarms", AlarmNames=[name])["MetricAlarms"]
        assert isinstance(alarm, dict)
        return alarm

    def history(self, **arguments: Any) -> list[tuple[str, dict[str, Any]]]:
        """Summaries and data, the newest first."""
        items = self.call("DescribeAlarmHistory", **arguments)["AlarmHistoryItems"]
        return [(item["HistorySummary"], json.loads(item["HistoryData"])) for item in items]


def metric(identifier: str, name: str, stat: str = "Sum", period: int = 60, **more: Any) -> dict[str, Any]:
    """A query of a metric in the namespace N."""
    stated: dict[str, Any] = {"Metric": {"Namespace": "N", "MetricName": name}, "Period": period, "Stat": stat}
    if "Unit" in more:
        stated["Unit"] = more.pop("Unit")
    return {"Id": identifier, "MetricStat": stated} | more


def expression(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    return {"Id": identifier, "Expression": text} | more


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("cloudwatch")


@cache
def _serializer(protocol: str) -> Any:
    return create_serializer(protocol, include_validation=False)
