"""The state of an alarm: the tables of CloudWatch's user guide, and the words of its reasons.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data
"""

from __future__ import annotations

import json

import pytest

from blotter.database.alarms.evaluation import COMPARISONS, TREATMENTS, Point, Rule, State, Treatment, judge
from blotter.database.alarms.reasons import reason, reason_data

STAYS = None
OK: State = "OK"
ALARM: State = "ALARM"
UNKNOWN: State = "INSUFFICIENT_DATA"
VALUES = {"0": 1.0, "X": 5.0, "-": None}


def points(text: str) -> list[Point]:
    """Points as the guide writes them, the newest on the right; here it comes first."""
    shown = text.split()
    return [Point(60 * n, VALUES[shown[n]], None) for n in reversed(range(len(shown)))]


def rule(treatment: Treatment, breaching: int = 3, periods: int = 3) -> Rule:
    return Rule("GreaterThanThreshold", 3.0, periods, breaching, treatment)


@pytest.mark.parametrize(
    ("breaching", "text", "missing", "ignored", "as_breaching", "as_not_breaching"),
    [
        # Three of three, an evaluation range of five
        (3, "0 - X - X", OK, OK, OK, OK),
        (3, "0 - - - -", OK, OK, OK, OK),
        (3, "- - - - -", UNKNOWN, STAYS, ALARM, OK),
        (3, "0 X X - X", ALARM, ALARM, ALARM, ALARM),
        (3, "- - X - -", ALARM, STAYS, ALARM, OK),
        # Two of three
        (2, "0 - X - X", ALARM, ALARM, ALARM, ALARM),
        (2, "0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
        (2, "0 - X - -", OK, OK, ALARM, OK),
        (2, "- - - - 0", OK, OK, ALARM, OK),
        (2, "- - - X -", ALARM, STAYS, ALARM, OK),
        # "Avoiding premature transitions to alarm state"
        (3, "- - - - X", STAYS, STAYS, ALARM, OK),
        (3, "- - - X -", STAYS, STAYS, ALARM, OK),
        (3, "- - - X 0", OK, OK, OK, OK),
        (3, "- - X - 0", OK, OK, OK, OK),
        # Enough of what is there
        (2, "- X - X -", ALARM, ALARM, ALARM, ALARM),
        (1, "- - - - X", ALARM, ALARM, ALARM, ALARM),
    ],
)
def test_missing_points_are_treated_as_the_guide_says(
    breaching: int,
    text: str,
    missing: State | None,
    ignored: State | None,
    as_breaching: State | None,
    as_not_breaching: State | None,
) -> None:
    expected = {"missing": missing, "ignore": ignored, "breaching": as_breaching}
    expected["notBreaching"] = as_not_breaching
    found = {treatment: judge(rule(treatment, breaching), points(text)).state for treatment in TREATMENTS}
    assert found == expected


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons(comparison: str) -> None:
    either = {"GreaterThanOrEqualToThreshold": [0, 1, 1], "GreaterThanThreshold": [0, 0, 1]}
    either |= {"LessThanThreshold": [1, 0, 0], "LessThanOrEqualToThreshold": [1, 1, 0]}
    judged = Rule(comparison, 3.0, 1, 1, "missing")
    assert [judged.is_breached_by(value) for value in (2.0, 3.0, 4.0)] == either[comparison]


def why(text: str, treatment: Treatment = "missing", breaching: int = 3, *, stated: bool = False) -> str:
    judged = rule(treatment, breaching)
    verdict = judge(judged, points(text))
    assert verdict.state is not None
    return reason(judged, verdict, verdict.state, counts_stated=stated)


def test_reasons_are_in_the_words_of_aws() -> None:
    assert why("0 X X - X") == (
        "Threshold Crossed: 3 datapoints [5.0 (01/01/70 00:04:00), 5.0 (01/01/70 00:02:00), 5.0 (01/01/70 "
        "00:01:00)] were greater than the threshold (3.0)."
    )
    assert why("0 - X - X", breaching=2, stated=True) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [5.0 (01/01/70 00:04:00), 5.0 (01/01/70 00:02:00)] "
        "were greater than the threshold (3.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert why("X X X X 0", stated=True) == (
        "Threshold Crossed: 1 out of the last 3 datapoints [1.0 (01/01/70 00:04:00)] was not greater than the "
        "threshold (3.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert why("- - - - -") == "Insufficient Data: 3 datapoints were unknown."
    assert why("- - - - -", "breaching") == (
        "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as "
        "[Breaching]."
    )
    assert why("- - - - X", "notBreaching", breaching=1, stated=True) == (
        "Threshold Crossed: 1 out of the last 3 datapoints [5.0 (01/01/70 00:04:00)] was greater than the "
        "threshold (3.0) and 2 missing datapoints were treated as [NonBreaching] (minimum 1 datapoint for OK -> "
        "ALARM "
        "transition)."
    )
    assert why("- - - X 0", "breaching") == (
        "Threshold Crossed: 1 datapoint [1.0 (01/01/70 00:04:00)] was not greater than the threshold (3.0) and 1 "
        "missing datapoint was treated as [Breaching]."
    )


def test_many_points_are_told_in_a_sentence_of_their_own() -> None:
    judged = rule("missing", 6, 6)
    verdict = judge(judged, points("X X X X X X"))
    assert reason(judged, verdict, "ALARM", counts_stated=False) == (
        "Threshold Crossed: 6 datapoints were greater than the threshold (3.0). The most recent datapoints which "
        "crossed the threshold: [5.0 (01/01/70 00:05:00), 5.0 (01/01/70 00:04:00), 5.0 (01/01/70 00:03:00), "
        "5.0 (01/01/70 00:02:00), 5.0 (01/01/70 00:01:00)]."
    )


def test_the_data_behind_a_reason() -> None:
    judged = rule("breaching")
    verdict = judge(judged, [Point(180, None), Point(120, None), Point(60, 5.0, 2.0), Point(0, None)])
    data = json.loads(reason_data(judged, verdict, 200.25, 60, statistic="Sum", unit="Count"))
    assert data == {
        "version": "1.0",
        "queryDate": "1970-01-01T00:03:20.250+0000",
        "startDate": "1970-01-01T00:01:00.000+0000",
        "unit": "Count",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [5.0],
        "threshold": 3.0,
        "evaluatedDatapoints": [
            {"timestamp": "1970-01-01T00:03:00.000+0000"},
            {"timestamp": "1970-01-01T00:02:00.000+0000"},
            {"timestamp": "1970-01-01T00:01:00.000+0000", "sampleCount": 2.0, "value": 5.0},
        ],
    }
