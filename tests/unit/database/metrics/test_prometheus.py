"""The text of /metrics, read back by Prometheus's own parser."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.http.origins import Origins
from blotter.database.metrics.cells import Series
from blotter.database.metrics.counting import Counters, series_name
from blotter.database.metrics.endpoint import MetricsEndpoint
from blotter.database.metrics.names import BLOTTER, DECLARED, DYNAMODB, Metric
from blotter.database.metrics.prometheus import encode, metric_name
from blotter.database.metrics.shared import SharedCounters
from blotter.database.metrics.totals import Total, Totals

ACCOUNT, REGION = "123456789012", "us-east-1"
ROOT = Path(__file__).parents[4]


class Clock:
    def __init__(self) -> None:
        self.now = 1_796_000_040.0

    def __call__(self) -> float:
        return self.now


class Server:
    def __init__(self, most_series: int = 1000) -> None:
        self.clock = Clock()
        self.shared = SharedCounters(2, ACCOUNT, REGION)
        self.counters = [Counters(self.shared.slot(n), ACCOUNT, REGION, self.clock) for n in range(2)]
        self.totals = Totals(self.shared, most_series)

    def next_minute(self) -> None:
        self.clock.now += 60
        for each in self.counters:
            each.finish_minute()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Samples by name and labels that are not empty, without account and region."""
        text, _ = encode(self.totals.now(), "")
        found = {}
        for family in parse(text.decode()):
            for sample in family.samples:
                labels = {key: value for key, value in sample.labels.items() if value}
                assert (labels.pop("account"), labels.pop("region")) == (ACCOUNT, REGION)
                found[sample.name, frozenset(labels.items())] = sample.value
        return found


def where(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def test_counters_rise_over_minutes_and_processes() -> None:
    server = Server()
    name = "blotter_throttled_requests_total", where(operation="GetItem", table="results")
    expected = 0
    for minute in range(7):
        for number, counters in enumerate(server.counters):
            for _ in range(minute + number):
                counters.add(
                    "ThrottledRequests", ACCOUNT, REGION, (("Operation", "GetItem"), ("TableName", "results"))
                )
            expected += minute + number
            assert server.samples().get(name, 0) == expected
        server.next_minute()
        server.totals.keep()
        server.shared.free(server.shared.ids(2))
        assert server.samples().get(name, 0) == expected


def test_times_are_histograms_in_seconds() -> None:
    server = Server()
    place = (("Operation", "Query"), ("TableName", "t"))
    key = series_name(DYNAMODB, "SuccessfulRequestLatency", ACCOUNT, REGION, place)
    slot = server.shared.slot(0)
    slot.open(int(server.clock.now // 60))
    series = Series(slot, key)
    milliseconds = (0.2, 0.3, 3, 30, 30_000)
    for sample in milliseconds:
        series.add(int(sample * 1e6))
    found = server.samples()
    name, labels = "blotter_successful_request_latency_seconds", where(operation="Query", table="t")
    assert found[f"{name}_count", labels] == 5
    assert found[f"{name}_sum", labels] == pytest.approx(sum(milliseconds) / 1000)
    buckets = {
        float(dict(label)["le"]): value
        for (sample, label), value in found.items()
        if sample == f"{name}_bucket" and dict(label)["table"] == "t"
    }
    assert [buckets[bound] for bound in (0.0005, 0.0025, 0.005, 0.025, 0.05, 10.0, math.inf)] == [
        2,
        2,
        3,
        3,
        4,
        4,
        5,
    ]
    assert len(buckets) == 15


def test_levels_are_gauges_and_the_last_counts() -> None:
    server = Server()
    place = (("TableName", "results"),)
    server.counters[0].add("ProvisionedReadCapacityUnits", ACCOUNT, REGION, place, 100)
    server.next_minute()
    server.counters[0].add("ProvisionedReadCapacityUnits", ACCOUNT, REGION, place, 20)
    server.counters[0].add("ArchiveLag", sample=2_500_000, namespace=BLOTTER)
    found = server.samples()
    assert found["blotter_provisioned_read_capacity_units", where(table="results")] == 20
    assert found["blotter_archive_lag_seconds", where()] == 2.5


def test_hostile_names_are_escaped() -> None:
    hostile = 'a"b\\c\nd} 1\n# TYPE x'
    totals = {Metric(ACCOUNT, REGION, DYNAMODB, "UserErrors"): Total(0, 1, 1)}
    totals[Metric(hostile, REGION, DYNAMODB, "ConditionalCheckFailedRequests", (("TableName", hostile),))] = Total(
        0, 1, 7
    )
    text, content_type = encode(totals, "text/plain")
    assert content_type.startswith("text/plain")
    families = {family.name: family for family in parse(text.decode())}
    (sample,) = families["blotter_conditional_check_failed_requests"].samples
    assert (sample.labels["table"], sample.labels["account"], sample.value) == (hostile, hostile, 7)
    assert families["blotter_user_errors"].type == "counter"
    assert all(family.documentation for family in families.values())


def test_openmetrics_for_those_that_ask_for_it() -> None:
    server = Server()
    server.counters[0].add("UserErrors")
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    text, content_type = encode(server.totals.now(), accept)
    assert content_type.startswith("application/openmetrics-text")
    assert [family.name for family in parse_openmetrics(text.decode())] == ["blotter_user_errors"]


def test_every_declared_metric_has_a_valid_and_unique_name() -> None:
    totals = {}
    for namespace, name in DECLARED:
        totals[Metric(ACCOUNT, REGION, namespace, name)] = Total(1, 1, 1, (1.0,) * 15)
    text, _ = encode(totals, "")
    families = list(parse(text.decode()))
    assert len({family.name for family in families}) == len(families) == len(DECLARED)
    assert metric_name("TimeToLiveDeletedItemCount") == "blotter_time_to_live_deleted_item_count"


def test_series_are_bounded() -> None:
    server = Server(most_series=3)
    for number in range(5):
        server.counters[0].add("ConditionalCheckFailedRequests", ACCOUNT, REGION, (("TableName", f"t{number}"),))
    assert len(server.samples()) == 3
    assert server.totals.left_out == 2


def test_requests_to_the_endpoint() -> None:
    endpoint = MetricsEndpoint(dict, Origins("127.0.0.1"))

    def send(method: str = "GET", target: str = "/metrics", **headers: str) -> Response:
        async def answer() -> Response:
            answer = endpoint(Request(method, target, {"host": "127.0.0.1:9464", **headers}, b""))
            return await answer if isinstance(answer, Pending) else answer

        return asyncio.run(answer())

    assert send().status == send(target="/metrics?x=1").status == 200
    assert send("HEAD").status == 200
    assert dict(send().headers)["Content-Type"].startswith("text/plain")
    assert send(target="/").status == 404
    assert send("POST").status == 405
    assert send(host="evil.example").status == 403
    assert send(origin="http://evil.example").status == 403


def expressions(node: Any) -> Iterator[str]:
    """Every query of a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            yield from expressions(value)
    elif isinstance(node, list):
        for each in node:
            yield from expressions(each)


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    totals = {
        Metric(ACCOUNT, REGION, namespace, name): Total(1, 1, 1, (1.0,) * 15) for namespace, name in DECLARED
    }
    text, _ = encode(totals, "")
    known = {sample.name for family in parse(text.decode()) for sample in family.samples}
    shown = {name for each in expressions(dashboard) for name in re.findall(r"blotter_\w+", each)}
    assert len(shown) > 15
    assert shown <= known
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
