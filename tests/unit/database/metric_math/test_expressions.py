"""Metric math: AWS's own examples, precedence, and what is refused.

Examples: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.metric_math.evaluation import evaluate
from blotter.database.metric_math.expressions import functions_in, names_in, parse
from blotter.database.metric_math.series import Array, ExpressionError, Series, Value, Window

NOTHING = None
MONDAY = 1_795_996_800
"""2026-11-30T00:00:00Z."""


def series(*values: float | None, label: str = "m") -> Series:
    points = {MONDAY + 60 * n: float(value) for n, value in enumerate(values) if value is not None}
    return Series(points, 60, label, is_metric=True)


class Scope:
    """Five minutes in which some metrics have values."""

    def __init__(self, **known: Series) -> None:
        self.known = known
        self.window = Window(MONDAY, MONDAY + 300)
        self.period = 60

    def resolve(self, name: str) -> Value:
        if name not in self.known:
            raise ExpressionError(f"ID '{name}' not found")
        return self.known[name]

    def metrics(self, part: str) -> Array:
        return Array(tuple(each for name, each in self.known.items() if part in name))

    def spend(self, points: int) -> None:
        assert points >= 0


def value(text: str, **known: Series) -> Any:
    """A number, or the five values of a series; a list of them for an array."""
    found = evaluate(parse(text), Scope(**known))
    if isinstance(found, Array):
        return [_values(each) for each in found.members]
    return _values(found) if isinstance(found, Series) else found


def _values(of: Series) -> list[float | None]:
    return [of.values.get(MONDAY + 60 * n) for n in range(5)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, None, None]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, None, None]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, None]),
        ("IF(metric1, metric2)", [30, 0, None, None, None]),
        ("IF(1, metric2, metric3)", [30, None, 0, 0, 30]),
        ("IF(0, metric2, metric3)", [0, 0, 20, None, 20]),
        ("IF(0, metric2)", [None] * 5),
        ("IF(metric2 > 10, 1, 2)", [1, None, 2, 2, 1]),
    ],
)
def test_if_is_what_the_tables_of_the_guide_say(text: str, expected: list[float | None]) -> None:
    known = {
        "metric1": series(1, 1, 0, 0, NOTHING),
        "metric2": series(30, NOTHING, 0, 0, 30),
        "metric3": series(0, 0, 20, NOTHING, 20),
    }
    assert value(text, **known) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(metric1 < metric2)", [0, 0, 1, 0, None]),
        ("(metric1 >= 30)", [1, 0, 0, 0, None]),
        ("(metric1 > 15 AND metric2 > 15)", [1, 0, 0, 0, None]),
        ("metric1 > 15 && metric2 > 15", [1, 0, 0, 0, None]),
        ("metric1 > 15 OR metric2 > 15", [1, 1, 1, 0, None]),
        ("metric1 == 20 || metric2 != 20", [0, 1, 0, 0, None]),
    ],
)
def test_comparisons_are_what_the_guide_says(text: str, expected: list[float | None]) -> None:
    assert value(text, metric1=series(30, 20, 0, 0), metric2=series(20, NOTHING, 20, NOTHING)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("100 / 5 / 2", 10),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("--2", 2),
        ("1 < 2 AND 2 < 1 OR 1", 1),
        ("1e3 + .5", 1000.5),
        ("SUM(a)", 60),
        ("AVG(a)", 12),  # Missing values are 0.
        ("DATAPOINT_COUNT(a)", 3),
        ("MIN(a)", 10),
        ("MAX(a)", 30),
        ("STDDEV(a)", 11.661903789690601),
        ("PERIOD(a)", 60),
        ("METRIC_COUNT([a, b])", 2),
    ],
)
def test_numbers(text: str, expected: float) -> None:
    assert value(text, a=series(10, 20, 30), b=series(1)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", [11, 20, 33, 4, None]),
        ("5 * a", [50, 100, 150, None, None]),
        ("a / b", [10, None, 10, 0, None]),  # Division by zero drops the point.
        ("a - AVG(a)", [-2, 8, 18, None, None]),
        ("SUM([a, b])", [11, 20, 33, 4, None]),
        ("AVG([a, b])", [5.5, 10, 16.5, 2, None]),
        ("MAX([a, b])", [10, 20, 30, 4, None]),
        ("MIN([a, b])", [1, 20, 3, 4, None]),
        ("DATAPOINT_COUNT([a, b])", [2, 1, 2, 1, None]),
        ("SUM(100/[a, b])", [110, 5, 100 / 30 + 100 / 3, 25, None]),
        ("SUM(-[a, b])", [-11, -20, -33, -4, None]),
        ("SUM(METRICS())", [11, 20, 33, 4, None]),
        ('SUM(METRICS("a"))', [10, 20, 30, None, None]),
        ("SUM([METRICS('a'), METRICS('b')])", [11, 20, 33, 4, None]),
        ("ABS(b - a)", [9, 20, 27, 4, None]),
        ("CEIL(a / 3)", [4, 7, 10, None, None]),
        ("FLOOR(a / 3)", [3, 6, 10, None, None]),
        ("LOG10(a * 10)", [2, 2.3010299956639813, 2.4771212547196626, None, None]),
        ("LOG(a - 10)", [None, 2.302585092994046, 2.995732273553991, None, None]),
        ("DIFF(b)", [None, None, 2, 1, None]),
        ("DIFF_TIME(b)", [None, None, 120, 60, None]),
        ("RATE(b)", [None, None, 2 / 120, 1 / 60, None]),
        ("RUNNING_SUM(a)", [10, 30, 60, None, None]),
        ("FILL(b, 0)", [1, 0, 3, 4, 0]),
        ("FILL(b, REPEAT)", [1, 1, 3, 4, 4]),
        ("FILL(b, LINEAR)", [1, 2, 3, 4, None]),
        ("FILL(b, a)", [1, 20, 3, 4, None]),
        ("FILL(b, MIN(b))", [1, 1, 3, 4, 1]),
        ("TIME_SERIES(5 * AVG(a))", [60] * 5),
        ("MINUTE(a)", [0, 1, 2, 3, 4]),
        ("HOUR(a)", [0] * 5),
        ("DAY(a)", [1] * 5),
        ("DATE(a)", [30] * 5),
        ("MONTH(a)", [11] * 5),
        ("YEAR(a)", [2026] * 5),
        ("EPOCH(a) - 1795996800", [0, 60, 120, 180, 240]),
        ("FIRST(SORT(METRICS(), AVG, DESC))", [10, 20, 30, None, None]),
        ("LAST(SORT(METRICS(), AVG, DESC))", [1, None, 3, 4, None]),
        ("IF(FIRST(SORT(METRICS(), MAX, DESC)) > 10, 1, 0)", [0, 1, 1, None, None]),
        ("IF((DAY(a) < 6 AND HOUR(a) >= 9), a)", [None] * 5),
    ],
)
def test_series(text: str, expected: list[float | None]) -> None:
    assert value(text, a=series(10, 20, 30), b=series(1, NOTHING, 3, 4)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("METRICS() * 2", [[2, None, None, None, None], [], [6, None, None, None, None]]),
        ("REMOVE_EMPTY(METRICS())", [[1], [3]]),
        ("SLICE(SORT(METRICS(), SUM, DESC), 0, 1)", [[3]]),
        ("SLICE(SORT(METRICS(), SUM, ASC), 1)", [[3], []]),
        ("SORT(METRICS(), SUM, ASC, 1)", [[1]]),
    ],
)
def test_arrays(text: str, expected: list[list[float]]) -> None:
    found = value(text, a=series(1), empty=series(), c=series(3))
    assert found == [[*each, *[None] * (5 - len(each))] for each in expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Unexpected end of the expression"),
        ("a +", "Unexpected end of the expression"),
        ("a b", "Unexpected 'b'"),
        ("SUM(a", "Expected ')', not the end of the expression"),
        ("[a", "Expected ']', not the end of the expression"),
        ("a # b", "Unexpected character '#'"),
        ("'a", "Unexpected character '''"),
        ("AND", "Unexpected 'AND'"),
        ("unknown", "ID 'unknown' not found"),
        ("sum(a)", "Function 'sum' not found"),
        ("ANOMALY(a)", "Function 'ANOMALY' not found"),
        ("SEARCH('{N} m', 'Sum')", "Blotter does not implement the function SEARCH"),
        ("ANOMALY_DETECTION_BAND(a)", "Blotter does not implement the function ANOMALY_DETECTION_BAND"),
        ("SUM()", "The arguments of SUM are not valid"),
        ("SUM(a, a)", "The arguments of SUM are not valid"),
        ("SUM(5)", "The arguments of SUM are not valid"),
        ("PERIOD(a + 1)", "The arguments of PERIOD are not valid"),
        ("FILL(a, SUM)", "The arguments of FILL are not valid"),
        ("IF([a], a)", "The arguments of IF are not valid"),
        ("TIME_SERIES(a)", "The arguments of TIME_SERIES are not valid"),
        ("SORT([a], AVG, DOWN)", "ID 'DOWN' not found"),
        ("SORT([a], REPEAT, DESC)", "The arguments of SORT are not valid"),
        ("SLICE([a], 0.5)", "The arguments of SLICE are not valid"),
        ("FIRST(a)", "The arguments of FIRST are not valid"),
        ("METRICS(5)", "METRICS takes a text or nothing"),
        ("[5]", "An array holds time series only"),
        ("[a] + [a]", "An operator cannot take two arrays of time series"),
        ("a + 'text'", "An operator takes numbers and time series only"),
        ("-'text'", "'text' is not a number or a time series"),
        ("(" * 500 + "a" + ")" * 500, "The expression is nested too deeply"),
        ("-" * 2000 + "a", "The expression is nested too deeply"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        value(text, a=series(1))
    assert str(refused.value) == message


def test_results_that_are_no_numbers_are_left_out() -> None:
    assert value("a ^ 1000", a=series(10, 1)) == [None, 1, None, None, None]
    assert value("(0 - a) ^ 0.5", a=series(4)) == [None] * 5
    assert value("AVG([a])", a=series()) == [None] * 5


def test_what_an_expression_names() -> None:
    tree = parse("IF(m1 > AVG(m2), FILL(METRICS(), REPEAT), -e1)")
    assert names_in(tree) == {"m1", "m2", "e1"}
    assert functions_in(tree) == {"IF", "AVG", "FILL", "METRICS"}


@given(st.text("ab1.+-*/^<>=!&|()[],'\" SUMAVGIFRATEFILL", max_size=60))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    with suppress(ExpressionError):
        value(text, a=series(1, 2), b=series(3))
