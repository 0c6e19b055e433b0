"""Queries that name each other: order, faults, and what a request may cost."""

from __future__ import annotations

import pytest

from blotter.database.metric_math import queries
from blotter.database.metric_math.queries import Fetched, Metric, MetricDataQuery, MetricStat, Queries
from blotter.database.metric_math.series import Array, ExpressionError, Series, Window

WINDOW = Window(0, 600)
STAT = MetricStat(Metric("N", "m"), 60, "Sum")


def evaluated(*asked: MetricDataQuery, of: str) -> Series | Array:
    read: list[str] = []

    def fetch(stat: MetricStat, _: Window) -> Fetched:
        read.append(stat.metric.metric_name)
        return Fetched(dict.fromkeys(range(0, 600, 60), 1.0))

    parsed = Queries(asked)
    result = parsed.evaluation(lambda _: WINDOW, fetch).result(parsed.find(of))
    assert len(read) <= 1
    return result


def series(*asked: MetricDataQuery, of: str) -> dict[int, float]:
    result = evaluated(*asked, of=of)
    assert isinstance(result, Series)
    return result.values


def query(identifier: str, expression: str) -> MetricDataQuery:
    return MetricDataQuery(identifier, expression=expression)


M = MetricDataQuery("m", metric_stat=STAT)


def test_a_metric_is_read_once_however_often_it_is_named() -> None:
    assert series(query("e", "d + m"), query("d", "m + m"), M, of="e") == dict.fromkeys(range(0, 600, 60), 3.0)


def test_a_long_chain_of_expressions() -> None:
    chain = [query(f"e{n}", f"e{n + 1} + 1") for n in range(40)]
    assert series(*chain, query("e40", "m"), M, of="e0")[0] == 41.0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([query("e", "x + 1")], "Error in expression 'e': ID 'x' not found"),
        ([query("e", "d"), query("d", "e")], "Error in expression 'e': Circular dependency of 'e'"),
        ([query("e", "e")], "Error in expression 'e': Circular dependency of 'e'"),
        (
            [query("e", "1 + 1")],
            "Error in expression 'e': The expression has to make a time series or an array of time series",
        ),
        (
            [query("e", "e0"), *(query(f"e{n}", f"e{n + 1} + 1") for n in range(490)), query("e490", "m"), M],
            "Error in expression 'e': Expressions build upon too many others",
        ),
    ],
)
def test_queries_that_cannot_be_evaluated(asked: list[MetricDataQuery], message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        evaluated(*asked, of="e")
    assert str(error.value) == message


def test_what_expressions_compute_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_COMPUTED", 30)
    assert len(series(query("e", "m + 1"), M, of="e")) == 10
    with pytest.raises(ExpressionError, match="Expressions may compute up to 30 data points"):
        evaluated(query("e", "m + 1 + 1 + 1"), M, of="e")


def test_metrics_are_chosen_by_a_part_of_their_ids() -> None:
    more = MetricDataQuery("mine", metric_stat=STAT)
    array = Queries((query("e", 'METRICS("ne")'), M, more))
    value = array.evaluation(lambda _: WINDOW, lambda *_: Fetched({0: 5.0})).result(array.find("e"))
    assert isinstance(value, Array)
    assert len(value.members) == 1
