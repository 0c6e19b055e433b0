"""PutMetricAlarm: what is asked for, checked, as the settings of an alarm.

Source: botocore's documentation of PutMetricAlarm; messages of AWS as issues of terraform-provider-aws (29894,
11011, 24070, 19567), cfn-lint (771), awsdocs/aws-cloudformation-user-guide (777) and moto have them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from blotter.database.alarms.changes import put_alarm
from blotter.database.alarms.evaluation import COMPARISONS, TREATMENTS
from blotter.database.alarms.records import Settings
from blotter.database.metric_math.periods import is_period
from blotter.database.metric_math.queries import Fetched, MetricDataQuery, Queries, check_queries
from blotter.database.metric_math.series import Array, ExpressionError, Window
from blotter.database.metric_math.statistics import parse_statistic
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall, converted
from blotter.database.services.cloudwatch.errors import invalid, unsupported, validation
from blotter.database.services.errors import shortened
from blotter.database.storage.protocol import WriteTransaction

MOST_METRICS: Final = 10
MOST_TAGS: Final = 50
_DAY, _WEEK, _HOUR = 86_400, 604_800, 3600
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_OF_A_METRIC: Final = (
    *("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic"),
)
_ELSEWHERE: Final = {
    "EvaluationCriteria": "alarms on PromQL queries",
    "EvaluationInterval": "alarms on PromQL queries",
    "ThresholdMetricId": "alarms on anomaly detection",
    "WarmUpConfiguration": "warm-up periods of alarms",
    "ActionConfiguration": "ActionConfiguration of alarms",
}
_ANOMALY: Final = (
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)
_OPTIONS: Final = {
    "TreatMissingData": (TREATMENTS, "breaching, notBreaching, ignore and missing"),
    "EvaluateLowSampleCountPercentile": (("evaluate", "ignore"), "evaluate and ignore"),
}


def put_metric_alarm(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    arguments = call.arguments
    settings = checked_settings(arguments)
    tags = {tag["Key"]: tag["Value"] for tag in arguments.get("Tags", ())}
    if len(tags) > MOST_TAGS:
        raise invalid(f"The number of tags must not be greater than {MOST_TAGS}.")
    put_alarm(tx, call.account, call.region, arguments["AlarmName"], settings, tags, call.now)
    return {}


def checked_settings(arguments: dict[str, Any]) -> Settings:
    """The settings of a request that its model finds nothing wrong with. Raises ServiceError."""
    if _CONTROL.search(arguments["AlarmName"]):
        raise validation("AlarmName must not contain ASCII Control characters")
    _refuse_what_is_not_here(arguments)
    _check_rule(arguments)
    for name, (options, shown) in _OPTIONS.items():
        if name in arguments and arguments[name] not in options:
            raise validation(
                f"Option {shortened(arguments[name])} is not supported. Supported options for parameter {name} "
                f"are {shown}."
            )
    if arguments.get("Metrics"):
        _check_metrics(arguments)
    else:
        _check_metric(arguments)
    for name in ("OKActions", "AlarmActions", "InsufficientDataActions"):
        for action in arguments.get(name, ()):
            if not action.startswith("arn:") or any(character.isspace() for character in action):
                raise validation(f"Invalid arn syntax: {shortened(action)}")
    return converted(arguments, Settings)


def _refuse_what_is_not_here(arguments: dict[str, Any]) -> None:
    for name, what in _ELSEWHERE.items():
        if name in arguments:
            raise unsupported(what)
    if arguments.get("ComparisonOperator") in _ANOMALY:
        raise unsupported("alarms on anomaly detection")
    if "WallClockWindow" in arguments.get("EvaluationWindow", {}):
        raise unsupported("wall clock windows of alarms")


def _check_rule(arguments: dict[str, Any]) -> None:
    """What every alarm has."""
    if arguments.get("ComparisonOperator") not in COMPARISONS:
        raise validation("PutMetricAlarm request should have a valid ComparisonOperator parameter")
    threshold = arguments.get("Threshold")
    if threshold is None or not math.isfinite(threshold):
        raise validation("PutMetricAlarm request should have valid Threshold parameter")
    periods = arguments.get("EvaluationPeriods")
    if periods is None:
        raise validation("PutMetricAlarm request should have an EvaluationPeriods parameter")
    if arguments.get("DatapointsToAlarm", periods) > periods:
        raise validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods")


def _check_metric(arguments: dict[str, Any]) -> None:
    """An alarm on one metric."""
    for name in ("MetricName", "Namespace"):
        if name not in arguments:
            raise validation(f"{name} must not be null")
    extended = arguments.get("ExtendedStatistic")
    if "Statistic" in arguments and extended is not None:
        raise validation(
            "PutMetricAlarm request can not be made with both Statistic and ExtendedStatistic parameters. "
            "Only one of them should be present"
        )
    if "Statistic" not in arguments and extended is None:
        raise validation("PutMetricAlarm request should have a Statistic parameter")
    statistic = parse_statistic(extended or arguments["Statistic"])
    if statistic is None:
        raise invalid(f"The value {shortened(str(extended))} for parameter ExtendedStatistic is not supported.")
    if "EvaluateLowSampleCountPercentile" in arguments and statistic.percentile is None:
        raise validation(
            f"Option evaluateLowSampleCountPercentile can not be applied with statistic {statistic.name}. This "
            "option is enabled only for percentile statistics."
        )
    if "Period" not in arguments:
        raise validation("Period must not be null")
    _check_period(arguments["Period"], arguments["EvaluationPeriods"])


def _check_period(period: int, periods: int) -> None:
    if period < 10 or not is_period(period):
        raise validation("Period must be 10, 20, 30 or a multiple of 60")
    if period < _HOUR and period * periods > _DAY:
        raise validation(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400) for "
            "alarms using period < 3600"
        )
    if period * periods > _WEEK:
        raise validation(
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800) for "
            "alarms using period >= 3600"
        )


def _check_metrics(arguments: dict[str, Any]) -> None:
    """An alarm on an expression, or on a metric in that form."""
    for name in _OF_A_METRIC:
        if name in arguments:
            raise validation(f"{name} should not be set if list of Metrics is set.")
    queries = converted(arguments["Metrics"], tuple[MetricDataQuery, ...])
    if check_queries(queries):
        raise validation("Invalid metrics list")
    if (
        sum(1 for query in queries if query.metric_stat is not None) > MOST_METRICS
        or len(queries) > 2 * MOST_METRICS
    ):
        raise validation(f"An alarm can have at most {MOST_METRICS} metrics and {MOST_METRICS} expressions.")
    if sum(1 for query in queries if query.is_returned) != 1:
        raise validation("Exactly one element of the metrics list should return data.")
    periods = {query.metric_stat.period for query in queries if query.metric_stat is not None}
    if not periods:
        raise validation("Period must not be null")
    if len(periods) > 1:
        raise validation("All metrics of the metrics list should have the same period.")
    _check_period(periods.pop(), arguments["EvaluationPeriods"])
    _try(queries)


def _try(queries: Sequence[MetricDataQuery]) -> None:
    """Evaluates the watched query over no data: whether it can be evaluated, and whether it makes one series."""
    try:
        parsed = Queries(queries)
        evaluation = parsed.evaluation(lambda period: Window(0, period), lambda _, __: Fetched({0: 1.0}))
        results = {query.id: evaluation.result(query) for query in queries if query.is_returned}
    except ExpressionError as error:
        raise validation(str(error)) from None
    if any(isinstance(value, Array) for value in results.values()):
        raise validation(
            "Metrics expression that return multi time series are only allowed for MetricsInsights expression "
            "with an ORDER BY clause"
        )
