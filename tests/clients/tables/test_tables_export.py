"""The declared tables built by other tools come out as declared: `plan` then finds no difference.

The CLI form runs with the real AWS CLI; the CloudFormation form is checked by cfn-lint and deployed by moto's
CloudFormation. Terraform is not at hand in the tests, so its text is compared. Values that are hard to quote are
in tests/unit/tables/exporting/test_tables_export_values.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

Blotter = Any

EVERYTHING = """
stream = "NEW_AND_OLD_IMAGES"
time_to_live = "expires_at"
table_class = "STANDARD_INFREQUENT_ACCESS"
tags = { app = "crimes + data", team = "data" }

[tables.results.indexes.by_status]
partition_key = { name = "status", type = "S" }
sort_key = { name = "updated_at", type = "N" }
projection = ["rows"]
"""
SCALED = """
[tables.results]
partition_key = { name = "file_key", type = "S" }
billing_mode = "PROVISIONED"
autoscaling.read = { min_capacity = 2, max_capacity = 20 }
autoscaling.write = { min_capacity = 1, max_capacity = 10, target_utilization = 50 }
point_in_time_recovery = { recovery_period_in_days = 7 }

[tables.results.alarms.throttled]
metric = "ThrottledRequests"
threshold = 1
operation = "PutItem"
"""


def test_the_cli_form_is_the_seeds_commands(blotter_on_moto: Blotter) -> None:
    url = blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    aws = f'aws ${{AWS_PROFILE:+--profile "$AWS_PROFILE"}} --endpoint-url {url}'
    assert (
        blotter_on_moto("export", "--format", "cli").out
        == f"""\
#!/usr/bin/env bash
# {blotter_on_moto.app}, environment dev: region us-east-1, endpoint {url}
set -euo pipefail
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=

RESULTS_TABLE="${{RESULTS_TABLE:-{blotter_on_moto.table}}}"
{aws} \\
    dynamodb create-table \\
    --table-name "$RESULTS_TABLE" \\
    --attribute-definitions AttributeName=file_key,AttributeType=S \\
    --key-schema AttributeName=file_key,KeyType=HASH \\
    --billing-mode PAY_PER_REQUEST
{aws} \\
    dynamodb wait table-exists \\
    --table-name "$RESULTS_TABLE"
"""
    )


def run_with_the_real_cli(blotter: Blotter) -> None:
    (blotter.folder / "no-config").write_text("[profile x]\nregion = us-east-1\n")
    (blotter.folder / "no-credentials").write_text("[x]\naws_access_key_id = a\naws_secret_access_key = b\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = blotter.process_environment() | {"AWS_PROFILE": "x", "PATH": path}
    script = blotter("export", "--format", "cli").out
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_cli_form_makes_the_declared_tables(blotter: Blotter) -> None:
    table_class = 'table_class = "STANDARD_INFREQUENT_ACCESS"\n'  # moto forgets it
    blotter.declare(blotter.seed + EVERYTHING.replace(table_class if blotter.on_moto else "", ""))
    run_with_the_real_cli(blotter)
    check = blotter("plan", "--check")
    assert (check.code, check.err) == (0, ""), check.out


def test_the_cli_form_of_what_lies_around_a_table(blotter_on_moto: Blotter) -> None:
    blotter_on_moto.environ["AWS_ENDPOINT_URL"] = blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    blotter_on_moto.declare(SCALED)
    run_with_the_real_cli(blotter_on_moto)
    check = blotter_on_moto("plan", "--check")
    assert (check.code, check.err) == (0, ""), check.out


@pytest.mark.filterwarnings("ignore:Tried to parse")
@pytest.mark.parametrize("declaration", ["seed", EVERYTHING, SCALED], ids=["seed", "everything", "scaled"])
def test_the_cloudformation_form_is_valid_and_makes_the_declared_tables(
    blotter_on_moto: Blotter, tmp_path: Path, declaration: str
) -> None:
    moto = blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    blotter_on_moto.environ["AWS_ENDPOINT_URL"] = moto
    if declaration is not SCALED:
        declaration = blotter_on_moto.seed + declaration.replace("seed", "")
    blotter_on_moto.declare(declaration)
    template = blotter_on_moto("export", "--format", "cloudformation").out
    file = tmp_path / "template.json"
    file.write_text(template)
    lint = subprocess.run([Path(sys.executable).parent / "cfn-lint", file], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, "")
    cloudformation = boto3.client(
        "cloudformation",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    cloudformation.create_stack(StackName=blotter_on_moto.app, TemplateBody=template)
    # moto's CloudFormation makes the table and leaves these settings and resources out.
    left_out = {"time_to_live", "point_in_time_recovery", "table_class", "tags", "autoscaling", "alarms"}
    found = {change["what"] for change in blotter_on_moto("plan", "--json").json()["tables"][0]["changes"]}
    assert found <= left_out


def test_the_terraform_form(blotter_on_moto: Blotter) -> None:
    url = blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    blotter_on_moto.environ["AWS_ENDPOINT_URL"] = url
    blotter_on_moto.declare(blotter_on_moto.seed + EVERYTHING.replace("crimes +", "${x}"))
    assert (
        blotter_on_moto("export", "--format", "terraform").out
        == f"""\
# {blotter_on_moto.app}, environment dev: region us-east-1, endpoint {url}
provider "aws" {{
  region = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id = true
  endpoints {{
    dynamodb = "{url}"
    appautoscaling = "{url}"
    cloudwatch = "{url}"
  }}
}}

resource "aws_dynamodb_table" "results" {{
  name = "{blotter_on_moto.table}"
  billing_mode = "PAY_PER_REQUEST"
  hash_key = "file_key"
  table_class = "STANDARD_INFREQUENT_ACCESS"
  stream_enabled = true
  stream_view_type = "NEW_AND_OLD_IMAGES"
  tags = {{ "app" = "$${{x}} data", "team" = "data" }}
  attribute {{
    name = "file_key"
    type = "S"
  }}
  attribute {{
    name = "status"
    type = "S"
  }}
  attribute {{
    name = "updated_at"
    type = "N"
  }}
  global_secondary_index {{
    name = "by_status"
    hash_key = "status"
    range_key = "updated_at"
    projection_type = "INCLUDE"
    non_key_attributes = ["rows"]
  }}
  ttl {{
    attribute_name = "expires_at"
    enabled = true
  }}
}}
"""
    )
    blotter_on_moto.declare(SCALED)
    scaled = blotter_on_moto("export", "--format", "terraform").out
    assert 'resource "aws_appautoscaling_policy" "results_1"' in scaled
    assert "ignore_changes = [read_capacity, write_capacity]" in scaled
    assert scaled.count("{") == scaled.count("}")


def test_what_a_form_cannot_say_is_refused(blotter_on_moto: Blotter) -> None:
    blotter_on_moto.declare(blotter_on_moto.seed + 'replicas = ["eu-west-1"]\n')
    answer = blotter_on_moto("export", "--format", "cloudformation")
    assert (answer.code, answer.out) == (1, "")
    assert "tables.results: replicas cannot be exported as CloudFormation" in answer.err
