"""`blotter store copy` beside a server under load: what was acknowledged is in the copy, whose server goes on."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import serve_command
from tests.faults.plain_client import Client
from tests.unit.database.store_copy.histories import create_table

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

WRITERS = 3
TWO_WORKERS = ("--workers", "2", "--table-delay", "0")


class Writer(threading.Thread):
    """Counts items of its own up, one after another, until its server is gone."""

    def __init__(self, serving: Serving, number: int) -> None:
        super().__init__(daemon=True)
        self.name = f"w{number}"
        self.acknowledged = 0
        self.sent = 0
        self.refused: list[int] = []
        """Statuses of answers that were no success."""
        self._address = serving.address

    def run(self) -> None:
        client = Client(self._address)
        try:
            while True:
                self.sent += 1
                item = {"p": {"S": self.name}, "s": {"N": str(self.sent % 50)}, "v": {"N": str(self.sent)}}
                status, _ = client.call("PutItem", TableName="first", Item=item)
                if status != 200:
                    self.refused.append(status)
                    continue
                self.acknowledged = self.sent
        except (OSError, http.client.HTTPException):
            return


def copy_command(source: Path | str, target: Path | str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    command, environment = serve_command()
    return [*command[:-1], "store", "copy", str(source), str(target), *arguments], environment


def greatest(client: Any, name: str) -> int:
    """The greatest number that a writer has stored."""
    found = client.query(
        TableName="first", KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": {"S": name}}
    )
    return max(int(item["v"]["N"]) for item in found["Items"])


def boto(url: str, service: str, **credentials: str) -> Any:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "a"} | credentials
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)


@contextmanager
def written_to(serving: Serving) -> Iterator[list[Writer]]:
    """Writers that write until the server is gone."""
    writers = [Writer(serving, number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    yield writers
    for writer in writers:
        writer.join(60)
    refused = [status for writer in writers for status in writer.refused]
    assert set(refused) <= {500}  # which SDKs repeat; none should be needed, so the log is shown
    if refused:
        warnings.warn(f"{len(refused)} writes were refused: {serving.log.read_text()}", stacklevel=1)


def check_copy(serving: Serving, writers: list[Writer]) -> None:
    """What was acknowledged is there, in the index too, and the server goes on."""
    client = boto(serving.url, "dynamodb")
    for writer in writers:
        assert writer.acknowledged <= greatest(client, writer.name) <= writer.sent
    client.put_item(TableName="first", Item={"p": {"S": "later"}, "s": {"N": "1"}})
    scanned = client.scan(TableName="first", IndexName="by-v")
    assert scanned["Count"] == client.scan(TableName="first")["Count"] - 1


def test_a_server_under_load_moves_to_another_directory(serve: Serve, tmp_path: Path) -> None:
    serving, target = serve(*TWO_WORKERS), tmp_path / "target"
    boto(serving.url, "dynamodb").create_table(**create_table("first", stream=True))
    with written_to(serving) as writers:
        command, environment = copy_command(serving.data_dir, target, "--stop-source", "--json")
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
    assert "stopping what uses" in result.stderr
    assert json.loads(result.stdout)["tables"] == 1
    check_copy(serve(*TWO_WORKERS, data_dir=target), writers)


@pytest.mark.slow
def test_servers_under_load_move_to_postgres_and_back(serve: Serve, tmp_path: Path, postgres_url: str) -> None:
    serving = serve(*TWO_WORKERS)
    boto(serving.url, "dynamodb").create_table(**create_table("first", stream=True))
    with written_to(serving) as writers:
        command, environment = copy_command(serving.data_dir, postgres_url, "--stop-source")
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
    serving = serve(*TWO_WORKERS, "--store", postgres_url)
    check_copy(serving, writers)
    with written_to(serving) as writers:
        command, environment = copy_command(postgres_url, tmp_path / "back")
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while f"stop the servers on {postgres_url}" not in (line := process.stderr.readline()):
                assert line, process.wait()
            assert serving.stop() == 0
            _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    check_copy(serve(*TWO_WORKERS, data_dir=tmp_path / "back"), writers)


@pytest.mark.slow
def test_keys_of_users_work_on_the_copy(serve: Serve, tmp_path: Path) -> None:
    """They are sealed under the secret of the directory, which moves with them."""
    serving = serve("--access", "enforced", "--table-delay", "0")
    lines = (serving.data_dir / "root-credentials").read_text().splitlines()
    root = dict(line.split(" = ") for line in lines if " = " in line)
    iam = boto(serving.url, "iam", **root)
    iam.create_user(UserName="u")
    policy = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    iam.put_user_policy(
        UserName="u", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", **policy})
    )
    key = iam.create_access_key(UserName="u")["AccessKey"]
    assert serving.stop() == 0
    command, environment = copy_command(serving.data_dir, tmp_path / "target")
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    url = serve("--access", "enforced", "--table-delay", "0", data_dir=tmp_path / "target").url
    user = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    assert boto(url, "dynamodb", **user).list_tables()["TableNames"] == []


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_copy_that_is_ended_while_it_follows_leaves_the_server_alone(
    serve: Serve, tmp_path: Path, sent: signal.Signals
) -> None:
    serving, target = serve(*TWO_WORKERS), tmp_path / "target"
    client = boto(serving.url, "dynamodb")
    client.create_table(**create_table("first"))
    command, environment = copy_command(serving.data_dir, target)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "changes behind and following: stop the server on" in process.stderr.readline()
        process.send_signal(sent)
        process.communicate(timeout=60)
    assert process.returncode == (130 if sent != signal.SIGKILL else -signal.SIGKILL)
    assert not target.exists()
    client.put_item(TableName="first", Item={"p": {"S": "a"}, "s": {"N": "1"}})
    command, environment = copy_command(serving.data_dir, target, "--stop-source")
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    client = boto(serve(data_dir=target).url, "dynamodb")
    assert client.scan(TableName="first")["Count"] == 1
