"""What the result page draws, computed from a result."""

from __future__ import annotations

from blotter.crimes.item import CalibrationBin, Group, Outcomes, Result, Risk, Summary, Timeline
from blotter.crimes.web import comparison, headline, timeline, views


def result_of(summary: Summary, **other: object) -> Result:
    values = {name: getattr(summary, name) for name in summary.__struct_fields__} | other
    return Result(file_key="k", status=values.pop("status", "COMPLETED"), **values)  # type: ignore[arg-type]


def test_nothing_is_drawn_before_there_is_something(summary: Summary) -> None:
    assert views.charts_of(result_of(summary, status="PROCESSING")) is None
    assert views.charts_of(result_of(summary, rows_scored=0)) is None


def test_the_histogram_is_colored_by_level(summary: Summary) -> None:
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
    assert "500 incidents, mean probability 20.0%, 100 expected arrests" in by_name["Near North Side"].title
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
    assert "1 incident, mean probability 20.0%, 0.2 expected arrests" in charts.community.areas[7].title
    assert charts.types == ()


OUTCOMES = Outcomes(
    rows=200,
    actual_arrests=30,
    expected_arrests=24.0,
    brier=0.05,
    roc_auc=0.9,
    calibration_error=0.01,
    calibration=[CalibrationBin(0.0, 0.1, 150, 0.05, 0.06), CalibrationBin(0.5, 0.6, 50, 0.55, 0.42)],
    rows_by_step=[150, *[0] * 49, 50, *[0] * 49],
    arrests_by_step=[9, *[0] * 49, 21, *[0] * 49],
)


def test_the_headline_is_the_sum_of_the_probabilities(summary: Summary) -> None:
    known = {"expected_arrests": 130.5, "expected_low": 110.0, "expected_high": 150.0}
    found = headline.headline_of(result_of(summary, **known))
    assert found is not None
    assert (found.expected, found.low, found.high) == (130.5, 110.0, 150.0)


def test_an_older_result_gets_its_headline_from_mean_and_histogram(summary: Summary) -> None:
    found = headline.headline_of(result_of(summary))
    assert found is not None
    assert found.expected == summary.mean_probability * 1099  # type: ignore[operator]
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.expected < found.high < 1099
    assert headline.headline_of(result_of(summary, rows_scored=0)) is None


def test_a_threshold_tells_what_lies_above_it(summary: Summary) -> None:
    result = result_of(summary, rows_by_step=[150, *[0] * 49, 50, *[0] * 49], outcomes=OUTCOMES)
    found = headline.threshold_of(result, 50)
    assert found is not None
    assert (found.rows, found.share, found.actual) == (50, 0.25, 21)
    assert (found.precision, found.recall) == (21 / 50, 21 / 30)
    assert found.expected == 50 * 0.505
    everything = headline.threshold_of(result, 0)
    assert everything is not None
    assert (everything.rows, everything.caught, everything.recall) == (200, 1, 1)
    nothing = headline.threshold_of(result, 100)
    assert nothing is not None
    assert (nothing.rows, nothing.precision, nothing.recall) == (0, None, 0)


def test_a_threshold_of_an_older_result_moves_in_steps_of_five(summary: Summary) -> None:
    found = headline.threshold_of(result_of(summary), 52)
    assert found is not None
    assert (found.percent, found.rows, found.actual) == (50, sum(summary.probability_histogram[10:]), None)
    assert headline.threshold_of(result_of(summary, probability_histogram=[]), 50) is None


def test_recorded_arrests_are_set_against_expected_ones(summary: Summary) -> None:
    found = headline.comparison_of(result_of(summary, outcomes=OUTCOMES))
    assert found is not None
    assert (found.difference, found.relative) == (6.0, 0.25)
    assert headline.comparison_of(result_of(summary)) is None


def test_the_time_axis_has_no_gaps_and_the_order_of_time() -> None:
    groups = {"2022-11": Group(5, 0.2, 1), "2023-01": Group(10, 0.1, 1, 1.5, 10, 3), "rubbish": Group(1, 0.1, 0)}
    found = timeline.charts_of(Timeline("month", groups))
    assert found is not None
    assert [column.label for column in found.incidents.columns] == ["Nov ’22", "Dec ’22", "Jan ’23"]
    assert [column.value for column in found.incidents.columns] == [5, 0, 10]
    assert [column.mark is None for column in found.arrests.columns] == [False, True, False]
    assert found.arrests.columns[2].title == "Jan 2023: 10 incidents, 1.5 expected arrests, 3 recorded"
    assert [row.name for row in found.rows] == ["Nov 2022", "Jan 2023"]
    days = timeline.charts_of(Timeline("day", {"2024-02-28": Group(1, 0, 0), "2024-03-01": Group(1, 0, 0)}))
    assert days is not None
    assert [column.label for column in days.incidents.columns] == ["Feb 28", "Feb 29", "Mar 1"]
    assert timeline.charts_of(Timeline("year", {"2022": Group(1, 0, 0)})) is None
    assert timeline.charts_of(None) is None


def test_an_axis_of_centuries_stays_bounded() -> None:
    far = timeline.charts_of(Timeline("day", {"0001-01-01": Group(1, 0, 0), "9999-12-31": Group(1, 0, 0)}))
    assert far is not None
    assert len(far.incidents.columns) == 2


def test_midnight_is_marked(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary, midnight_rows=30))
    assert charts is not None
    assert charts.hours.incidents.columns[0].part > 0
    assert {column.part for column in charts.hours.incidents.columns[1:]} == {0}


def test_types_and_areas_lead_to_their_incidents(summary: Summary) -> None:
    charts = views.charts_of(result_of(summary, predictions_key="p.csv"))
    assert charts is not None
    assert charts.types[0].href == "/results/k/incidents?type=THEFT"
    assert charts.types[1].href == "/results/k/incidents?type=%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
    assert [row.href for row in charts.community.rows][-1] == "/results/k/incidents?area=unknown"
    assert {area.name: area.href for area in charts.community.areas}["Austin"] == "/results/k/incidents?area=25"
    assert charts.hours.rows[3].href == "/results/k/incidents?hour=3"


def test_two_results_are_compared_by_shares(summary: Summary) -> None:
    types = {"NARCOTICS": Group(99, 0.9, 94)}
    other = result_of(summary, rows_scored=99, by_primary_type=types, outcomes=OUTCOMES)
    found = comparison.compare(result_of(summary), other)
    assert [row.name for row in found.types][:2] == ["Narcotics", "Theft"]
    assert found.types[0].share_difference == 1 - 99 / 1099
    assert found.types[1].mean_difference is None
    figures = {figure.label: (figure.first, figure.second) for figure in found.figures}
    assert figures["Recorded arrests"] == ("–", "30")
    assert len(found.overlays[0].chart.columns) == 20
