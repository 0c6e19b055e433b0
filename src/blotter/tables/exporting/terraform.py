"""The declared tables as Terraform. Every value is written by `quoting.hcl`: none of it is ever a template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blotter.config import Configuration, ConfiguredTable
from blotter.tables.declaring.declaration import AWS_MANAGED, AWS_OWNED, TableDeclaration
from blotter.tables.exporting.requests import (
    Tables,
    endpoint_of,
    kebab,
    place_of,
    refuse,
    requests_beside,
    requests_for,
)
from blotter.tables.output.quoting import hcl
from blotter.tables.planning import desired


def as_terraform(tables: Tables, configuration: Configuration) -> str:
    """HCL for the hashicorp/aws provider, complete with the provider's region, account and endpoint."""
    blocks = [_provider(configuration)]
    blocks += [_table_blocks(table, declared) for table, declared in tables]
    return "\n\n".join("\n".join(block) for block in blocks)


class Block(dict[str, Any]):
    """A nested block, where a plain dict is a map."""


def _provider(configuration: Configuration) -> Iterator[str]:
    yield f"# {place_of(configuration)}"
    yield 'provider "aws" {'
    values: dict[str, Any] = {"region": configuration.region}
    if configuration.account:
        values["allowed_account_ids"] = [configuration.account]
    if configuration.endpoint:
        # Elsewhere than on AWS there may be no STS to ask for the account.
        values |= {"skip_credentials_validation": True, "skip_requesting_account_id": True}
        services = {
            "dynamodb": "dynamodb",
            "application-autoscaling": "appautoscaling",
            "cloudwatch": "cloudwatch",
        }
        found = {name: endpoint_of(configuration, service) for service, name in services.items()}
        values["endpoints"] = Block(found)
    yield from _body(values)
    yield "}"


def _table_blocks(table: ConfiguredTable, declared: TableDeclaration) -> Iterator[str]:
    for name, index in declared.indexes.items():
        several = any(len(parts) > 1 for parts in index.keys())  # noqa: SIM118
        refuse(several, table, f"index {name}: keys of several attributes", "Terraform", "the provider takes one")
    by_id = declared.encryption not in (None, AWS_OWNED, AWS_MANAGED) and not str(declared.encryption).startswith(
        "arn:"
    )
    refuse(by_id, table, "a key by its id", "Terraform", "the provider takes the key's ARN")
    values = _terraform_table(table.name, declared)
    yield f'resource "aws_dynamodb_table" {hcl(table.label)} {{'
    yield from _body(values)
    if declared.autoscaling:
        yield from ("  lifecycle {", "    ignore_changes = [read_capacity, write_capacity]", "  }")
    yield "}"
    if declared.resource_policy:
        yield from ("", f'resource "aws_dynamodb_resource_policy" {hcl(table.label)} {{')
        yield f"  resource_arn = aws_dynamodb_table.{table.label}.arn"
        yield f"  policy       = jsonencode({hcl(declared.resource_policy)})"
        yield "}"
    for number, request in enumerate(requests_beside(table.name, declared)):
        kind, values = _TERRAFORM[request.operation](request.parameters)
        yield from ("", f'resource "{kind}" {hcl(f"{table.label}_{number}")} {{')
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
        "tags": {key: value for key, value in (declared.tags or {}).items() if value is not False} or None,
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
        Block({kebab(key).replace("-", "_"): value for key, value in parameters.items()}) if parameters else None
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
            yield f"{pad}{key} = {hcl(value)}"
    for key, value in values.items():
        for block in value if isinstance(value, list) else [value]:
            if isinstance(block, Block):
                yield f"{pad}{key} {{"
                yield from _body(block, depth + 1)
                yield f"{pad}}}"
