"""Statistics: the definitions of CloudWatch's user guide, over samples whose distribution is known.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import pytest

from blotter.database.metric_math.statistics import parse_statistic
from blotter.database.metrics.points import point, statistic_set

HUNDRED = point(0, [(float(n), 1.0) for n in range(1, 21)])
"""1 to 20, once each."""


def computed(name: str, samples: object = HUNDRED) -> float | None:
    statistic = parse_statistic(name)
    assert statistic is not None
    return statistic.compute(samples)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SampleCount", 20),
        ("Average", 10.5),
        ("Sum", 210),
        ("Minimum", 1),
        ("Maximum", 20),
        ("p0", 1),
        ("p50", 10),
        ("p95", 19),
        ("p95.0123456789", 20),
        ("p100", 20),
        ("tm90", 9.5),  # Without the highest 10 %: 1 to 18.
        ("TM(:90%)", 9.5),
        ("TM(10%:90%)", 10.5),
        ("TM(10%:)", 11.5),
        ("TM(5:10)", 8),  # 6 to 10: above 5, up to 10.
        ("IQM", 10.5),
        ("wm90", 10.35),
        ("WM(10%:90%)", 10.35 + (1 * 2 - 1) / 20),
        ("WM(5:10)", (5 * 5 + 6 + 7 + 8 + 9 + 10 * 11) / 20),
        ("PR(:5)", 25),
        ("PR(5:10)", 25),
        ("PR(15:)", 25),
        ("tc90", 18),
        ("TC(5:10)", 5),
        ("TC(:0.5)", 0),
        ("ts90", 171),
        ("TS(80%:)", 17 + 18 + 19 + 20),
    ],
)
def test_a_statistic(name: str, expected: float) -> None:
    assert computed(name) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name",
    [
        *("", "average", "sum", "p", "90", "p101", "p-1", "p1.12345678901", "P90", "tm", "TM90", "tm(:90%)"),
        *("TM()", "TM(:)", "TM(5:5)", "TM(9:5)", "TM(10%:50)", "TM(:101%)", "PR(5%:)", "IQM(1)", "TM(a:b)", "p٩"),
    ],
)
def test_what_is_no_statistic(name: str) -> None:
    assert parse_statistic(name) is None


def test_a_bound_cuts_through_equal_samples() -> None:
    samples = point(0, [(1.0, 10.0), (5.0, 10.0)])
    assert computed("tm75", samples) == pytest.approx((10 * 1 + 5 * 5) / 15)
    assert computed("tc75", samples) == 15


def test_without_a_distribution_only_the_simple_ones_are_known() -> None:
    """Statistic sets with several values, and negative samples."""
    for samples in (statistic_set(0, 3.0, 6.0, 1.0, 3.0), point(0, [(-1.0, 1.0), (2.0, 1.0)])):
        assert computed("p50", samples) is None
        assert computed("TM(1:5)", samples) is None
        assert computed("Maximum", samples) is not None
    assert computed("p50", statistic_set(0, 3.0, 6.0, 2.0, 2.0)) == 2
    assert computed("TM(5:10)", point(0, [(1.0, 1.0)])) is None  # Nothing lies between.
