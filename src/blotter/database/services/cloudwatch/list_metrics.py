"""ListMetrics: the metrics that have had points in the past two weeks, 500 on a page.

A filter names dimensions, with a value or with any; a metric may have others too. Pages go on after the last
metric of the page before, so that nothing is missed or told twice while metrics are added.
"""

from __future__ import annotations

from typing import Any, Final

from blotter.database.metrics.names import Metric
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall
from blotter.database.services.cloudwatch.errors import invalid
from blotter.database.services.cloudwatch.tokens import make_token, read_token
from blotter.database.storage.protocol import ReadTransaction

ON_A_PAGE: Final = 500
_SHOWN_FOR: Final = 14 * 86_400
_RECENT: Final = 3 * 3600


def list_metrics(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    try:
        after = read_token(arguments)
    except ValueError:
        raise invalid("Request parameter NextToken is invalid") from None
    if arguments.get("OwningAccount", call.account) != call.account:
        return {"Metrics": []}
    since = call.now - (_RECENT if arguments.get("RecentlyActive") else _SHOWN_FOR)
    names = _names(call, tx, int(since))
    if after is not None:
        names = [metric for metric in names if _place(metric) > after]
    page = names[:ON_A_PAGE]
    output: Output = {"Metrics": [_shown(metric) for metric in page]}
    if len(names) > ON_A_PAGE:
        output["NextToken"] = make_token(arguments, _place(page[-1]))
    if arguments.get("IncludeLinkedAccounts"):
        output["OwningAccounts"] = [call.account] * len(page)
    return output


def _names(call: CloudWatchCall, tx: ReadTransaction, since: int) -> list[Metric]:
    """The metrics that match, each once whatever units it has, in the order of their names."""
    namespace, name = call.argument("Namespace"), call.argument("MetricName")
    listed = call.reader.metrics(tx, call.account, call.region, namespace, name, since)
    wanted = call.arguments.get("Dimensions", ())
    found = {each.metric for each in listed if _matches(each.metric, wanted)}
    return sorted(found, key=_place)


def _matches(metric: Metric, filters: list[dict[str, str]]) -> bool:
    return all(
        any(name == wanted["Name"] and wanted.get("Value", value) == value for name, value in metric.dimensions)
        for wanted in filters
    )


def _place(metric: Metric) -> list[Any]:
    """Where a metric is in the order, as JSON has it."""
    return [metric.namespace, metric.name, [list(dimension) for dimension in metric.dimensions]]


def _shown(metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
