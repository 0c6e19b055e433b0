"""The labels of results: given, dynamic or made up.

A metric without a label is called by its name, with the statistic and the period where these are not the same in
all queries; an expression by its id; the members of an array that an expression makes by the expression's label
and their own. `${…}` in a label stands for something about the values or the metric. Source: LocalStack's
recordings of AWS (2025-09); "Use dynamic labels" in CloudWatch's user guide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from blotter.database.metric_math.queries import MetricDataQuery
from blotter.database.metric_math.series import Series
from blotter.database.model.timestamps import iso
from blotter.database.services.cloudwatch.calls import CloudWatchCall
from blotter.database.services.cloudwatch.errors import validation

_DYNAMIC: Final = re.compile(r"\$\{([A-Z_]+|PROP\('([^']{1,300})'\))\}")
_MOST: Final = 5
_ZONE: Final = re.compile(r"([+-])(\d{2})(\d{2})", re.ASCII)


class Labels:
    """The labels of one request."""

    def __init__(self, call: CloudWatchCall, queries: Sequence[MetricDataQuery]) -> None:
        self._call = call
        self._zone = _zone(call.arguments.get("LabelOptions", {}).get("Timezone"))
        stats = [query.metric_stat for query in queries if query.metric_stat is not None]
        self._shows_stat = len({stat.stat for stat in stats}) > 1
        self._shows_period = len({stat.period for stat in stats}) > 1

    def label(self, query: MetricDataQuery, series: Series, member: str) -> str:
        """The label of a series of a query; `member` is its own in an array, "" outside of one."""
        default = self._default(query)
        text = default if query.label is None else self._filled(query.label, query, series, default)
        return f"{text} {member}".strip() if member else text

    def _default(self, query: MetricDataQuery) -> str:
        stat = query.metric_stat
        if stat is None:
            return query.id
        parts = [stat.metric.metric_name]
        if self._shows_stat:
            parts.append(stat.stat)
        if self._shows_period:
            parts.append(str(stat.period))
        return " ".join(parts)

    def _filled(self, label: str, query: MetricDataQuery, series: Series, default: str) -> str:
        if "${" not in label:
            return label
        if len(_DYNAMIC.findall(label)) > _MOST:
            raise validation(f"A label can have at most {_MOST} dynamic values.")

        def value(match: re.Match[str]) -> str:
            if match[1] == "LABEL":
                return default
            if match[2] is not None:
                return self._property(match[2], query)
            of = _OF_VALUES.get(match[1])
            if of is not None:
                return _number(of(series)) if series.values else ""
            at = _OF_TIMES.get(match[1])
            if at is None:
                return match[0]
            return self._moment(at(series)) if series.values else ""

        return _DYNAMIC.sub(value, label)

    def _property(self, name: str, query: MetricDataQuery) -> str:
        stat = query.metric_stat
        known = {"AccountId": self._call.account, "Region": self._call.region}
        if stat is not None:
            known |= {"MetricName": stat.metric.metric_name, "Namespace": stat.metric.namespace}
            known |= {"Period": str(stat.period), "Stat": stat.stat}
            known |= {f"Dim.{name}": value for name, value in stat.metric.by_name}
        return known.get(name, "")

    def _moment(self, seconds: int) -> str:
        if self._zone is None:
            return iso(seconds)
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._zone).isoformat()


def _zone(text: str | None) -> timezone | None:
    """The zone of `+0130`. Raises ValidationError."""
    if text is None:
        return None
    match = _ZONE.fullmatch(text)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise validation(f"The value {text[:20]} for parameter LabelOptions.Timezone is invalid.")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def _number(value: float) -> str:
    return str(int(value)) if value == value // 1 and abs(value) < 1e15 else f"{value:.6g}"


def _first(series: Series) -> float:
    return series.values[min(series.values)]


def _last(series: Series) -> float:
    return series.values[max(series.values)]


_OF_VALUES: Final[dict[str, Callable[[Series], float]]] = {
    "AVG": lambda series: math.fsum(series.values.values()) / len(series.values),
    "DATAPOINT_COUNT": lambda series: float(len(series.values)),
    "FIRST": _first,
    "FIRST_LAST_RANGE": lambda series: abs(_last(series) - _first(series)),
    "LAST": _last,
    "MAX": lambda series: max(series.values.values()),
    "MIN": lambda series: min(series.values.values()),
    "MIN_MAX_RANGE": lambda series: max(series.values.values()) - min(series.values.values()),
    "SUM": lambda series: math.fsum(series.values.values()),
}
_OF_TIMES: Final[dict[str, Callable[[Series], int]]] = {
    "FIRST_TIME": lambda series: min(series.values),
    "LAST_TIME": lambda series: max(series.values),
    "MAX_TIME": lambda series: max(series.values, key=series.values.__getitem__),
    "MIN_TIME": lambda series: min(series.values, key=series.values.__getitem__),
}
