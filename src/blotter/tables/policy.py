"""Least-privilege IAM policies for the roles that touch the declared tables.

`ROLES` lists which role may do what to which of a table's resources, and when; the rest is assembly. A role gets
nothing it does not need for what is declared: no stream actions without a stream, no tagging without tags. Tested
against the service model's own list of operations. Must not depend on credentials or endpoints: it prints, it
grants nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from blotter.config import Configuration, ConfiguredTable
from blotter.tables.declaring.declaration import AWS_OWNED, TableDeclaration

Where = Literal["table", "indexes", "stream", "anything"]
Policy = dict[str, Any]


class Grant(NamedTuple):
    """Actions on one kind of resource. `when` looks at the declaration; `by_key`: leading keys can limit it."""

    sid: str
    actions: tuple[str, ...]
    where: Where = "table"
    when: Callable[[TableDeclaration], object] = lambda _table: True
    by_key: bool = False
    service: str = "dynamodb"


_WRITE = Grant("WriteResults", ("GetItem", "PutItem", "UpdateItem"), by_key=True)
_STREAM = Grant(
    "ReadTheStream",
    ("DescribeStream", "GetRecords", "GetShardIterator"),
    "stream",
    lambda table: table.stream,
)

# role → grants. lambda: the handler that writes results. worker: a process that does so and also looks for files
# that were left unfinished. api: what shows results, takes uploads, cancels and deletes. operator: what `blotter
# tables apply` and the others need, and no item. auditor: sees everything about a table, and no item.
ROLES: dict[str, tuple[Grant, ...]] = {
    "lambda": (
        _WRITE,
        _STREAM,
    ),
    "worker": (
        _WRITE,
        Grant("FindUnfinished", ("Scan",)),
    ),
    "api": (
        Grant(
            "ReadAnnounceAndEndItems",
            ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"),
            by_key=True,
        ),
        Grant("QueryIndexes", ("Query",), "indexes", lambda table: table.indexes, by_key=True),
        Grant("ListItems", ("Scan",)),
    ),
    "operator": (
        Grant("SetTablesUp", ("CreateTable", "DescribeTable", "UpdateTable")),
        Grant(
            "Tag",
            ("TagResource", "UntagResource", "ListTagsOfResource"),
            when=lambda table: table.tags is not None,
        ),
        Grant(
            "Expire",
            ("UpdateTimeToLive", "DescribeTimeToLive"),
            when=lambda table: table.time_to_live is not None,
        ),
        Grant(
            "Recover",
            ("UpdateContinuousBackups", "DescribeContinuousBackups"),
            when=lambda table: table.point_in_time_recovery is not None,
        ),
        Grant(
            "SharePolicy",
            ("PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy"),
            when=lambda table: table.resource_policy is not None,
        ),
        Grant(
            "Replicate",
            (
                "CreateTableReplica",
                "Scan",
                "Query",
                "GetItem",
                "PutItem",
                "UpdateItem",
                "DeleteItem",
                "BatchWriteItem",
            ),
            when=lambda table: table.replicas,
        ),
        Grant(
            "Scale",
            (
                "RegisterScalableTarget",
                "DeregisterScalableTarget",
                "PutScalingPolicy",
                "DescribeScalableTargets",
                "DescribeScalingPolicies",
            ),
            "anything",
            lambda table: (
                table.autoscaling is not None
                or any(index.autoscaling is not None for index in table.indexes.values())
            ),
            service="application-autoscaling",
        ),
        Grant(
            "Alarm",
            ("PutMetricAlarm", "DeleteAlarms", "DescribeAlarms"),
            "anything",
            lambda t: t.alarms,
            service="cloudwatch",
        ),
        Grant(
            "SeeKeys",
            ("DescribeKey",),
            "anything",
            lambda table: table.encryption not in (None, AWS_OWNED),
            service="kms",
        ),
    ),
    "auditor": (
        Grant(
            "SeeTables",
            (
                "DescribeTable",
                "DescribeTimeToLive",
                "DescribeContinuousBackups",
                "DescribeContributorInsights",
                "DescribeKinesisStreamingDestination",
                "GetResourcePolicy",
                "ListTagsOfResource",
            ),
        ),
        Grant(
            "ListTables",
            (
                *("ListTables", "ListBackups", "ListExports", "ListImports", "ListBulkOperations"),
                "DescribeLimits",
            ),
            "anything",
        ),
        Grant("SeeAlarms", ("DescribeAlarms",), "anything", service="cloudwatch"),
        Grant(
            "SeeScaling",
            ("DescribeScalableTargets", "DescribeScalingPolicies"),
            "anything",
            service="application-autoscaling",
        ),
    ),
}

# Actions that IAM has and the service model has not: authorized as part of other operations.
IAM_ONLY = frozenset({"CreateTableReplica", "ConditionCheckItem"})


def make_policy(
    role: str,
    tables: list[tuple[ConfiguredTable, TableDeclaration]],
    configuration: Configuration,
    leading_key: str | None = None,
) -> Policy:
    """The policy of `role` for the tables. `leading_key` limits items to partition keys that match the pattern.

    A Scan has no leading key to check, so with `leading_key` it is not granted.
    """
    statements = []
    for grant in ROLES[role]:
        meant = [table for table, declared in tables if grant.when(declared)]
        scans = leading_key is not None and grant.actions == ("Scan",)
        if not meant or scans:
            continue
        statement: Policy = {
            "Sid": grant.sid,
            "Effect": "Allow",
            "Action": [f"{grant.service}:{action}" for action in grant.actions],
            "Resource": sorted({_resource(table, grant.where, configuration) for table in meant}),
        }
        if leading_key is not None and grant.by_key:
            # ForAllValues alone is true when there is no key at all; Null excludes that case.
            statement["Condition"] = {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [leading_key]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            }
        statements.append(statement)
    return {"Version": "2012-10-17", "Statement": statements}


def table_arn(table: ConfiguredTable, configuration: Configuration) -> str:
    """The table's ARN; any account when none is configured (a role's policy reaches its own account only)."""
    partition = next(
        (
            name
            for prefix, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
            if configuration.region.startswith(prefix)
        ),
        "aws",
    )
    account = configuration.account or "*"
    return table.arn or f"arn:{partition}:dynamodb:{configuration.region}:{account}:table/{table.name}"


def _resource(table: ConfiguredTable, where: Where, configuration: Configuration) -> str:
    arn = table_arn(table, configuration)
    return {"table": arn, "indexes": f"{arn}/index/*", "stream": f"{arn}/stream/*", "anything": "*"}[where]
