"""DescribeInsightRules and GetInsightRuleReport, for the rules that DynamoDB's contributor insights make.

There are no other rules: those over log groups have no logs here. The rules cannot be changed through CloudWatch;
they come and go with UpdateContributorInsights. A report has at most 25 contributors, ordered by their sums, or by
the greatest sum of a period. Sources:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetInsightRuleReport.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/contributorinsights_HowItWorks.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import orjson

from blotter.database.insights.report import METRICS, Report, datapoint, make_report
from blotter.database.insights.settings import Insights, Kind, insights_of_region
from blotter.database.model.table import Table
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall
from blotter.database.services.cloudwatch.errors import combination, invalid
from blotter.database.services.cloudwatch.tokens import make_token, read_token
from blotter.database.services.errors import ServiceError
from blotter.database.storage.protocol import ReadTransaction

MOST_CONTRIBUTORS: Final = 25
CONTRIBUTORS: Final = 10
RULES_ON_A_PAGE: Final = 500
_SCHEMA: Final = '{"Name":"ServiceLogRule","Version":1}'


def describe_insight_rules(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    try:
        after = read_token(arguments)
    except ValueError:
        raise invalid("Request parameter NextToken is invalid") from None
    limit = arguments.get("MaxResults", RULES_ON_A_PAGE)
    if not 1 <= limit <= RULES_ON_A_PAGE:
        raise invalid(f"The parameter MaxResults must be between 1 and {RULES_ON_A_PAGE}.")
    found = [(insights.rule(kind), insights, kind) for insights, kind in _rules(call, tx)]
    names = sorted(found, key=lambda rule: rule[0])
    if after is not None:
        names = [rule for rule in names if rule[0] > str(after)]
    output: Output = {"InsightRules": [_described(*rule) for rule in names[:limit]]}
    if len(names) > limit:
        output["NextToken"] = make_token(arguments, names[limit - 1][0])
    return output


def get_insight_rule_report(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    start, end, period = arguments["StartTime"], arguments["EndTime"], arguments["Period"]
    count = arguments.get("MaxContributorCount", CONTRIBUTORS)
    metrics = arguments.get("Metrics", [])
    order = arguments.get("OrderBy", "Sum")
    if start >= end:
        raise combination("The parameter StartTime must be less than the parameter EndTime.")
    if not 1 <= count <= MOST_CONTRIBUTORS:
        raise invalid(f"The parameter MaxContributorCount must be between 1 and {MOST_CONTRIBUTORS}.")
    if period % 60:
        raise invalid("The parameter Period must be a multiple of 60.")
    for metric in metrics:
        if metric not in METRICS:
            raise invalid(f"The value {metric} for parameter Metrics is not supported.")
    if order not in ("Sum", "Maximum"):
        raise invalid(f"The value {order} for parameter OrderBy is not supported.")
    insights, kind = _find(call, tx, arguments["RuleName"])
    report = make_report(
        tx, insights, kind, start, end, period, call.now, count=count, by_maximum=order == "Maximum"
    )
    return _shown(insights, kind, report, metrics)


def _shown(insights: Insights, kind: Kind, report: Report, metrics: list[str]) -> Output:
    output: Output = {
        "KeyLabels": _labels(insights, kind),
        "AggregationStatistic": "Sum",
        "AggregateValue": report.total,
        "ApproximateUniqueCount": max(report.unique, len(report.contributors)),
        "Contributors": [
            {
                "Keys": values,
                "ApproximateAggregateValue": amount,
                "Datapoints": list(_datapoints(report, orjson.dumps(values).decode())),
            }
            for values, amount in report.contributors
        ],
    }
    if metrics:
        output["MetricDatapoints"] = [
            {"Timestamp": float(begin)} | {metric: datapoint(point, metric) for metric in metrics}
            for begin, point in sorted(report.periods.items())
        ]
    return output


def _datapoints(report: Report, key: str) -> Iterator[dict[str, float]]:
    for begin, point in sorted(report.periods.items()):
        amount = point.contributors.get(key)
        if amount is not None:
            yield {"Timestamp": float(begin), "ApproximateValue": amount}


def _labels(insights: Insights, kind: Kind) -> list[str]:
    """What the values of a contributor's key are."""
    labels = _numbered("PartitionKey", len(insights.keys.partition))
    return labels if kind.startswith("P") else labels + _numbered("SortKey", len(insights.keys.sort))


def _numbered(label: str, count: int) -> list[str]:
    return [label] if count == 1 else [f"{label}{number}" for number in range(1, count + 1)]


def _rules(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[tuple[Insights, Kind]]:
    for _, insights in insights_of_region(tx, call.account, call.region):
        table: Table | None = tx.find_table(call.account, call.region, insights.table)
        if insights.enabled and table is not None and table.id == insights.table_id:
            for kind in insights.kinds:
                yield insights, kind


def _find(call: CloudWatchCall, tx: ReadTransaction, name: str) -> tuple[Insights, Kind]:
    for insights, kind in _rules(call, tx):
        if insights.rule(kind) == name:
            return insights, kind
    raise ServiceError("ResourceNotFoundException", f"Insight rule {name} does not exist.", 404)


def _described(name: str, insights: Insights, kind: Kind) -> dict[str, Any]:
    accessed = kind.endswith("C")
    definition = {
        "Schema": {"Name": "ServiceLogRule", "Version": 1},
        "Contribution": {
            "Keys": _labels(insights, kind),
            "ValueOf": "ConsumedThroughputUnits" if accessed else "ThrottleCount",
            "Filters": [],
        },
        "AggregateOn": "Sum",
    }
    return {
        "Name": name,
        "State": "ENABLED",
        "Schema": _SCHEMA,
        "Definition": json.dumps(definition, separators=(",", ":")),
        "ManagedRule": True,
    }
