"""What a document has to be like to become the policy of a table or of a stream.

Beside the grammar (`security.policy`), DynamoDB checks which actions and resources it names, and refuses one that
lets everyone in. Sources: the AWS controllers' notes of October 2026 (aws-controllers-k8s/dynamodb-controller,
docs/api-quirks, DDB-TABLE-211, -352, -356); which actions are about which resource:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

from typing import Any, Final

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.security.policy import MalformedPolicy, Policy, parse_policy
from blotter.database.security.policy.json_text import read_json
from blotter.database.security.policy.parser import listed_values
from blotter.database.security.policy.patterns import Template

MAX_BYTES: Final = 20_480
_UNBOUNDED: Final = (
    "Resource-based policy grants unbounded access in one or more elements. "
    "Please revise the policy to ensure least-privilege form of access"
)

_OF_BOTH: Final = (
    *("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy"),
    *("ListTagsOfResource", "TagResource", "UntagResource"),
)
_OF_STREAMS: Final = ("DescribeStream", "GetRecords", "GetShardIterator", *_OF_BOTH)
_OF_TABLES: Final = (
    *("BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan"),
    *("SearchVectors", "UpdateItem", "PartiQLDelete", "PartiQLInsert", "PartiQLSelect", "PartiQLUpdate"),
    *("CreateBackup", "CreateTable", "DeleteTable", "DescribeTable", "UpdateTable", "ImportTable"),
    *("DescribeContinuousBackups", "UpdateContinuousBackups", "DescribeTimeToLive", "UpdateTimeToLive"),
    *("DescribeContributorInsights", "UpdateContributorInsights"),
    *("DescribeKinesisStreamingDestination", "DisableKinesisStreamingDestination"),
    *("EnableKinesisStreamingDestination", "UpdateKinesisStreamingDestination"),
    *("DescribeTableReplicaAutoScaling", "UpdateTableReplicaAutoScaling", "AssociateTableReplica"),
    *("CreateGlobalTable", "UpdateGlobalTable", "UpdateGlobalTableSettings", "UpdateGlobalTableVersion"),
    *("CreateGlobalTableWitness", "DeleteGlobalTableWitness", "CreateTableReplica", "DeleteTableReplica"),
    *("ReadDataForReplication", "ReplicateSettings", "WriteDataForReplication"),
    *("ExportTableToPointInTime", "ListExports", "ListImports", "StartAwsBackupJob"),
    *("RestoreTableFromAwsBackup", "RestoreTableFromBackup", "RestoreTableToPointInTime"),
    *_OF_BOTH,
)

# A condition that one of these has certain values keeps a policy from being open to everyone. Source:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-bpa-rbp.html
_BOUNDING_KEYS: Final = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
        *("aws:sourceaccount", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip", "aws:userid"),
        *("aws:principalservicename", "aws:sourceowner"),
    }
)
_BOUNDING_OPERATORS: Final = ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "IpAddress")


def parse_resource_policy(text: str, *, stream: bool) -> Policy:
    """The policy of a table or, with `stream`, of a stream. Raises ValidationException."""
    if len(text.encode()) > MAX_BYTES:
        raise parameter_error(f"Maximum policy size of {MAX_BYTES} bytes exceeded")
    try:
        policy = parse_policy(text, "resource")
    except MalformedPolicy as malformed:
        raise _invalid(malformed.message) from None
    statements = listed_values(read_json(text)["Statement"])
    _check_actions(statements, _OF_STREAMS if stream else _OF_TABLES)
    _check_resources(statements, stream=stream)
    if any(_is_unbounded(statement) for statement in statements):
        raise validation_error(_UNBOUNDED)
    return policy


def _invalid(problem: str) -> DynamoDBError:
    return parameter_error(f"Invalid policy document: {problem}")


def _check_actions(statements: list[dict[str, Any]], known: tuple[str, ...]) -> None:
    names = [f"dynamodb:{action}".lower() for action in known]
    invalid: dict[str, None] = {}
    for statement in statements:
        for action in listed_values(statement.get("Action", statement.get("NotAction"))):
            pattern = Template(action.lower(), variables=False).constant
            if pattern is None or not any(pattern.matches(name) for name in names):
                invalid[action] = None
    if invalid:
        listed = ", ".join(f'"{action}"' for action in invalid)
        raise _invalid(f"The following action names are invalid: {listed}")


def _check_resources(statements: list[dict[str, Any]], *, stream: bool) -> None:
    for statement in statements:
        for resource in listed_values(statement.get("Resource", statement.get("NotResource"))):
            if resource == "*":
                continue
            parts = resource.split(":", 5)
            relative = parts[5] if len(parts) == 6 else ""
            if not relative.startswith(("table/", "*")) or not _may_be(relative, stream=stream):
                raise _invalid(f'The relative-id "{relative}" is invalid for ARN "{resource}".')


def _may_be(relative: str, *, stream: bool) -> bool:
    if stream:
        return "/stream/" in relative or "*" in relative
    return "/stream/" not in relative


def _is_unbounded(statement: dict[str, Any]) -> bool:
    """Whether a statement allows something to everyone."""
    if statement["Effect"].lower() != "allow":
        return False
    principal = statement.get("Principal")
    everyone = "NotPrincipal" in statement or principal == "*"
    if isinstance(principal, dict):
        everyone = "*" in listed_values(principal.get("AWS", []))
    if not everyone:
        return False
    for operator, tests in statement.get("Condition", {}).items():
        if operator.partition(":")[2] or operator not in _BOUNDING_OPERATORS:
            continue
        for key, values in tests.items():
            if key.lower() in _BOUNDING_KEYS and not any(_is_open(str(each)) for each in listed_values(values)):
                return False
    return True


def _is_open(value: str) -> bool:
    return value in ("*", "0.0.0.0/0", "::/0") or "${" in value
