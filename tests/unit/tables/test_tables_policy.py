"""Policies: only actions that exist, only what is declared, only the declared tables; accepted by moto's IAM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from blotter.config import Configuration, load_configuration
from blotter.tables.declaring.declaration import parse_table
from blotter.tables.policy import IAM_ONLY, ROLES, make_policy

FULL = """
sort_key = { name = "n", type = "N" }
billing_mode = "PROVISIONED"
autoscaling.read = { min_capacity = 1, max_capacity = 2 }
autoscaling.write = { min_capacity = 1, max_capacity = 2 }
stream = "NEW_AND_OLD_IMAGES"
time_to_live = "x"
point_in_time_recovery = true
resource_policy = { Version = "2012-10-17" }
encryption = "AWS_MANAGED"
tags = { a = "b" }
replicas = ["eu-west-1"]
[tables.results.alarms.a]
metric = "ThrottledRequests"
threshold = 1
[tables.results.indexes.by-y]
partition_key = { name = "y", type = "S" }
provisioned_throughput = { read_capacity_units = 1, write_capacity_units = 1 }
"""
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/shop-results-dev"


def configured(tmp_path: Path, rest: str = "", region: str = "us-east-1") -> Configuration:
    file = tmp_path / "blotter.toml"
    file.write_text(
        f'app = "shop"\n[environments.dev]\nregion = "{region}"\naccount = "111122223333"\n'
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\n' + rest
    )
    return load_configuration(file, environ={})


def policy(configuration: Configuration, role: str, leading_key: str | None = None) -> dict[str, Any]:
    tables = [(table, parse_table(table, configuration.document)) for table in configuration.tables.values()]
    return make_policy(role, tables, configuration, leading_key)


def actions(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def test_every_action_is_an_operation_of_its_service() -> None:
    operations = {
        service: set(boto3.client(service, region_name="us-east-1").meta.service_model.operation_names)
        for service in ("dynamodb", "dynamodbstreams", "application-autoscaling", "cloudwatch", "kms")
    }
    operations["dynamodb"] |= operations.pop("dynamodbstreams") | IAM_ONLY
    for grants in ROLES.values():
        for grant in grants:
            assert set(grant.actions) <= operations[grant.service], grant.sid


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize("rest", ["", FULL], ids=["seed", "full"])
@mock_aws
def test_iam_takes_the_policy(tmp_path: Path, role: str, rest: str) -> None:
    document = policy(configured(tmp_path, rest), role)
    iam = boto3.client("iam", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    created = iam.create_policy(PolicyName=f"blotter-{role}", PolicyDocument=json.dumps(document))
    assert created["Policy"]["Arn"]


def test_the_seeds_table_needs_little(tmp_path: Path) -> None:
    configuration = configured(tmp_path)
    assert policy(configuration, "lambda")["Statement"] == [
        {
            "Sid": "WriteResults",
            "Effect": "Allow",
            "Action": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
            "Resource": [ARN],
        }
    ]
    assert actions(policy(configuration, "operator")) == {
        "dynamodb:CreateTable",
        "dynamodb:DescribeTable",
        "dynamodb:UpdateTable",
    }


def test_what_is_declared_brings_its_actions_and_resources(tmp_path: Path) -> None:
    configuration = configured(tmp_path, FULL)
    assert f"{ARN}/stream/*" in policy(configuration, "lambda")["Statement"][1]["Resource"]
    assert f"{ARN}/index/*" in policy(configuration, "api")["Statement"][1]["Resource"]
    wanted = {"dynamodb:UpdateTimeToLive", "dynamodb:TagResource", "cloudwatch:PutMetricAlarm", "kms:DescribeKey"}
    assert wanted <= actions(policy(configuration, "operator"))


def test_nobody_may_delete_a_table_and_who_describes_reads_no_item(tmp_path: Path) -> None:
    for role in ROLES:
        assert "dynamodb:DeleteTable" not in actions(policy(configured(tmp_path, FULL), role))
    for role in ("operator", "auditor"):
        assert not {"dynamodb:GetItem", "dynamodb:Scan"} & actions(policy(configured(tmp_path), role))


def test_leading_keys_limit_items_and_leave_no_scan(tmp_path: Path) -> None:
    document = policy(configured(tmp_path), "api", "uploads/*")
    assert "dynamodb:Scan" not in actions(document)
    assert document["Statement"][0]["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["uploads/*"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_other_partitions(tmp_path: Path, region: str, partition: str) -> None:
    document = policy(configured(tmp_path, region=region), "lambda")
    assert document["Statement"][0]["Resource"][0].startswith(f"arn:{partition}:dynamodb:{region}:")
