"""A server whose access is enforced, with the AWS CLI and boto3 over real sockets: root key, users, sessions,
workers, accounts, what is refused and with which words."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import serve_command
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

ACCOUNT = "123456789012"
OTHER = "444455556666"
KEYS = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def root_key(file: Path) -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


def client(serving: Serving, service: str, key: tuple[str, ...], **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=serving.url,
        region_name="eu-west-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=key[2] if len(key) > 2 else None,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.fixture(scope="module")
def root(enforced_server: Serving) -> tuple[str, str]:
    return root_key(enforced_server.data_dir / "root-credentials")


def test_the_cli_needs_the_file_of_the_root_key_and_the_endpoint(enforced_server: Serving, tmp_path: Path) -> None:
    file = enforced_server.data_dir / "root-credentials"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"AWS_SHARED_CREDENTIALS_FILE={file}" in enforced_server.log.read_text()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_ENDPOINT_URL": enforced_server.url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "awscli", "sts", "get-caller-identity"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert json.loads(answer.stdout)["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_the_root_may_use_the_tables(enforced_server: Serving, root: tuple[str, str]) -> None:
    dynamodb = client(enforced_server, "dynamodb", root)
    table = dynamodb.create_table(TableName="root-table", **KEYS)["TableDescription"]
    assert table["TableArn"] == f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/root-table"
    dynamodb.put_item(TableName="root-table", Item={"id": {"S": "a"}, "large": {"S": "x" * 300_000}})
    assert len(dynamodb.get_item(TableName="root-table", Key={"id": {"S": "a"}})["Item"]["large"]["S"]) == 300_000


@pytest.mark.parametrize(
    ("service", "call", "unknown", "mismatch", "late"),
    [
        (
            "dynamodb",
            "list_tables",
            (400, "UnrecognizedClientException"),
            (400, "InvalidSignatureException"),
            (400, "InvalidSignatureException"),
        ),
        (
            "sts",
            "get_caller_identity",
            (403, "InvalidClientTokenId"),
            (403, "SignatureDoesNotMatch"),
            (403, "SignatureDoesNotMatch"),
        ),
        (
            "iam",
            "list_users",
            (403, "InvalidClientTokenId"),
            (403, "SignatureDoesNotMatch"),
            (403, "SignatureDoesNotMatch"),
        ),
    ],
)
def test_each_service_refuses_in_its_own_words(
    enforced_server: Serving,
    root: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    call: str,
    unknown: tuple[int, str],
    mismatch: tuple[int, str],
    late: tuple[int, str],
) -> None:
    assert refusal(getattr(client(enforced_server, service, ("AKIAIOSFODNN7EXAMPLE", "s")), call)) == unknown
    assert refusal(getattr(client(enforced_server, service, (root[0], "wrong")), call)) == mismatch
    for minutes in (-16, 16):
        moment = datetime.now().astimezone() + timedelta(minutes=minutes)
        with monkeypatch.context() as patch:
            patch.setattr("botocore.auth.get_current_datetime", lambda moment=moment, **_: _utc(moment))
            assert refusal(getattr(client(enforced_server, service, root), call)) == late


def test_unsigned_requests_reach_the_probes_only(enforced_server: Serving) -> None:
    unsigned = client(enforced_server, "dynamodb", ("a", "b"), signature_version=UNSIGNED)
    assert refusal(unsigned.list_tables) == (400, "MissingAuthenticationTokenException")
    with urlopen(f"{enforced_server.url}/health") as health:
        assert health.read() == b'{"status":"ok"}'


def test_a_presigned_url_is_as_good_as_a_signed_request(enforced_server: Serving, root: tuple[str, str]) -> None:
    sts = client(enforced_server, "sts", root)
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urlopen(url) as answer:
        assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in answer.read().decode()
    with pytest.raises(HTTPError) as refused:
        urlopen(url.replace("Expires=60", "Expires=61"))
    assert (refused.value.code, b"SignatureDoesNotMatch" in refused.value.read()) == (403, True)


def test_a_body_that_says_it_is_not_signed_is_refused(
    enforced_server: Serving, root: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SigV4Auth, "payload", lambda *_: "UNSIGNED-PAYLOAD")
    assert refusal(client(enforced_server, "dynamodb", root).list_tables) == (400, "InvalidSignatureException")


def test_a_change_of_a_key_reaches_every_worker(enforced_server: Serving, root: tuple[str, str]) -> None:
    iam = client(enforced_server, "iam", root)
    iam.create_user(UserName="ann")
    made = iam.create_access_key(UserName="ann")["AccessKey"]
    key = made["AccessKeyId"], made["SecretAccessKey"]

    def statuses() -> set[str]:
        """What ten new connections get; the workers share them."""
        found = set()
        for _ in range(10):
            try:
                found.add(client(enforced_server, "sts", key).get_caller_identity()["Arn"])
            except ClientError as error:
                found.add(error.response["Error"]["Code"])
        return found

    ann = f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert statuses() == {ann}  # a new key works everywhere at once
    iam.update_access_key(UserName="ann", AccessKeyId=key[0], Status="Inactive")
    wait_until(lambda: statuses() == {"InvalidClientTokenId"})
    iam.update_access_key(UserName="ann", AccessKeyId=key[0], Status="Active")
    wait_until(lambda: statuses() == {ann})
    wait_until(lambda: "LastUsedDate" in iam.get_access_key_last_used(AccessKeyId=key[0])["AccessKeyLastUsed"])
    used = iam.get_access_key_last_used(AccessKeyId=key[0])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "eu-west-1")
    iam.delete_access_key(UserName="ann", AccessKeyId=key[0])
    wait_until(lambda: statuses() == {"InvalidClientTokenId"})


def test_a_session_is_its_token(enforced_server: Serving, root: tuple[str, str]) -> None:
    credentials = client(enforced_server, "sts", root).get_session_token()["Credentials"]
    session = credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    assert client(enforced_server, "dynamodb", session).list_tables()["ResponseMetadata"]["HTTPStatusCode"] == 200
    token = session[2]
    for broken in (token[:-8], token[:40], token[:40] + ("A" if token[40] != "A" else "B") + token[41:], ""):
        key = (*session[:2], broken)
        expected = (400, "UnrecognizedClientException")
        assert refusal(client(enforced_server, "dynamodb", key).list_tables) == expected, broken


# Starts


def test_restarts_accounts_and_new_root_keys(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "data"
    serving = serve("--workers", "1", "--access", "enforced", data_dir=data)
    first = root_key(data / "root-credentials")
    serving.stop()
    blotter("access", "add-account", OTHER, "--data-dir", str(data))
    other = root_key(data / f"root-credentials-{OTHER}")
    blotter("access", "reset-root", "--data-dir", str(data))
    second = root_key(data / "root-credentials")
    copy = tmp_path / "copy"  # elsewhere, everything works as it did
    shutil.copytree(data, copy)
    (copy / "server.lock").unlink(missing_ok=True)
    serving = serve("--workers", "1", "--access", "enforced", data_dir=copy)
    assert "root key" not in serving.log.read_text()
    assert refusal(client(serving, "sts", first).get_caller_identity) == (403, "InvalidClientTokenId")
    for key, account in ((second, ACCOUNT), (other, OTHER)):
        assert client(serving, "sts", key).get_caller_identity()["Account"] == account
        dynamodb = client(serving, "dynamodb", key)
        assert dynamodb.list_tables()["TableNames"] == []
        arn = dynamodb.create_table(TableName="same", **KEYS)["TableDescription"]["TableArn"]
        assert arn == f"arn:aws:dynamodb:eu-west-1:{account}:table/same"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        blotter("access", "reset-root", "--data-dir", str(copy))
    assert "in use by another blotter server" in refused.value.stderr


def test_a_first_start_that_is_killed_leaves_no_half_written_credentials(serve: Serve, tmp_path: Path) -> None:
    """Killed at the moment at which each of the files that a first start makes is there."""
    for name in (".root-credentials-*", "root-credentials"):
        data = tmp_path / name.strip(".*")
        command, environment = serve_command("--port", "0", "--data-dir", str(data), "--access", "enforced")
        log = (tmp_path / "killed.log").open("ab")
        process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log)
        wait_until(lambda: any(data.glob(name)) or any(data.glob("root-credentials")))  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        serving = serve("--workers", "1", "--access", "enforced", data_dir=data)
        key = root_key(data / "root-credentials")
        assert client(serving, "sts", key).get_caller_identity()["Account"] == ACCOUNT
        assert not list(data.glob(".root-credentials*"))
        serving.stop()


def test_in_memory_the_credentials_are_in_a_folder_that_ends_with_the_server(serve: Serve) -> None:
    serving = serve("--in-memory", "--access", "enforced")
    file = Path(serving.log.read_text().partition("AWS_SHARED_CREDENTIALS_FILE=")[2].splitlines()[0])
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert client(serving, "sts", root_key(file)).get_caller_identity()["Account"] == ACCOUNT
    serving.stop()
    assert not file.parent.exists()


def blotter(*arguments: str) -> str:
    _, environment = serve_command()
    command = [sys.executable, "-m", "blotter", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
