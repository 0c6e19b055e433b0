"""UpdateContributorInsights, DescribeContributorInsights and ListContributorInsights.

What the rules find is counted by `insight_watch` and read back with CloudWatch's GetInsightRuleReport. States,
shapes and messages are as recorded from AWS in the notes of the AWS controllers
(aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-089 to -097, -112, -116, -137, -337 to -344,
-455; 2026-10).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from msgspec.structs import replace

from blotter.database.insights.settings import (
    Insights,
    find_insights,
    insights_of_region,
    insights_of_table,
    remove_insights,
    save_insights,
)
from blotter.database.model.errors import table_not_found, validation_error
from blotter.database.model.table import Index, Table, TableStatus
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, find_table, get_table
from blotter.database.operations.tables.description import index_status
from blotter.database.operations.tables.quotas import may_have_rules
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

PAGE: Final = 100
_WRONG_STATE = "Table or Index is not in a valid state to update Key Access Insights: "


# DDB-TABLE-337
_TOO_MANY_RULES: Final = {
    "ExceptionName": "LimitExceededException",
    "ExceptionDescription": (
        "Amazon CloudWatch Contributor Insights rule limit reached. Please disable Contributor Insights for other "
        "tables/indexes OR disable other CloudWatch Contributor Insights rules before retrying."
    ),
}


def update(request: wire.UpdateContributorInsightsInput, tx: WriteTransaction, context: Context) -> bytes:
    table, index = _resource(request.TableName, request.IndexName, tx, context)
    current = _find(tx, table, index)
    if request.ContributorInsightsAction == "ENABLE":
        _check_active(table, index, context)
        mode = request.ContributorInsightsMode or "ACCESSED_AND_THROTTLED_KEYS"
        if current is None or not current.enabled or current.mode != mode:
            keeps_rules = current is not None and current.enabled
            current = Insights(
                table.account,
                table.region,
                table.name,
                table.id,
                table.keys if index is None else index.keys,
                mode,
                enabled=True,
                created=current.created if current is not None and keeps_rules else int(context.now * 1000),
                updated_at=context.now,
                index="" if index is None else index.name,
                settles_at=context.settled_at,
            )
            if not may_have_rules(_rules_of_others(tx, current) + len(current.kinds)):
                current = replace(current, enabled=False, failed=True)
            save_insights(tx, current)
            return _updated(current, "ENABLING")
    elif current is not None and (current.enabled or (current.failed and not current.disabling)):
        current = replace(
            current,
            enabled=False,
            disabling=current.failed,
            updated_at=context.now,
            settles_at=context.settled_at,
        )
        save_insights(tx, current)
        return _updated(current, "DISABLING")
    if current is None:
        named = {} if index is None else {"IndexName": index.name}
        return encoded({"TableName": table.name, **named, "ContributorInsightsStatus": "DISABLED"}) or b""
    return _updated(current, current.status_at(context.now))


def describe(request: wire.DescribeContributorInsightsInput, tx: ReadTransaction, context: Context) -> bytes:
    table, index = _resource(request.TableName, request.IndexName, tx, context)
    current = _find(tx, table, index)
    body: dict[str, Any] = {"TableName": table.name}
    if index is not None:
        body["IndexName"] = index.name
    if current is None:
        return encoded(body | {"ContributorInsightsStatus": "DISABLED"}) or b""
    if current.enabled:
        body["ContributorInsightsRuleList"] = [current.rule(kind) for kind in current.kinds]
    body["ContributorInsightsStatus"] = current.status_at(context.now)
    body["LastUpdateDateTime"] = round(current.updated_at, 3)
    body["ContributorInsightsMode"] = current.mode
    if current.shows_failure_at(context.now):
        body["FailureException"] = _TOO_MANY_RULES
    return encoded(body) or b""


def list_insights(request: wire.ListContributorInsightsInput, tx: ReadTransaction, context: Context) -> bytes:
    """Those that are not DISABLED, of a table or of the account and region: a table before its indexes."""
    after = b"" if request.NextToken is None else _place(request.NextToken, context)
    of_table = None
    if request.TableName is not None:
        of_table = get_table(tx, context, request.TableName)
        found = [
            (each.key, each)
            for each in insights_of_table(tx, of_table.account, of_table.region, of_table.name)
            if each.key > after
        ]
    limit = max(1, request.MaxResults or PAGE)
    listed: list[dict[str, Any]] = []
    last = b""
    every = insights_of_region(tx, context.account, context.region, after) if of_table is None else iter(found)
    for key, insights in every:
        if insights.status_at(context.now) == "DISABLED" or not _exists(insights, tx, context):
            continue
        if len(listed) == limit:
            token = urlsafe_b64encode(last).decode()
            return answer((b"ContributorInsightsSummaries", encoded(listed)), (b"NextToken", encoded(token)))
        listed.append(_named(insights) | _state(insights, insights.status_at(context.now)))
        last = key
    return answer((b"ContributorInsightsSummaries", encoded(listed)))


def remove_insights_of(tx: WriteTransaction, table: Table, index: str | None = None) -> None:
    """Removes the insights of a table that is being removed from the catalog, or of one of its indexes."""
    found = insights_of_table(tx, table.account, table.region, table.name)
    remove_insights(tx, [each for each in found if index is None or each.index == index])


def _resource(
    name: str, index_name: str | None, tx: ReadTransaction, context: Context
) -> tuple[Table, Index | None]:
    """The table and, if one is named, its global index. Raises ResourceNotFoundException."""
    table = get_table(tx, context, name)
    if index_name is None:
        return table, None
    index = table.index(index_name)
    if index is None or not index.is_global:
        raise table_not_found(
            f"Requested resource not found: Index: {index_name} not found for table: {table.name}"
        )
    return table, index


def _find(tx: ReadTransaction, table: Table, index: Index | None) -> Insights | None:
    name = "" if index is None else index.name
    found = find_insights(tx, table.account, table.region, table.name, name)
    return None if found is None or found.table_id != table.id else found


def _exists(insights: Insights, tx: ReadTransaction, context: Context) -> bool:
    table = find_table(tx, context, insights.table)
    if table is None or table.id != insights.table_id:
        return False
    return not insights.index or table.index(insights.index) is not None


def _rules_of_others(tx: ReadTransaction, insights: Insights) -> int:
    """How many rules the account has in the region, without those of one table or index."""
    others = insights_of_region(tx, insights.account, insights.region)
    return sum(len(other.kinds) for key, other in others if other.enabled and key != insights.key)


def _check_active(table: Table, index: Index | None, context: Context) -> None:
    if table.status_at(context.now) not in (TableStatus.ACTIVE, TableStatus.UPDATING):
        raise validation_error(f"{_WRONG_STATE}TableStatus must be ACTIVE to enable ContributorInsights.")
    if index is not None and index_status(index, context.now) not in ("ACTIVE", "UPDATING"):
        raise validation_error(f"{_WRONG_STATE}IndexStatus must be ACTIVE to enable ContributorInsights.")


def _updated(insights: Insights, status: str) -> bytes:
    return encoded(_named(insights) | _state(insights, status)) or b""


def _named(insights: Insights) -> dict[str, Any]:
    named = {"TableName": insights.table}
    return named | {"IndexName": insights.index} if insights.index else named


def _state(insights: Insights, status: str) -> dict[str, Any]:
    return {"ContributorInsightsStatus": status, "ContributorInsightsMode": insights.mode}


def _place(token: str, context: Context) -> bytes:
    """The key that a page ended at."""
    prefix = f"insights/{context.account}/{context.region}/".encode()
    try:
        key = urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        key = b""
    if not key.startswith(prefix):
        raise validation_error("Invalid NextToken")
    return key
