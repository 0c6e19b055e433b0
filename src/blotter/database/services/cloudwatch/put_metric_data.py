"""PutMetricData: samples of clients, checked and added to the points of their metrics.

A sample counts in the minute of its timestamp, also with a StorageResolution of a second. Everything is checked
before anything is added. Source: botocore's documentation of PutMetricData and MetricDatum; messages of AWS as
LocalStack (2025-09), moto and the issues cited in `checks` have them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from blotter.database.metric_math.queries import Metric as NamedMetric
from blotter.database.metric_math.samples import identity
from blotter.database.metrics.names import Metric
from blotter.database.metrics.points import Point, point, statistic_set
from blotter.database.metrics.series import put_points
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall, converted
from blotter.database.services.cloudwatch.errors import combination, invalid, joined, missing
from blotter.database.storage.protocol import WriteTransaction

MOST_METRICS: Final = 1000
MOST_VALUES: Final = 150
_LARGEST: Final = 2.0**360
_PAST: Final = 14 * 86_400
_FUTURE: Final = 2 * 3600
_STATISTIC_SET: Final = ("SampleCount", "Sum", "Minimum", "Maximum")


def put_metric_data(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    named = list(_data(call.arguments))
    if not named:
        raise missing("The parameter MetricData is required.")
    if len(named) > MOST_METRICS:
        raise invalid(f"The collection MetricData must not have a size greater than {MOST_METRICS}.")
    namespace = call.arguments["Namespace"]
    if namespace.startswith("AWS/"):
        raise invalid("The value AWS/ for parameter Namespace is invalid.")
    for check in (_exclusive, _values, _times):
        for path, datum in named:
            check(path, datum)
    late = [path for path, datum in named if not _is_recent(datum, call.now)]
    if late:
        text = "The parameter {}.Timestamp must specify a time within the past two weeks."
        raise invalid(joined([text.format(path) for path in late]))
    _add(call, tx, namespace, [datum for _, datum in named])
    return {}


def _data(arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each datum with the path that names it, those that belong to an entity too."""
    for number, datum in enumerate(arguments.get("MetricData", ()), 1):
        yield f"MetricData.member.{number}", datum
    for entity_number, entity in enumerate(arguments.get("EntityMetricData", ()), 1):
        for number, datum in enumerate(entity.get("MetricData", ()), 1):
            yield f"EntityMetricData.member.{entity_number}.MetricData.member.{number}", datum


def _exclusive(path: str, datum: dict[str, Any]) -> None:
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if "Counts" in datum and "Values" not in datum:
        raise combination(f"The parameter {path}.Counts requires the parameter {path}.Values.")
    if not given:
        raise missing(
            f"At least one of the parameters {path}.Value, {path}.Values or {path}.StatisticValues must be "
            "specified."
        )
    if "Value" in given and len(given) > 1:
        raise combination(
            f"The parameters {path}.Value and {path}.{given[1]} are mutually exclusive and you have specified "
            "both."
        )
    counts = datum.get("Counts")
    if counts is not None and len(counts) != len(datum["Values"]):
        raise invalid(f"The parameters {path}.Values and {path}.Counts must be of the same size.")
    for name in ("Values", "Counts"):
        if len(datum.get(name, ())) > MOST_VALUES:
            raise invalid(f"The collection {path}.{name} must not have a size greater than {MOST_VALUES}.")


def _values(path: str, datum: dict[str, Any]) -> None:
    if "Value" in datum:
        _number(f"{path}.Value", datum["Value"])
    for value in datum.get("Values", ()):
        _number(f"{path}.Values", value)
    for count in datum.get("Counts", ()):
        if not math.isfinite(count) or count < 0:
            raise _not_valid(f"{path}.Counts", count)
    if "StatisticValues" in datum:
        _statistic_set(f"{path}.StatisticValues", datum["StatisticValues"])


def _statistic_set(path: str, values: dict[str, float]) -> None:
    for name in _STATISTIC_SET:
        _number(f"{path}.{name}", values[name])
    if values["Maximum"] < values["Minimum"]:
        raise invalid(f"The parameter {path}.Maximum must be greater than {path}.Minimum.")
    if values["SampleCount"] < 0:
        raise invalid(f"The parameter {path}.SampleCount must be greater than 0.")
    if values["SampleCount"] == 0:
        raise invalid(f"The parameter {path}.SampleCount must not equal 0.")


def _number(path: str, value: float) -> None:
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise _not_valid(path, value)


def _not_valid(path: str, value: float) -> Exception:
    shown = {"nan": "NaN", "inf": "∞", "-inf": "-∞"}.get(str(value), str(value))
    return invalid(f"The value {shown} for parameter {path} is invalid.")


def _times(path: str, datum: dict[str, Any]) -> None:
    resolution = datum.get("StorageResolution", 60)
    if resolution not in (1, 60):
        raise invalid(f"The parameter {path}.StorageResolution must be a value in the set [ 1, 60 ].")


def _is_recent(datum: dict[str, Any], now: float) -> bool:
    at: float = datum.get("Timestamp", now)
    return -_PAST <= at - now <= _FUTURE


def _add(call: CloudWatchCall, tx: WriteTransaction, namespace: str, data: list[dict[str, Any]]) -> None:
    """Adds samples, those of one metric together."""
    points: dict[tuple[Metric, str], dict[int, Point]] = {}
    for datum in data:
        named = converted({"Namespace": namespace} | datum, NamedMetric)
        metric = identity(call.account, call.region, named)
        of_metric = points.setdefault((metric, datum.get("Unit", "None")), {})
        at = int(datum.get("Timestamp", call.now)) // 60 * 60
        for each in _points(at, datum):
            if at in of_metric:
                of_metric[at].add(each)
            else:
                of_metric[at] = each
    for (metric, unit), minutes in points.items():
        put_points(tx, metric, unit, [minutes[at] for at in sorted(minutes)], call.now)


def _points(at: int, datum: dict[str, Any]) -> Iterator[Point]:
    """The samples of a datum. A statistic set whose values are equal tells their distribution."""
    if "Value" in datum:
        yield point(at, [(datum["Value"], 1.0)])
    elif "StatisticValues" in datum:
        count, total, low, high = (datum["StatisticValues"][name] for name in _STATISTIC_SET)
        yield statistic_set(at, count, total, low, high)
    else:
        values = datum["Values"]
        counts = datum.get("Counts") or [1.0] * len(values)
        yield point(at, list(zip(values, counts, strict=True)))
