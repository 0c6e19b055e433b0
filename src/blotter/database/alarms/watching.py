"""What an alarm sees: the points of its evaluation range, and the state that follows from them; pure.

An alarm looks at whole periods only, up to the last minute that is over (ten seconds for periods of less than a
minute). The periods end there, so one of five minutes is another five minutes each minute. Source: "Evaluating an
alarm", "Percentile-based CloudWatch alarms and low data samples" in CloudWatch's user guide.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from blotter.database.alarms.evaluation import EXTRA_PERIODS, TREATMENTS, Point, Rule, State, Treatment, judge
from blotter.database.alarms.reasons import reason, reason_data
from blotter.database.alarms.records import Alarm, Settings
from blotter.database.metric_math.periods import MINUTE
from blotter.database.metric_math.queries import Metric, Queries
from blotter.database.metric_math.samples import Source, fetch_from, identity, samples
from blotter.database.metric_math.series import ExpressionError, Series, Window
from blotter.database.metric_math.statistics import Statistic, parse_statistic

HIGH_RESOLUTION_SECONDS: Final = 10
_IGNORED_NAMESPACE: Final = "AWS/DynamoDB"


class Finding(NamedTuple):
    """The state that an alarm ought to be in, and why."""

    state: State
    reason: str
    reason_data: str


def every(settings: Settings) -> int:
    """Seconds between two evaluations."""
    return HIGH_RESOLUTION_SECONDS if period_of(settings) < MINUTE else MINUTE


def period_of(settings: Settings) -> int:
    """The period of an alarm; of an expression, that of its metrics."""
    if settings.period is not None:
        return settings.period
    queries = Queries(settings.metrics)
    return max(queries.period_of(query) for query in settings.metrics)


def look(alarm: Alarm, source: Source, now: float) -> Finding | None:
    """What the alarm ought to be now; None where it stays as it is. Raises ExpressionError for an expression whose
    result cannot be watched."""
    settings = alarm.settings
    period, step = period_of(settings), every(settings)
    end = int(now) // step * step
    rule = rule_of(settings)
    window = Window(end - (rule.periods + EXTRA_PERIODS) * period, end, end)
    points = _points(alarm, source, window, period, now)
    if _too_few_samples(settings, points[: rule.periods]):
        return None
    verdict = judge(rule, points)
    if verdict.state is None:
        return None
    text = reason(rule, verdict, verdict.state, counts_stated=settings.datapoints_to_alarm is not None)
    statistic = None if settings.metrics else settings.statistic or settings.extended_statistic
    data = reason_data(rule, verdict, now, period, statistic=statistic, unit=settings.unit)
    return Finding(verdict.state, text, data)


def rule_of(settings: Settings) -> Rule:
    periods = settings.evaluation_periods
    breaching = settings.datapoints_to_alarm or periods
    return Rule(settings.comparison_operator, settings.threshold, periods, breaching, _treatment(settings))


def _treatment(settings: Settings) -> Treatment:
    """How missing data are treated. Metrics of DynamoDB that are not told otherwise are ignored where there are
    none ("Configuring how CloudWatch alarms treat missing data")."""
    if settings.treat_missing_data in TREATMENTS:
        return settings.treat_missing_data
    metrics = [query.metric_stat.metric for query in settings.metrics if query.metric_stat is not None]
    namespaces = {settings.namespace, *(metric.namespace for metric in metrics)}
    return "ignore" if _IGNORED_NAMESPACE in namespaces else "missing"


def _points(alarm: Alarm, source: Source, window: Window, period: int, now: float) -> list[Point]:
    """The points of the window, the newest first."""
    times = reversed(window.grid(period))
    if alarm.settings.metrics:
        values = _of_expression(alarm, source, window, now)
        return [Point(at, values.get(at)) for at in times]
    settings = alarm.settings
    named = Metric(settings.namespace or "", settings.metric_name or "", settings.dimensions)
    statistic = _statistic(settings)
    metric = identity(alarm.account, alarm.region, named)
    by_unit = samples(source, metric, window, period, now, settings.unit)
    found = next(iter(by_unit.values()), {})
    return [
        Point(at, statistic.compute(found[at]), float(found[at].count)) if at in found else Point(at, None)
        for at in times
    ]


def _of_expression(alarm: Alarm, source: Source, window: Window, now: float) -> dict[int, float]:
    queries = Queries(alarm.settings.metrics)
    watched = next(query for query in queries.queries if query.is_returned)
    fetch = fetch_from(source, alarm.account, alarm.region, now)
    value = queries.evaluation(lambda _: window, fetch).result(watched)
    if isinstance(value, Series):
        return value.values
    raise ExpressionError("an alarm watches one time series, not an array of them")


def _statistic(settings: Settings) -> Statistic:
    statistic = parse_statistic(settings.extended_statistic or settings.statistic or "")
    if statistic is None:
        raise ExpressionError("the statistic is not valid")
    return statistic


def _too_few_samples(settings: Settings, points: list[Point]) -> bool:
    """Whether a percentile is to be ignored, because so few samples say little."""
    if settings.evaluate_low_sample_count_percentile != "ignore" or settings.metrics:
        return False
    percentile = _statistic(settings).percentile
    if percentile is None or percentile >= 100:
        return False
    part = percentile / 100
    least = 10 / (1 - part) if part >= 0.5 else 10 / part if part else 0.0
    return any(point.samples is not None and point.samples < round(least, 6) for point in points)
