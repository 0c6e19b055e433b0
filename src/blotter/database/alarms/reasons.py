"""Why an alarm is in its state, with AWS's wording, and the data behind it; pure.

    Threshold Crossed: 1 datapoint [21.5 (26/02/26 10:13:00)] was greater than the threshold (21.0).
    Threshold Crossed: 2 out of the last 3 datapoints [12.0 (…), 11.0 (…)] were greater than the threshold (10.0)
        (minimum 2 datapoints for OK -> ALARM transition).
    Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as
        [Breaching].
    Insufficient Data: 5 datapoints were unknown.

An alarm with DatapointsToAlarm has the second form. From five points on, they stand in a sentence of their own,
and only the newest five. Source: messages of AWS as people have published them (LocalStack's recordings of 2026-02
and notifications in public repositories, 2017 to 2026).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from blotter.database.alarms.evaluation import COMPARISONS, Point, Rule, State, Verdict

INITIAL: Final = "Unchecked: Initial alarm creation"
_SHOWN: Final = 5


def reason(rule: Rule, verdict: Verdict, state: State, *, counts_stated: bool) -> str:
    """The reason of a state that follows from a verdict. `counts_stated`: the alarm has DatapointsToAlarm."""
    if state == "INSUFFICIENT_DATA":
        unknown = rule.periods - len(verdict.points)
        return f"Insufficient Data: {_counted(unknown, 'datapoint')} {_was(unknown)} unknown."
    if not verdict.points:
        periods = _counted(rule.periods, "period")
        return f"Threshold Crossed: no datapoints were received for {periods}{_filled(rule, verdict)}."
    breaching = [p for p in verdict.points if p.value is not None and rule.is_breached_by(p.value)]
    # Without a point within the threshold, the missing ones made it OK.
    crossed = state == "ALARM" or len(breaching) == len(verdict.points)
    shown = breaching if crossed else [point for point in verdict.points if point not in breaching]
    many = len(shown) >= _SHOWN
    listed = ", ".join(f"{point.value} ({_moment(point.at)})" for point in shown[:_SHOWN])
    if counts_stated:
        count = f"{len(shown)} out of the last {rule.periods} datapoints"
    else:
        count = _counted(len(shown), "datapoint")
    inline = "" if many else f" [{listed}]"
    negated = "" if crossed else "not "
    words = COMPARISONS[rule.comparison][1]
    text = f"{count}{inline} {_was(len(shown))} {negated}{words} the threshold ({rule.threshold})"
    text += _filled(rule, verdict)
    if many:
        crossing = "crossed" if crossed else "did not cross"
        text += f". The most recent datapoints which {crossing} the threshold: [{listed}]"
    if counts_stated:
        needed = rule.breaching if state == "ALARM" else rule.periods - rule.breaching + 1
        change = "OK -> ALARM" if state == "ALARM" else "ALARM -> OK"
        text += f" (minimum {_counted(needed, 'datapoint')} for {change} transition)"
    return f"Threshold Crossed: {text}."


def reason_data(
    rule: Rule, verdict: Verdict, now: float, period: int, *, statistic: str | None, unit: str | None
) -> str:
    """The data behind a state as JSON. `statistic` is None for an alarm on an expression."""
    data: dict[str, Any] = {"version": "1.0", "queryDate": timestamp(now)}
    if verdict.points:
        data["startDate"] = timestamp(verdict.points[-1].at)
    if unit is not None:
        data["unit"] = unit
    if statistic is not None:
        data["statistic"] = statistic
    data["period"] = period
    data["recentDatapoints"] = [point.value for point in reversed(verdict.points)]
    data["threshold"] = rule.threshold
    evaluated = sorted((*verdict.points, *verdict.missing), key=lambda point: point.at, reverse=True)
    data["evaluatedDatapoints"] = [_evaluated(point) for point in evaluated]
    return orjson.dumps(data).decode()


def timestamp(seconds: float) -> str:
    """ "2026-11-29T00:42:27.123+0000", as notifications and the data of reasons have it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"


def _evaluated(point: Point) -> dict[str, Any]:
    shown: dict[str, Any] = {"timestamp": timestamp(point.at)}
    if point.samples is not None:
        shown["sampleCount"] = point.samples
    if point.value is not None:
        shown["value"] = point.value
    return shown


def _filled(rule: Rule, verdict: Verdict) -> str:
    if not verdict.filled:
        return ""
    treated = "Breaching" if rule.treatment == "breaching" else "NonBreaching"
    return f" and {_counted(verdict.filled, 'missing datapoint')} {_was(verdict.filled)} treated as [{treated}]"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d/%m/%y %H:%M:%S}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
