"""A server with a master key: what clients store is in no file, whatever happens to the server.

Known texts are put everywhere a client can put one: names, keys, values, indexes, streams, tags, tokens, users.
Then every file of the directory is searched for them, and for the same in UTF-16, hexadecimal and base64: under
load, after a kill, after a stop, in snapshots.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import serve_command
from tests.moto_server import moto_server
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

WORDS = (
    "Tablenametext",
    "keytext",
    "valuetext",
    "binarytext",
    "tagtext",
    "tokentext",
    "Usernametext",
    "policytext",
    "backuptext",
)


@pytest.fixture
def master_key(tmp_path: Path) -> Path:
    path = tmp_path / "master-key"
    path.write_text(os.urandom(32).hex())
    path.chmod(0o600)
    return path


def _client(serving: Serving, service: str, **more: str) -> Any:
    credentials: dict[str, str] = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
    return boto3.client(service, endpoint_url=serving.url, region_name="us-east-1", **(credentials | more))


def _store_everywhere(serving: Serving, **credentials: str) -> None:
    client = _client(serving, "dynamodb", **credentials)
    client.create_table(
        TableName="Tablenametext",
        AttributeDefinitions=[{"AttributeName": "keytext", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "keytext", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-value",
                "KeySchema": [{"AttributeName": "keytext", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        Tags=[{"Key": "tagtext", "Value": "tagtext"}],
    )
    for number in range(60):
        item = {
            "keytext": {"S": f"keytext {number}"},
            "short": {"S": "valuetext"},
            "long": {"S": "valuetext" * (5000 if number % 10 == 0 else 50)},
            "binary": {"B": b"binarytext"},
        }
        client.put_item(TableName="Tablenametext", Item=item)
    writes = [{"Put": {"TableName": "Tablenametext", "Item": {"keytext": {"S": "keytext of a transaction"}}}}]
    client.transact_write_items(TransactItems=writes, ClientRequestToken="tokentext")
    client.update_time_to_live(
        TableName="Tablenametext", TimeToLiveSpecification={"Enabled": True, "AttributeName": "valuetext"}
    )
    copied = client.create_backup(TableName="Tablenametext", BackupName="backuptext")["BackupDetails"]["BackupArn"]
    wait_until(lambda: _is_available(client, copied))
    client.restore_table_from_backup(BackupArn=copied, TargetTableName="Tablenametext2")
    client.get_waiter("table_exists").wait(TableName="Tablenametext2", WaiterConfig={"Delay": 1})
    for number in range(30, 40):
        client.delete_item(TableName="Tablenametext", Key={"keytext": {"S": f"keytext {number}"}})


def _is_available(client: Any, arn: str) -> bool:
    details = client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
    return bool(details["BackupStatus"] == "AVAILABLE")


def _encodings(word: str) -> Iterator[bytes]:
    text = word.encode()
    yield from (text, text.upper(), word.encode("utf-16-le"), text.hex().encode(), text[::-1])
    for shift in range(3):  # wherever in a longer text it stands
        encoded = base64.b64encode(b"\0" * shift + text)
        yield encoded[4 if shift else 0 : -4]


def _found(directory: Path, words: tuple[str, ...] = WORDS) -> set[tuple[str, str]]:
    """Which file holds which word. Base64 is searched for without its ends, which depend on what stands around."""
    looked = {word: [each for each in _encodings(word) if len(each) >= 7] for word in words}
    found = set()
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found.update(
                (str(path.relative_to(directory)), word)
                for word, forms in looked.items()
                if any(form in content for form in forms)
            )
    return found


def _blotter(*arguments: str) -> subprocess.CompletedProcess[str]:
    command, environment = serve_command()
    return subprocess.run(
        [*command[:-1], *arguments], env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_search_finds_what_is_not_encrypted(serve: Serve) -> None:
    plain = serve("--workers", "2")
    _store_everywhere(plain)
    found = {word for _, word in _found(plain.data_dir)}
    assert found >= {"Tablenametext", "keytext", "valuetext", "tagtext"}
    assert plain.stop() == 0


def test_no_text_of_a_client_is_in_any_file(serve: Serve, master_key: Path, tmp_path: Path) -> None:
    settings = ("--access", "enforced", "--audit", "all", "--master-key", f"file:{master_key}")
    serving = serve(*settings)
    directory = serving.data_dir
    root = dict(
        line.split(" = ") for line in (directory / "root-credentials").read_text().splitlines() if " = " in line
    )
    _store_everywhere(serving, **root)
    iam = _client(serving, "iam", **root)
    iam.create_user(UserName="Usernametext")
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="Usernametext", PolicyName="policytext", PolicyDocument=document)
    secret = iam.create_access_key(UserName="Usernametext")["AccessKey"]["SecretAccessKey"]
    words = (*WORDS, secret, master_key.read_text())
    (directory / "root-credentials").rename(tmp_path / "root-credentials")  # as its owner is told to
    words = (*words, root["aws_secret_access_key"])
    assert not _found(directory, words)
    assert (directory / "blotter.db-wal").stat().st_size > 100_000
    copy = _blotter(
        "snapshot", str(tmp_path / "copy"), "--data-dir", str(directory), "--master-key", f"file:{master_key}"
    )
    assert copy.returncode == 0, copy.stderr
    assert not _found(tmp_path / "copy", words)
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    assert not _found(directory, words)
    again = serve(*settings, data_dir=directory)
    client = _client(again, "dynamodb", **root)
    assert client.describe_table(TableName="Tablenametext")["Table"]["ItemCount"] == 51
    assert again.stop() == 0
    assert not _found(directory, words)
    for log in (serving.log, again.log):
        assert not any(each in log.read_text() for each in words)
    for command in (["check"], ["keys", "rekey"], ["audit", "verify"]):
        done = _blotter(*command, "--data-dir", str(directory), "--master-key", f"file:{master_key}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert not _found(directory, words)
    under_another_key = serve(*settings, data_dir=directory)
    client = _client(under_another_key, "dynamodb", **root)
    (copied,) = client.list_backups()["BackupSummaries"]
    client.restore_table_from_backup(BackupArn=copied["BackupArn"], TargetTableName="Tablenametext3")
    client.get_waiter("table_exists").wait(TableName="Tablenametext3", WaiterConfig={"Delay": 1})
    assert client.describe_table(TableName="Tablenametext3")["Table"]["ItemCount"] == 61
    assert under_another_key.stop() == 0


def _refused(*arguments: str, **environment: str) -> str:
    command, kept = serve_command("--port", "0", *arguments)
    ended = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stdout
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_a_wrong_or_missing_key_is_one_line(serve: Serve, master_key: Path) -> None:
    key = master_key.read_text()
    serving = serve("--workers", "1", "--master-key", f"file:{master_key}")
    assert serving.stop() == 0
    place = ("--data-dir", str(serving.data_dir))
    assert "is encrypted, its master key is needed" in _refused(*place)
    assert "must be 32 random bytes" in _refused(*place, "--master-key", "env:MY_KEY", MY_KEY=key[:-1])
    command, environment = serve_command("--port", "0", *place, "--master-key", key)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, key in ended.stderr) == (2, False)


def test_a_key_in_aws_kms(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto_server() as server:
        settings = {
            "AWS_ENDPOINT_URL_KMS": server.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        kms = boto3.client(
            "kms",
            "us-east-1",
            endpoint_url=settings["AWS_ENDPOINT_URL_KMS"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
        data_dir = tmp_path / "kms"
        monkeypatch.setattr("tests.conftest.serve_command", _with_environment(settings))
        serving = serve("--workers", "1", "--master-key", f"aws-kms:{keys[0]}", data_dir=data_dir)
        client = _client(serving, "dynamodb")
        client.create_table(
            TableName="table",
            AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        shown = client.describe_table(TableName="table")["Table"]["SSEDescription"]
        assert shown == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": keys[0]}
        assert serving.stop() == 0
        place = ("--data-dir", str(data_dir), "--workers", "1")
        assert "is not the one that" in _refused(*place, "--master-key", f"aws-kms:{keys[1]}", **settings)
        away = settings | {"AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:1"}
        assert f"AWS KMS cannot be used with {keys[0]}" in _refused(
            *place, "--master-key", f"aws-kms:{keys[0]}", **away
        )
        again = serve("--workers", "1", "--master-key", f"aws-kms:{keys[0]}", data_dir=data_dir)
        assert _client(again, "dynamodb").list_tables()["TableNames"] == ["table"]
        assert again.stop() == 0


def _with_environment(settings: dict[str, str]) -> Callable[..., tuple[list[str], dict[str, str]]]:
    def command(*arguments: str) -> tuple[list[str], dict[str, str]]:
        line, environment = serve_command(*arguments)
        return line, environment | settings

    return command


def test_a_second_server_and_a_killed_worker(serve: Serve, master_key: Path) -> None:
    """A worker that is started again gets the key from the supervisor, whatever has become of the file."""
    settings = ("--workers", "2", "--master-key", f"file:{master_key}")
    serving = serve(*settings)
    assert "is in use by another blotter server" in _refused("--data-dir", str(serving.data_dir), *settings)
    master_key.unlink()
    before = serving.workers()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(serving.workers()) == 2 and not set(serving.workers().values()) & set(before.values()))
    assert _client(serving, "dynamodb").list_tables()["TableNames"] == []
    assert serving.stop() == 0
