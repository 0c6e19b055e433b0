"""The declared tables for those who deploy otherwise: as AWS CLI commands, CloudFormation or Terraform.

Each form is made from the same requests and parts that `apply` sends, so the tables come out the same; the tests
build them by the other tool and let `plan` find no difference. What a form cannot say is refused, never left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from blotter.config import ConfiguredTable
from blotter.tables import desired
from blotter.tables.aspects import ASPECTS, Gap
from blotter.tables.changes import Request
from blotter.tables.declaration import AWS_MANAGED, AWS_OWNED, TableDeclaration
from blotter.tables.errors import Exit, SetupError
from blotter.tables.observed import Observed
from blotter.tables.plan import creation

Tables = list[tuple[ConfiguredTable, TableDeclaration]]


def requests_for(name: str, declared: TableDeclaration) -> list[Request]:
    """Every request that makes the table from nothing, in order."""
    bare = Observed({"TableName": name, "BillingModeSummary": {"BillingMode": declared.billing_mode}})
    requests = [creation(name, declared)]
    for aspect in ASPECTS:
        wanted = aspect.wanted(declared)
        if aspect.at_creation or wanted in (None, False, {"enabled": False}):
            continue
        requests += aspect.requests(Gap(bare, declared, aspect.found(bare), wanted))
    return requests


# --- the AWS CLI


def as_cli(tables: Tables) -> str:
    """The seed's commands: describe is the reader's to add; create, wait, then the settings that follow."""
    lines = ["#!/usr/bin/env bash", "set -euo pipefail", 'AWS_PROFILE="${AWS_PROFILE:-default}"']
    for table, declared in tables:
        variable = f"{table.label}_TABLE".upper().replace("-", "_")
        first, *later = requests_for(table.name, declared)
        lines += ["", f'{variable}="${{{variable}:-{table.name}}}"', _command(first, table.name, variable)]
        lines.append(
            f'aws --profile "$AWS_PROFILE" \\\n    dynamodb wait table-exists \\\n    --table-name "${variable}"'
        )
        lines += [_command(request, table.name, variable) for request in later]
    return "\n".join(lines)


def _command(request: Request, name: str, variable: str) -> str:
    parts = [f'aws --profile "$AWS_PROFILE" \\\n    {request.service} {_kebab(request.operation)}']
    for parameter, value in request.parameters.items():
        if isinstance(value, bool):
            parts.append(f"--{_kebab(parameter)}" if value else f"--no-{_kebab(parameter)}")
            continue
        words = _words(parameter, value)
        if name in words:  # everything that is named after the table follows the variable
            words = '"' + words.strip("'").replace('"', '\\"').replace(name, f"${{{variable}}}") + '"'
        if words == f'"${{{variable}}}"':
            words = f'"${variable}"'
        parts.append(f"--{_kebab(parameter)} {words}")
    return " \\\n    ".join(parts)


def _words(parameter: str, value: Any) -> str:
    """The AWS CLI's shorthand where the seed uses it, JSON in quotes elsewhere."""
    if parameter in ("AttributeDefinitions", "KeySchema"):
        return " ".join(",".join(f"{key}={inner}" for key, inner in part.items()) for part in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text if re.fullmatch(r"[A-Za-z0-9_.:/-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _kebab(name: str) -> str:
    from botocore import xform_name

    return str(xform_name(name, "-"))


# --- CloudFormation


def as_cloudformation(tables: Tables) -> str:
    """A template in JSON. Tables are retained when the stack goes, as a set-up step's tables should be."""
    resources: dict[str, Any] = {}
    for table, declared in tables:
        _refuse(
            declared.replicas,
            table,
            "replicas",
            "CloudFormation",
            "AWS::DynamoDB::GlobalTable is another resource",
        )
        logical = "".join(part.capitalize() for part in re.split(r"[-_]", table.label)) + "Table"
        resources[logical] = {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": _table_properties(table.name, declared),
        }
        for number, request in enumerate(_beside(table.name, declared)):
            kind, properties = _RESOURCES[request.operation](request.parameters)
            resources[f"{logical}{kind.rpartition(':')[2]}{number}"] = {
                "Type": kind,
                "DependsOn": [logical] if number == 0 else [logical, f"{_last(resources)}"],
                "Properties": properties,
            }
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, indent=2)


def _last(resources: dict[str, Any]) -> str:
    return next(reversed(resources))


def _table_properties(name: str, declared: TableDeclaration) -> dict[str, Any]:
    properties = desired.create_parameters(name, declared)
    if declared.stream:
        properties["StreamSpecification"] = {"StreamViewType": declared.stream}
    if "SSESpecification" in properties:
        specification = properties["SSESpecification"]
        properties["SSESpecification"] = {"SSEEnabled": specification.pop("Enabled"), **specification}
    if declared.resource_policy:
        properties["ResourcePolicy"] = {"PolicyDocument": declared.resource_policy}
    if declared.time_to_live:
        properties["TimeToLiveSpecification"] = {"AttributeName": declared.time_to_live, "Enabled": True}
    for request in requests_for(name, declared):
        if request.operation == "UpdateContinuousBackups":
            properties["PointInTimeRecoverySpecification"] = request.parameters["PointInTimeRecoverySpecification"]
    return properties


def _beside(name: str, declared: TableDeclaration) -> list[Request]:
    return [request for request in requests_for(name, declared) if request.service != "dynamodb"]


_RESOURCES: dict[str, Any] = {
    "RegisterScalableTarget": lambda p: ("AWS::ApplicationAutoScaling::ScalableTarget", p),
    "PutScalingPolicy": lambda p: ("AWS::ApplicationAutoScaling::ScalingPolicy", p),
    "PutMetricAlarm": lambda p: ("AWS::CloudWatch::Alarm", p),
}


# --- Terraform


def as_terraform(tables: Tables) -> str:
    """HCL for the hashicorp/aws provider."""
    return "\n\n".join("\n".join(_terraform(table, declared)) for table, declared in tables)


class Block(dict[str, Any]):
    """A nested block, where a plain dict is a map."""


def _terraform(table: ConfiguredTable, declared: TableDeclaration) -> Iterator[str]:
    for name, index in declared.indexes.items():
        several = any(len(parts) > 1 for parts in index.keys())  # noqa: SIM118
        _refuse(several, table, f"index {name}: keys of several attributes", "Terraform", "the provider takes one")
    values = _terraform_table(table.name, declared)
    yield f'resource "aws_dynamodb_table" {_hcl(table.label)} {{'
    yield from _body(values)
    if declared.autoscaling:
        yield from ("  lifecycle {", "    ignore_changes = [read_capacity, write_capacity]", "  }")
    yield "}"
    if declared.resource_policy:
        yield from ("", f'resource "aws_dynamodb_resource_policy" {_hcl(table.label)} {{')
        yield f"  resource_arn = aws_dynamodb_table.{table.label}.arn"
        yield f"  policy       = jsonencode({json.dumps(declared.resource_policy)})"
        yield "}"
    for number, request in enumerate(_beside(table.name, declared)):
        kind, values = _TERRAFORM[request.operation](request.parameters)
        yield from ("", f'resource "{kind}" {_hcl(f"{table.label}_{number}")} {{')
        yield from _body(values)
        after = f"aws_dynamodb_table.{table.label}" if kind != "aws_appautoscaling_policy" else ""
        target = f"aws_appautoscaling_target.{table.label}_{number - 1}"
        yield f"  depends_on = [{after or target}]"
        yield "}"


def _terraform_table(name: str, declared: TableDeclaration) -> dict[str, Any]:
    parameters = desired.create_parameters(name, declared)
    sort = declared.sort_key
    values: dict[str, Any] = {
        "name": name,
        "billing_mode": parameters["BillingMode"],
        "hash_key": declared.partition_key.name,
        "range_key": sort.name if sort else None,
        **_capacity(parameters),
        "table_class": declared.table_class,
        "deletion_protection_enabled": declared.deletion_protection,
        "stream_enabled": None if declared.stream is None else bool(declared.stream),
        "stream_view_type": declared.stream or None,
        "attribute": [Block(name=name, type=kind) for name, kind in declared.attributes().items()],
        "global_secondary_index": [_index(index) for index in parameters.get("GlobalSecondaryIndexes", [])],
        "local_secondary_index": [
            _index(index, local=True) for index in parameters.get("LocalSecondaryIndexes", [])
        ],
        "ttl": Block(attribute_name=declared.time_to_live, enabled=True) if declared.time_to_live else None,
        "on_demand_throughput": _lower(parameters.get("OnDemandThroughput")),
        "warm_throughput": _lower(parameters.get("WarmThroughput")),
        "replica": [Block(region_name=region) for region in declared.replicas or []],
        "tags": declared.tags or None,
    }
    for request in requests_for(name, declared):
        if request.operation == "UpdateContinuousBackups":
            given = request.parameters["PointInTimeRecoverySpecification"]
            values["point_in_time_recovery"] = Block(
                enabled=True, recovery_period_in_days=given.get("RecoveryPeriodInDays")
            )
    if declared.encryption not in (None, AWS_OWNED):
        key = None if declared.encryption == AWS_MANAGED else declared.encryption
        values["server_side_encryption"] = Block(enabled=True, kms_key_arn=key)
    return values


def _index(index: dict[str, Any], *, local: bool = False) -> Block:
    keys = {part["KeyType"]: part["AttributeName"] for part in index["KeySchema"]}
    return Block(
        name=index["IndexName"],
        hash_key=None if local else keys["HASH"],
        range_key=keys.get("RANGE"),
        projection_type=index["Projection"]["ProjectionType"],
        non_key_attributes=index["Projection"].get("NonKeyAttributes"),
        **_capacity(index),
        on_demand_throughput=_lower(index.get("OnDemandThroughput")),
        warm_throughput=_lower(index.get("WarmThroughput")),
    )


def _capacity(described: dict[str, Any]) -> dict[str, Any]:
    units = described.get("ProvisionedThroughput", {})
    return {"read_capacity": units.get("ReadCapacityUnits"), "write_capacity": units.get("WriteCapacityUnits")}


def _lower(parameters: dict[str, Any] | None) -> Block | None:
    return (
        Block({_kebab(key).replace("-", "_"): value for key, value in parameters.items()}) if parameters else None
    )


_TERRAFORM: dict[str, Any] = {
    "RegisterScalableTarget": lambda p: (
        "aws_appautoscaling_target",
        {
            "service_namespace": p["ServiceNamespace"],
            "resource_id": p["ResourceId"],
            "scalable_dimension": p["ScalableDimension"],
            "min_capacity": p["MinCapacity"],
            "max_capacity": p["MaxCapacity"],
        },
    ),
    "PutScalingPolicy": lambda p: (
        "aws_appautoscaling_policy",
        {
            "name": p["PolicyName"],
            "policy_type": p["PolicyType"],
            "service_namespace": p["ServiceNamespace"],
            "resource_id": p["ResourceId"],
            "scalable_dimension": p["ScalableDimension"],
            "target_tracking_scaling_policy_configuration": Block(
                target_value=p["TargetTrackingScalingPolicyConfiguration"]["TargetValue"],
                predefined_metric_specification=_lower(
                    p["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
                ),
            ),
        },
    ),
    "PutMetricAlarm": lambda p: (
        "aws_cloudwatch_metric_alarm",
        {
            "alarm_name": p["AlarmName"],
            "namespace": p["Namespace"],
            "metric_name": p["MetricName"],
            "statistic": p["Statistic"],
            "threshold": p["Threshold"],
            "comparison_operator": p["ComparisonOperator"],
            "period": p["Period"],
            "evaluation_periods": p["EvaluationPeriods"],
            "treat_missing_data": p["TreatMissingData"],
            "alarm_actions": p["AlarmActions"] or None,
            "dimensions": {d["Name"]: d["Value"] for d in p["Dimensions"]},
        },
    ),
}


def _body(values: dict[str, Any], depth: int = 1) -> Iterator[str]:
    """Arguments, then blocks; None and empty lists are left out."""
    pad = "  " * depth
    for key, value in values.items():
        if isinstance(value, Block) or (
            isinstance(value, list) and any(isinstance(item, Block) for item in value)
        ):
            continue
        if value not in (None, []):
            yield f"{pad}{key} = {_hcl(value)}"
    for key, value in values.items():
        for block in value if isinstance(value, list) else [value]:
            if isinstance(block, Block):
                yield f"{pad}{key} {{"
                yield from _body(block, depth + 1)
                yield f"{pad}}}"


def _hcl(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_hcl(key)} = {_hcl(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_hcl, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("${", "$${").replace("%{", "%%{") if isinstance(value, str) else text


def _refuse(what: object, table: ConfiguredTable, name: str, form: str, why: str) -> None:
    if what:
        raise SetupError(f"tables.{table.label}: {name} cannot be exported as {form}: {why}", Exit.REFUSED)


FORMS = {"cli": as_cli, "cloudformation": as_cloudformation, "terraform": as_terraform}
