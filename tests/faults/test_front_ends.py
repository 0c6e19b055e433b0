"""Two servers on one PostgreSQL store: what they share, and what clients notice when they come and go."""

from __future__ import annotations

import configparser
import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import Serve, Serving, serve_command
from tests.faults.balancer import balanced
from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.plain_client import Client
from tests.waiting import wait_until

TABLE = {
    "TableName": "table",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TRIES = 4
"""Attempts of one request, as an SDK makes them."""


def root_key(file: Path) -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


def client(server: Serving, service: str, key: tuple[str, str]) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=config,
    )


def code_of(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_keys_and_policies_hold_on_every_server(serve: Serve, postgres_url: str) -> None:
    create_store(postgres_url)
    one, other = (serve("--store", postgres_url, "--workers", "2", "--access", "enforced") for _ in range(2))
    key = root_key(one.data_dir / "root-credentials")
    assert not (other.data_dir / "root-credentials").exists()

    client(one, "iam", key).create_user(UserName="ann")
    made = client(other, "iam", key).create_access_key(UserName="ann")["AccessKey"]
    ann = made["AccessKeyId"], made["SecretAccessKey"]
    everywhere = [client(server, "dynamodb", ann) for server in (one, other)]
    for _ in range(3):  # whichever worker answers, it has heard of the key
        assert {code_of(each.list_tables) for each in everywhere} == {"AccessDeniedException"}
    statement = {"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    client(one, "iam", key).put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
    wait_until(lambda: all(code_of(each.list_tables) == "" for each in everywhere))

    # A new root key, while the servers run: each follows.
    command, environment = serve_command()
    command = [sys.executable, "-m", "blotter", "access", "reset-root", "--store", postgres_url]
    folder = other.data_dir.parent / "operator"
    reset = subprocess.run(
        [*command, "--data-dir", str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert reset.returncode == 0, reset.stderr
    new = root_key(folder / "root-credentials")
    for server in (one, other):
        assert code_of(client(server, "dynamodb", new).list_tables) == ""
        wait_until(lambda: code_of(client(server, "dynamodb", key).list_tables) == "UnrecognizedClientException")  # noqa: B023


class Writers:
    """Clients behind a load balancer that put items until they are told to stop."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._address = address
        self.stored: list[set[str]] = [set() for _ in range(count)]
        self.lost: list[str] = []
        """Requests without an answer after as many attempts as an SDK makes."""
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        connection, count = Client(self._address), 0
        while not self._stopping.is_set():
            count += 1
            name = f"{number}-{count}"
            for attempt in range(TRIES):
                try:
                    status, answer = connection.call("PutItem", TableName="table", Item={"id": {"S": name}})
                except (OSError, http.client.HTTPException) as error:
                    answer = repr(error)
                    self._stopping.wait(0.05 * 2**attempt)
                    continue
                if status == 200:
                    self.stored[number].add(name)
                    break
            else:
                self.lost.append(f"{name}: {answer}")

    def progress(self) -> None:
        """Returns once each has stored a few items more."""
        before = [len(each) for each in self.stored]
        wait_until(lambda: all(len(now) > then + 3 for now, then in zip(self.stored, before, strict=True)))

    def stop(self) -> set[str]:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return set[str]().union(*self.stored)


def test_a_rolling_restart_loses_no_request(serve: Serve, postgres_url: str, tmp_path: Path) -> None:
    """The background work goes on too, whichever server did it."""
    create_store(postgres_url)
    objects = (tmp_path / "objects").as_uri()

    def with_objects(*arguments: str) -> Serving:
        return serve(*arguments, "--objects", objects)

    ends = FrontEnds(with_objects, [postgres_url, postgres_url])
    with balanced(ends.addresses) as address:
        assert Client(address).call("CreateTable", **TABLE)[0] == 200
        writers = Writers(address, 2)
        try:
            for number in range(2):
                writers.progress()
                assert ends.servers[number].stop() == 0
                writers.progress()
                ends.restart(number)
            ends.kill_child(0, "backgroun")
            ends.kill_child(1, "backgroun")
            writers.progress()
        finally:
            stored = writers.stop()
        assert writers.lost == []
        one = Client(ends.addresses[0])
        found: set[str] = set()
        page: dict[str, Any] = {"LastEvaluatedKey": None}
        while "LastEvaluatedKey" in page:
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page["LastEvaluatedKey"] else {}
            _, page = one.call("Scan", TableName="table", **start)
            found |= {item["id"]["S"] for item in page["Items"]}
        assert stored <= found
        status, backup = one.call("CreateBackup", TableName="table", BackupName="backup")
        assert status == 200, backup
        arn = backup["BackupDetails"]["BackupArn"]
        other = Client(ends.addresses[1])

        def status_of() -> str:
            _, described = other.call("DescribeBackup", BackupArn=arn)
            return str(described["BackupDescription"]["BackupDetails"]["BackupStatus"])

        wait_until(lambda: status_of() == "AVAILABLE")
