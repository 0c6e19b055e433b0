"""The functions of metric math, by name.

Each takes evaluated arguments, the window of the request and the period of series that have none of their own. One
of a single series that "reduces" it (AVG, MAX) returns a number, of an array a series over its members. Missing
values count as 0 for AVG and STDDEV, and not at all for the others. Source: "Functions supported for metric math"
and "Using IF expressions" in CloudWatch's user guide.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from blotter.database.metric_math.series import Array, ExpressionError, Series, Value, Window

Arguments = Sequence[Value]
Function = Callable[[Arguments, Window, int], Value]

KEYWORDS: Final = frozenset({"REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MIN", "MAX", "SUM"})
UNSUPPORTED: Final = frozenset(
    {"ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "LAMBDA", "SEARCH", "SERVICE_QUOTA"}
)
"""They need models, rules or services that are not here."""


def _wrong(name: str) -> ExpressionError:
    return ExpressionError(f"The arguments of {name} are not valid")


def _finite(values: dict[int, float]) -> dict[int, float]:
    return {at: number for at, number in values.items() if math.isfinite(number)}


# Functions of each series


def _for_each(name: str, change: Callable[[Series, Window], dict[int, float]]) -> Function:
    def call(arguments: Arguments, window: Window, _: int) -> Value:
        if len(arguments) != 1:
            raise _wrong(name)
        (value,) = arguments
        if isinstance(value, Series):
            return value.with_values(_finite(change(value, window)))
        if isinstance(value, Array):
            return Array(tuple(each.with_values(_finite(change(each, window))) for each in value.members))
        raise _wrong(name)

    return call


def _of_numbers(change: Callable[[float], float]) -> Callable[[Series, Window], dict[int, float]]:
    return lambda series, _: {at: change(number) for at, number in series.values.items()}


def _of_neighbors(
    change: Callable[[int, float, int, float], float],
) -> Callable[[Series, Window], dict[int, float]]:
    """A function of each point and the one before it, whenever that was; the first point has none."""

    def changed(series: Series, _: Window) -> dict[int, float]:
        pairs = itertools.pairwise(series.in_order())
        return {at: change(before, old, at, new) for (before, old), (at, new) in pairs}

    return changed


def _running_sum(series: Series, _: Window) -> dict[int, float]:
    total, sums = 0.0, {}
    for at, number in series.in_order():
        total += number
        sums[at] = total
    return sums


def _of_time(part: Callable[[datetime], float]) -> Callable[[Series, Window], dict[int, float]]:
    """A value for every period of the window, whether the series has one there or not."""
    return lambda series, window: {at: part(datetime.fromtimestamp(at, UTC)) for at in window.grid(series.period)}


def _logarithm(of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda number: of(number) if number > 0 else math.nan


# Functions that reduce


def _average(numbers: Sequence[float], expected: int) -> float:
    return sum(numbers) / expected if expected else math.nan


def _deviation(numbers: Sequence[float], expected: int) -> float:
    if not expected:
        return math.nan
    mean = sum(numbers) / expected
    missing = (expected - len(numbers)) * mean * mean
    return math.sqrt((sum((number - mean) ** 2 for number in numbers) + missing) / expected)


_REDUCTIONS: dict[str, Callable[[Sequence[float], int], float]] = {
    "AVG": _average,
    "DATAPOINT_COUNT": lambda numbers, _: float(len(numbers)),
    "MAX": lambda numbers, _: max(numbers, default=math.nan),
    "MIN": lambda numbers, _: min(numbers, default=math.nan),
    "STDDEV": _deviation,
    "SUM": lambda numbers, _: math.fsum(numbers) if numbers else math.nan,
}


def _reduction(name: str) -> Function:
    reduce = _REDUCTIONS[name]

    def call(arguments: Arguments, window: Window, period: int) -> Value:
        if len(arguments) != 1:
            raise _wrong(name)
        (value,) = arguments
        if isinstance(value, Series):
            expected = max(len(window.grid(value.period)), len(value.values))
            return reduce([number for _, number in value.in_order()], expected)
        if not isinstance(value, Array):
            raise _wrong(name)
        times = sorted(set().union(*(series.values for series in value.members)))
        values = {
            at: reduce([series.values[at] for series in value.members if at in series.values], len(value.members))
            for at in times
        }
        shortest = min((series.period for series in value.members), default=period)
        return Series(_finite(values), shortest)

    return call


# Functions of arrays


def _members(name: str, arguments: Arguments, least: int, most: int) -> tuple[Series, ...]:
    if not least <= len(arguments) <= most or not isinstance(arguments[0], Array):
        raise _wrong(name)
    return arguments[0].members


def _whole(name: str, value: Value, least: int) -> int:
    if isinstance(value, (str, Series, Array)) or value != value // 1 or value < least:
        raise _wrong(name)
    return int(value)


def _first(arguments: Arguments, _: Window, period: int) -> Value:
    members = _members("FIRST", arguments, 1, 1)
    return members[0] if members else Series({}, period)


def _last(arguments: Arguments, _: Window, period: int) -> Value:
    members = _members("LAST", arguments, 1, 1)
    return members[-1] if members else Series({}, period)


def _metric_count(arguments: Arguments, _: Window, __: int) -> Value:
    return float(len(_members("METRIC_COUNT", arguments, 1, 1)))


def _remove_empty(arguments: Arguments, _: Window, __: int) -> Value:
    return Array(tuple(series for series in _members("REMOVE_EMPTY", arguments, 1, 1) if series.values))


def _slice(arguments: Arguments, _: Window, __: int) -> Value:
    members = _members("SLICE", arguments, 2, 3)
    start = _whole("SLICE", arguments[1], 0)
    end = _whole("SLICE", arguments[2], start) if len(arguments) == 3 else len(members)
    return Array(members[start:end])


def _sort(arguments: Arguments, _: Window, __: int) -> Value:
    members = _members("SORT", arguments, 3, 4)
    by, order = arguments[1], arguments[2]
    if by not in ("AVG", "MIN", "MAX", "SUM") or order not in ("ASC", "DESC"):
        raise _wrong("SORT")
    limit = _whole("SORT", arguments[3], 1) if len(arguments) == 4 else len(members)
    reduce = _REDUCTIONS[str(by)]
    ranked = [(reduce(list(series.values.values()), len(series.values)), series) for series in members]
    # What has no values comes last in either order.
    known = [entry for entry in ranked if not math.isnan(entry[0])]
    known.sort(key=lambda entry: entry[0], reverse=order == "DESC")
    empty = [entry for entry in ranked if math.isnan(entry[0])]
    return Array(tuple(series for _, series in [*known, *empty][:limit]))


# The rest


def _period(arguments: Arguments, _: Window, __: int) -> Value:
    if len(arguments) != 1 or not isinstance(arguments[0], Series) or not arguments[0].is_metric:
        raise _wrong("PERIOD")
    return float(arguments[0].period)


def _time_series(arguments: Arguments, window: Window, period: int) -> Value:
    if len(arguments) != 1 or isinstance(arguments[0], (str, Series, Array)):
        raise _wrong("TIME_SERIES")
    return Series(_finite(dict.fromkeys(window.grid(period), arguments[0])), period)


def _if(arguments: Arguments, _: Window, period: int) -> Value:
    if not 2 <= len(arguments) <= 3 or any(isinstance(argument, (str, Array)) for argument in arguments):
        raise _wrong("IF")
    condition, then = arguments[0], arguments[1]
    otherwise = arguments[2] if len(arguments) == 3 else None
    if not isinstance(condition, Series):
        chosen = then if condition else otherwise
        return Series({}, period) if chosen is None else chosen
    values: dict[int, float] = {}
    for at, number in condition.values.items():
        if number:
            values[at] = _at(then, at, 0.0)
        elif otherwise is not None:
            values[at] = _at(otherwise, at, math.nan)
    return Series(_finite(values), condition.period, condition.label)


def _at(value: Value, at: int, missing: float) -> float:
    if isinstance(value, Series):
        return value.values.get(at, missing)
    if isinstance(value, (str, Array)):
        raise _wrong("IF")
    return value


def _fill(arguments: Arguments, window: Window, _: int) -> Value:
    if len(arguments) != 2:
        raise _wrong("FILL")
    value, filler = arguments
    if isinstance(filler, Array) or (isinstance(filler, str) and filler not in ("REPEAT", "LINEAR")):
        raise _wrong("FILL")
    if isinstance(value, Series):
        return _filled(value, filler, window)
    if isinstance(value, Array):
        return Array(tuple(_filled(series, filler, window) for series in value.members))
    raise _wrong("FILL")


def _filled(series: Series, filler: float | str | Series, window: Window) -> Series:
    values = dict(series.values)
    points = list(series.in_order())
    position = 0
    for at in window.grid(series.period):
        while position < len(points) and points[position][0] <= at:
            position += 1
        if at in values:
            continue
        before = points[position - 1] if position else None
        after = points[position] if position < len(points) else None
        number = _filling(filler, at, before, after)
        if math.isfinite(number):
            values[at] = number
    return series.with_values(values)


def _filling(
    filler: float | str | Series, at: int, before: tuple[int, float] | None, after: tuple[int, float] | None
) -> float:
    """What a missing value is filled with; NaN for nothing."""
    if isinstance(filler, Series):
        return filler.values.get(at, math.nan)
    if not isinstance(filler, str):
        return filler
    if before is None or (filler == "LINEAR" and after is None):
        return math.nan
    if filler == "REPEAT" or after is None:
        return before[1]
    return before[1] + (after[1] - before[1]) * (at - before[0]) / (after[0] - before[0])


FUNCTIONS: Final[dict[str, Function]] = {
    **{name: _reduction(name) for name in _REDUCTIONS},
    **{
        name: _for_each(name, change)
        for name, change in {
            "ABS": _of_numbers(abs),
            "CEIL": _of_numbers(math.ceil),
            "FLOOR": _of_numbers(math.floor),
            "LOG": _of_numbers(_logarithm(math.log)),
            "LOG10": _of_numbers(_logarithm(math.log10)),
            "DIFF": _of_neighbors(lambda before, old, at, new: new - old),  # noqa: ARG005
            "DIFF_TIME": _of_neighbors(lambda before, old, at, new: float(at - before)),  # noqa: ARG005
            "RATE": _of_neighbors(lambda before, old, at, new: (new - old) / (at - before)),
            "RUNNING_SUM": _running_sum,
            "MINUTE": _of_time(lambda moment: moment.minute),
            "HOUR": _of_time(lambda moment: moment.hour),
            "DAY": _of_time(lambda moment: moment.isoweekday()),
            "DATE": _of_time(lambda moment: moment.day),
            "MONTH": _of_time(lambda moment: moment.month),
            "YEAR": _of_time(lambda moment: moment.year),
            "EPOCH": _of_time(lambda moment: moment.timestamp()),
        }.items()
    },
    "FILL": _fill,
    "FIRST": _first,
    "IF": _if,
    "LAST": _last,
    "METRIC_COUNT": _metric_count,
    "PERIOD": _period,
    "REMOVE_EMPTY": _remove_empty,
    "SLICE": _slice,
    "SORT": _sort,
    "TIME_SERIES": _time_series,
}
