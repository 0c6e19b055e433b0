"""The geometry of the charts and the classes of the map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.web import charts, text


@pytest.mark.parametrize(
    ("largest", "whole", "expected"),
    [
        (0, True, (1, 1)),
        (1, True, (1, 1)),
        (3, True, (3, 1)),
        (215, True, (300, 100)),
        (0.03, False, (0.03, 0.01)),
    ],
)
def test_axis_ends_on_a_round_number(largest: float, whole: bool, expected: tuple[float, float]) -> None:
    assert charts.axis(largest, whole=whole) == pytest.approx(expected)


@given(st.floats(min_value=1e-6, max_value=1e9), st.booleans())
def test_axis_holds_every_value_in_a_readable_number_of_steps(largest: float, whole: bool) -> None:
    top, step = charts.axis(largest, whole=whole)
    assert top >= largest * (1 - 1e-9)
    assert 1 <= round(top / step) <= 5
    assert not whole or step >= 1


def test_columns_stand_on_the_base_line_and_fill_the_width() -> None:
    chart = charts.column_chart(
        [("a", 10.0, "A", "low"), ("b", 0.0, "B", ""), ("c", None, "C", ""), ("d", 0.001, "D", "")],
        height=100,
        as_text=text.number,
        whole=True,
    )
    first, zero, missing, tiny = chart.columns
    assert first.y + first.height == 100
    assert zero.height == missing.height == 0
    assert tiny.height == 1.0, "something stays visible where there is something"
    assert chart.ticks[0].text == "0"
    assert chart.columns[-1].x + chart.columns[-1].width <= 100
    assert first.middle == pytest.approx(12.5)


def test_equal_values_share_a_class_and_the_legend_tells_the_truth() -> None:
    values = dict(enumerate([1, 1, 1, 2, 3, 4, 5, 6, 100, 100]))
    found = charts.classify({key: float(value) for key, value in values.items()}, text.number)
    assert found.levels[0] == found.levels[1] == found.levels[2] == 0
    assert found.levels[8] == found.levels[9] == 4
    assert sum(entry.count for entry in found.legend) == 10
    assert found.legend[0].text == "1 – 2"
    assert found.legend[-1].text == "100"


def test_one_value_and_no_value() -> None:
    assert charts.classify({1: 5.0, 2: 5.0}, text.number).levels == {1: 2, 2: 2}
    assert charts.classify({}, text.number).legend == ()


@given(st.dictionaries(st.integers(1, 77), st.floats(0, 1e6), min_size=1))
def test_classes_keep_the_order_of_the_values(values: dict[int, float]) -> None:
    levels = charts.classify(values, text.number).levels
    assert levels.keys() == values.keys()
    ordered = sorted(values, key=values.__getitem__)
    assert [levels[key] for key in ordered] == sorted(levels.values())
    assert all(levels[a] == levels[b] for a in values for b in values if values[a] == values[b])
