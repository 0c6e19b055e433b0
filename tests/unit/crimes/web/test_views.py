"""What the result page draws, computed from a result."""

from __future__ import annotations

from blotter.crimes.item import Group, Result, Risk, Summary
from blotter.crimes.web import views


def result_of(summary: Summary, **other: object) -> Result:
    values = {name: getattr(summary, name) for name in summary.__struct_fields__} | other
    return Result(file_key="k", status=values.pop("status", "COMPLETED"), **values)  # type: ignore[arg-type]


def test_nothing_is_drawn_before_there_is_something(summary: Summary) -> None:
    assert views.charts_of(result_of(summary, status="PROCESSING")) is None
    assert views.charts_of(result_of(summary, rows_scored=0)) is None


def test_the_histogram_is_coloured_by_level(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary))
    assert charts is not None
    kinds = [column.kind for column in charts.histogram.columns]
    assert kinds == ["low"] * 6 + ["medium"] * 8 + ["high"] * 6
    assert charts.histogram.columns[0].title == "0–5%: 600 incidents (54.6%)"
    assert views.bin_range(19) == "95–100%"


def test_levels_fill_the_bar(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary))
    assert charts is not None
    assert [part.level for part in charts.risk] == ["High", "Medium", "Low"]
    assert sum(part.share for part in charts.risk) == 1
    assert charts.risk[2].start == round(100 * (80 + 119) / 1099, 3)


def test_hours_and_days_keep_their_order_and_their_gaps(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary, by_hour={"23": Group(5, 0.5, 2), "0": Group(10, 0.1, 1)}))
    assert charts is not None
    assert [row.name for row in charts.hours.rows] == ["00:00", "23:00"]
    assert len(charts.hours.incidents.columns) == 24
    assert charts.hours.probability.columns[12].height == 0
    assert charts.hours.incidents.columns[12].title == "12:00: no incidents"
    assert [row.name for row in charts.weekdays.rows][:2] == ["Monday", "Tuesday"]
    assert charts.weekdays.incidents.columns[6].title == "Sunday: no incidents"


def test_types_come_most_frequent_first(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary))
    assert charts is not None
    assert [row.name for row in charts.types] == ["Theft", "<script>alert(1)</script>", "Narcotics"]
    assert charts.types[0].rows_bar == 100
    assert charts.types[2].probability_bar == 100


def test_the_map_classes_areas_by_three_metrics(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary))
    assert charts is not None
    community = charts.community
    by_name = {area.name: area for area in community.areas}
    assert len(community.areas) == 77
    assert community.without_data == 74
    assert community.unplaced == 1
    assert by_name["Loop"].classes == ""
    assert by_name["Loop"].title == "Loop (Central): no incidents"
    assert by_name["Near North Side"].classes == "p4 r4 a4"
    assert by_name["Edgewater"].classes == "p0 r0 a0"
    assert "500 incidents, mean probability 20.0%, 60 predicted arrests" in by_name["Near North Side"].title
    assert [row.name for row in community.rows] == ["Austin", "Near North Side", "Edgewater", "Not given"]
    assert [metric.letter for metric in community.metrics] == ["p", "r", "a"]


def test_a_result_with_one_incident_is_drawn_too(summary: Summary) -> None:
    one = {"8": Group(1, 0.2, 1)}
    charts = views.charts_of(
        result_of(
            summary,
            rows_scored=1,
            risk=Risk(low=1),
            probability_histogram=[0, 0, 0, 0, 1],
            by_community_area=one,
            by_primary_type={},
            by_hour={},
            by_weekday={},
        )
    )
    assert charts is not None
    assert "1 incident, mean probability 20.0%, 1 predicted arrest" in charts.community.areas[7].title
    assert charts.types == ()
