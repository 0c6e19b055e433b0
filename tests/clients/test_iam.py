"""IAM and STS with real clients on a real server with two workers and enforced access."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.conftest import Serve, Serving
from tests.iam_in_process import allow, trust
from tests.waiting import wait_until

ACCOUNT = "123456789012"
TABLE = {
    "AttributeDefinitions": [{"AttributeName": "file_key", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "file_key", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def _root(serving: Serving) -> boto3.Session:
    names, values = ("aws_access_key_id", "aws_secret_access_key"), {}
    for line in (serving.data_dir / "root-credentials").read_text().splitlines():
        name, _, value = line.partition("=")
        values[name.strip()] = value.strip()
    return boto3.Session(*(values[name] for name in names), region_name="us-east-1")


def _client(session: boto3.Session, service: str, serving: Serving) -> Any:
    return session.client(service, endpoint_url=serving.url)


def _works(call: Callable[[], Any]) -> bool:
    """Whether a call is allowed already: a change acts in every worker within a second."""
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in (
            "AccessDenied",
            "AccessDeniedException",
            "InvalidClientTokenId",
        ):
            raise
        return False
    return True


def test_a_role_in_a_profile_of_the_aws_cli(serve: Serve, tmp_path: Path) -> None:
    """From the root's key to a program that uses a role, as docs/iam.md tells it."""
    serving = serve("--access", "enforced", "--workers", "2")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_ENDPOINT_URL": serving.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "HOME": str(tmp_path),
    }

    def aws(credentials: Path, *command: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).parent / "aws")
        own = environment | {"AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
        return subprocess.run([program, *command], env=own, capture_output=True, text=True, check=False)

    root_file = serving.data_dir / "root-credentials"
    user = json.loads(aws(root_file, "iam", "create-user", "--user-name", "ann").stdout)["User"]
    root = _root(serving)
    iam = _client(root, "iam", serving)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    mine = tmp_path / "credentials"
    mine.write_text(
        f"[ann]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )
    (tmp_path / "config").write_text(
        f"[profile worker]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/worker\nsource_profile = ann\n"
        "external_id = seed\nrole_session_name = shift-1\nduration_seconds = 900\n"
    )
    trusting = trust(user["Arn"], Condition={"StringEquals": {"sts:ExternalId": "seed"}})
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trusting)
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/results"
    iam.put_role_policy(
        RoleName="worker", PolicyName="t", PolicyDocument=allow("dynamodb:DescribeTable", resource=table)
    )
    _client(root, "dynamodb", serving).create_table(TableName="results", **TABLE)
    ann = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    for _ in range(4):  # each of them may come to another worker
        wait_until(lambda: _works(_client(ann, "sts", serving).get_caller_identity))

    identity = json.loads(aws(mine, "--profile", "worker", "sts", "get-caller-identity").stdout)
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/shift-1"
    described = aws(mine, "--profile", "worker", "dynamodb", "describe-table", "--table-name", "results")
    assert json.loads(described.stdout)["Table"]["TableArn"] == table
    refused = aws(mine, "--profile", "worker", "dynamodb", "delete-table", "--table-name", "results")
    assert "AccessDeniedException" in refused.stderr
    assert "is not authorized to perform: dynamodb:DeleteTable" in refused.stderr
    wait_until(lambda: "LastUsedDate" in iam.get_role(RoleName="worker")["Role"]["RoleLastUsed"])
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]) == ("ann", "sts")


def test_many_at_once_keep_every_quota(enforced_server: Serving) -> None:
    """Requests of eight threads, which come to both workers: one makes the user, two make a key."""
    clients = [_client(_root(enforced_server), "iam", enforced_server) for _ in range(8)]

    def outcomes(call: Callable[[Any, int], Any]) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return sorted(pool.map(lambda number: _outcome(lambda: call(clients[number], number)), range(8)))

    made = outcomes(lambda iam, _: iam.create_user(UserName="many"))
    assert made == ["EntityAlreadyExists"] * 7 + ["ok"]
    keys = outcomes(lambda iam, _: iam.create_access_key(UserName="many"))
    assert keys == ["LimitExceeded"] * 6 + ["ok"] * 2
    tagged = outcomes(lambda iam, n: iam.tag_user(UserName="many", Tags=[{"Key": f"k{n}", "Value": ""}]))
    assert tagged == ["ok"] * 8
    assert len(clients[0].list_user_tags(UserName="many")["Tags"]) == 8


def _outcome(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def test_what_was_acknowledged_survives_a_kill(serve: Serve) -> None:
    serving = serve("--access", "enforced", "--workers", "2")
    session = _root(serving)
    iam = _client(session, "iam", serving)
    for number in range(5):
        iam.create_user(UserName=f"u{number}", Tags=[{"Key": "n", "Value": str(number)}])
    iam.create_policy(PolicyName="p", PolicyDocument=allow("iam:ListUsers"))
    iam.attach_user_policy(UserName="u0", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/p")
    key = iam.create_access_key(UserName="u0")["AccessKey"]
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    again = serve("--access", "enforced", "--workers", "2", data_dir=serving.data_dir)
    user = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    listed = _client(user, "iam", again).list_users()["Users"]
    assert [entry["UserName"] for entry in listed] == [f"u{number}" for number in range(5)]
    assert _client(_root(again), "iam", again).get_user(UserName="u4")["User"]["Tags"] == [
        {"Key": "n", "Value": "4"}
    ]


def test_a_key_that_was_made_inactive_stops_in_every_worker(enforced_server: Serving) -> None:
    serving = enforced_server
    iam = _client(_root(serving), "iam", serving)
    iam.create_user(UserName="inactive")
    key = iam.create_access_key(UserName="inactive")["AccessKey"]
    ann = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")

    def all_workers(state: bool) -> bool:
        """Whether ten new connections, which the workers share, all find the key that way."""
        return all(_works(_client(ann, "sts", serving).get_caller_identity) == state for _ in range(10))

    wait_until(lambda: all_workers(True))
    iam.update_access_key(UserName="inactive", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    wait_until(lambda: all_workers(False))
