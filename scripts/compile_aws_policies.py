"""Writes the managed policies of AWS that Blotter knows: `database/services/iam/aws_policies.json`.

AWS publishes them (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/); moto, a development
dependency, carries a current copy of all of them. `NAMES` are those that people attach to principals of a
database. The two that list thousands of actions of every service are reduced to the services that answer here
(docs/differences-from-dynamodb.md).

Run `python scripts/compile_aws_policies.py` after upgrading moto; `--check` only compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

TARGET = Path(__file__).resolve().parent.parent / "src" / "blotter" / "database" / "services" / "iam"
FILE = TARGET / "aws_policies.json"

NAMES = (
    "AWSCloudTrail_FullAccess",
    "AWSCloudTrail_ReadOnlyAccess",
    "AWSDenyAll",
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaInvocation-DynamoDB",
    "AdministratorAccess",
    "AmazonDynamoDBFullAccess",
    "AmazonDynamoDBFullAccess_v2",
    "AmazonDynamoDBReadOnlyAccess",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "CloudWatchFullAccess",
    "CloudWatchReadOnlyAccess",
    "DatabaseAdministrator",
    "IAMFullAccess",
    "IAMReadOnlyAccess",
    "IAMUserChangePassword",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "ViewOnlyAccess",
)

REDUCED = ("ReadOnlyAccess", "ViewOnlyAccess")
SERVICES = ("application-autoscaling", "cloudtrail", "cloudwatch", "dax", "dynamodb", "iam", "kms", "sts", "tag")


def compile_policies() -> dict[str, Any]:
    published = json.loads(aws_managed_policies_data)
    return {name: _compile(name, published[name]) for name in NAMES}


def _compile(name: str, policy: dict[str, Any]) -> dict[str, Any]:
    document = policy["Document"]
    if name in REDUCED:
        statements = [kept for statement in document["Statement"] if (kept := _reduced(statement))]
        document = document | {"Statement": statements}
    return {
        "path": policy["Path"],
        "version": policy["DefaultVersionId"],
        "created": _seconds(policy["CreateDate"]),
        "updated": _seconds(policy["UpdateDate"]),
        "document": document,
    }


def _reduced(statement: dict[str, Any]) -> dict[str, Any] | None:
    actions = [action for action in statement["Action"] if action.partition(":")[0] in SERVICES]
    return statement | {"Action": actions} if actions else None


def _seconds(date: str) -> int:
    return int(datetime.fromisoformat(date).timestamp())


def render(policies: dict[str, Any]) -> str:
    """One line for each policy, so that a diff shows which changed."""
    lines = (f"{json.dumps(name)}:{json.dumps(policy, sort_keys=True)}" for name, policy in policies.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    text = render(compile_policies())
    if parser.parse_args().check:
        return 0 if FILE.read_text() == text else 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
