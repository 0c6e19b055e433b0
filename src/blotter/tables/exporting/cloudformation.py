"""The declared tables as a CloudFormation template in JSON.

JSON leaves no text that could be code, but CloudFormation reads some values itself: `{{resolve:…}}` in any string
and an object whose only key is `Ref` or `Fn::…`. Neither can be escaped: a declaration that has them is refused.
`${…}` is text here, since the template uses no `Fn::Sub`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from blotter.config import Configuration
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.exporting.requests import Tables, place_of, refuse, requests_beside, requests_for
from blotter.tables.output.quoting import json_text
from blotter.tables.planning import desired


def as_cloudformation(tables: Tables, configuration: Configuration) -> str:
    """A template. Tables are retained when the stack goes, as a set-up step's tables should be.

    A template has no region, account or endpoint; its description names those of the declaration.
    """
    resources: dict[str, Any] = {}
    for table, declared in tables:
        why = "AWS::DynamoDB::GlobalTable is another resource"
        refuse(declared.replicas, table, "replicas", "CloudFormation", why)
        properties = _table_properties(table.name, declared)
        logical = _free("".join(part.capitalize() for part in re.split(r"[-_]", table.label)) + "Table", resources)
        resources[logical] = {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        }
        before = logical
        for request in requests_beside(table.name, declared):
            kind = _RESOURCES[request.operation]
            name = _free(f"{logical}{kind.rpartition(':')[2]}", resources)
            resources[name] = {
                "Type": kind,
                "DependsOn": [logical] if before == logical else [logical, before],
                "Properties": request.parameters,
            }
            before = name
        made = [resources[name]["Properties"] for name in resources]
        for read in _read_by_cloudformation(made):
            refuse(True, table, read, "CloudFormation", "it would be evaluated instead of taken as it is")
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": place_of(configuration)[:1000].replace("{{", "{ {"),
        "Resources": resources,
    }
    return json_text(template, indent=2)


def _free(name: str, taken: dict[str, Any]) -> str:
    """A logical name that no other resource has: labels may differ only in what it cannot hold."""
    number = 1
    while (free := name if number == 1 else f"{name}{number}") in taken:
        number += 1
    return free


def _read_by_cloudformation(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if len(value) == 1 and re.match(r"Ref$|Fn::", next(iter(value))):
            yield f"{next(iter(value))!r} in a policy"
        for key, inner in value.items():
            yield from _read_by_cloudformation(key)
            yield from _read_by_cloudformation(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _read_by_cloudformation(inner)
    elif isinstance(value, str) and "{{resolve:" in value:
        yield "a value with {{resolve:"


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


_RESOURCES = {
    "RegisterScalableTarget": "AWS::ApplicationAutoScaling::ScalableTarget",
    "PutScalingPolicy": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "PutMetricAlarm": "AWS::CloudWatch::Alarm",
}
