"""The server's metrics in the formats of Prometheus and OpenMetrics, as prometheus-client writes them.

    # HELP blotter_consumed_read_capacity_units_total Read units consumed
    # TYPE blotter_consumed_read_capacity_units_total counter
    blotter_consumed_read_capacity_units_total{account="123456789012",region="us-east-1",table="results"} 17.5

Names follow from those of CloudWatch: `SuccessfulRequestLatency` is `blotter_successful_request_latency_seconds`.
Events are counters, levels are gauges, times are histograms in seconds. prometheus-client is imported when the
first request asks for it. Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from blotter.database.metrics.names import (
    DECLARED,
    DELEGATED,
    INDEX,
    OPERATION,
    REGION,
    STREAM,
    TABLE,
    VECTOR_INDEX,
    Declared,
    Metric,
)
from blotter.database.metrics.totals import BOUNDS, Total, is_level, is_time

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_LABELS: Final = {
    TABLE: "table",
    INDEX: "index",
    VECTOR_INDEX: "vector_index",
    OPERATION: "operation",
    STREAM: "stream",
    REGION: "receiving_region",
    DELEGATED: "delegated_operation",
}
_UNITS: Final = {"Milliseconds": ("_seconds", 0.001), "Seconds": ("_seconds", 1.0), "Bytes": ("_bytes", 1.0)}
"""Unit → what a name ends with, and what values are multiplied by."""


def encode(totals: dict[Metric, Total], accept: str) -> tuple[bytes, str]:
    """The text of all metrics and its content type, in the format that the Accept header prefers."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Families(totals))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Families:
    """A collector of prometheus-client."""

    def __init__(self, totals: dict[Metric, Total]) -> None:
        self._totals = totals

    def describe(self) -> Iterable[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        by_name: dict[tuple[str, str], list[tuple[Metric, Total]]] = {}
        for metric, total in self._totals.items():
            by_name.setdefault((metric.namespace, metric.name), []).append((metric, total))
        for name, known in DECLARED.items():
            if name in by_name:
                yield _family(known, by_name[name])


def _family(known: Declared, series: list[tuple[Metric, Total]]) -> Family:
    from prometheus_client import core

    ending, factor = _UNITS.get(known.unit, ("", 1.0))
    name = metric_name(known.name)
    if ending and not name.endswith(ending):
        name += ending
    labels = ["account", "region", *(_LABELS[each] for each in _dimensions(known))]
    family: Any
    if is_time(known):
        family = core.HistogramMetricFamily(name, known.help, labels=labels)
        for metric, total in series:
            buckets = _cumulative(total.counts, factor)
            family.add_metric(_values(known, metric), buckets, total.total * factor)
    elif is_level(known):
        family = core.GaugeMetricFamily(name, known.help, labels=labels)
        for metric, total in series:
            family.add_metric(_values(known, metric), total.total * factor)
    else:
        family = core.CounterMetricFamily(name, known.help, labels=labels)
        for metric, total in series:
            family.add_metric(_values(known, metric), total.total * factor)
    result: Family = family
    return result


def metric_name(name: str) -> str:
    """`ConsumedReadCapacityUnits` → `blotter_consumed_read_capacity_units`."""
    return "blotter_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _dimensions(known: Declared) -> list[str]:
    """Every dimension that a metric may have. One that a series has not is an empty label, as good as none."""
    return sorted({each for where in known.dimensions for each in where})


def _values(known: Declared, metric: Metric) -> list[str]:
    return [metric.account, metric.region, *(metric.value_of(each) or "" for each in _dimensions(known))]


def _cumulative(counts: Iterable[float], factor: float) -> list[tuple[str, float]]:
    bounds = [*(f"{bound * factor:g}" for bound in BOUNDS), "+Inf"]
    seen = 0.0
    found = []
    for bound, count in zip(bounds, counts, strict=True):
        seen += count
        found.append((bound, seen))
    return found
