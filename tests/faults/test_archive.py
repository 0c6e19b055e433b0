"""A server whose machine is lost: what its archive holds is a beginning of what was written, nothing torn, nothing
out of order, and all of it once `blotter archive status` said so. Encrypted archives, and archives that are gone
for a while."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import serve_command
from tests.moto_server import moto_server
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


def client(serving: Serving) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=serving.url,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="x",
    )


def create(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "kind", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def blotter(*arguments: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    _, environment = serve_command()
    environment |= variables or {}
    command = [sys.executable, "-m", "blotter", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def status(serving: Serving, *arguments: str) -> dict[str, Any]:
    run = blotter("archive", "status", "--data-dir", str(serving.data_dir), "--json", *arguments)
    return json.loads(run.stdout) if run.stdout else {}


def has_all(serving: Serving, *arguments: str) -> bool:
    found = status(serving, *arguments)
    return bool(found) and found["base_at"] is not None and found["entries_behind"] == 0


def kill(serving: Serving) -> None:
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()


def numbers(dynamodb: Any, table: str, **index: str) -> list[int]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, **index)
    return sorted(int(item["id"]["S"]) for page in pages for item in page["Items"])


def test_what_is_recovered_is_a_beginning_of_what_was_written(serve: Serve, tmp_path: Path) -> None:
    archive = (tmp_path / "archive").as_uri()
    serving = serve("--workers", "2", "--archive", archive, "--archive-interval", "0.1")
    dynamodb = client(serving)
    create(dynamodb, "singles")
    create(dynamodb, "transactions")
    wait_until(lambda: has_all(serving))
    acknowledged = {"singles": -1, "transactions": -1}

    def write(table: str) -> None:
        """One after another, until the server is gone."""
        mine = client(serving)
        try:
            while True:
                number = acknowledged[table] + 1
                item = {"id": {"S": str(number)}, "kind": {"S": "x"}}
                if table == "singles":
                    mine.put_item(TableName=table, Item=item)
                else:
                    mine.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}}])
                acknowledged[table] = number
        except Exception:
            return

    threads = [threading.Thread(target=write, args=(table,)) for table in acknowledged]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(acknowledged.values()) > 100)
    for _ in range(2):  # The second time, it was shipped what was there the first time.
        shipped = status(serving)["shipped_through"]
        wait_until(lambda shipped=shipped: status(serving).get("shipped_through", 0) > shipped)
    kill(serving)
    for thread in threads:
        thread.join()
    shutil.rmtree(serving.data_dir)

    run = blotter("recover", "--from", archive, "--to", str(tmp_path / "recovered"))
    assert run.returncode == 0, run.stderr
    assert "2 tables" in run.stdout
    recovered = client(serve("--workers", "1", data_dir=tmp_path / "recovered"))
    for table, last in acknowledged.items():
        found = numbers(recovered, table)
        assert found == list(range(len(found)))
        assert len(found) <= last + 2
        assert numbers(recovered, table, IndexName="by-kind") == found
    assert numbers(recovered, "singles")
    recovered.put_item(TableName="singles", Item={"id": {"S": "-1"}, "kind": {"S": "new"}})


def test_an_encrypted_archive_needs_the_master_key(serve: Serve, tmp_path: Path) -> None:
    key = tmp_path / "master-key"
    key.write_text(os.urandom(32).hex())
    key.chmod(0o600)
    other = tmp_path / "other-key"
    other.write_text(os.urandom(32).hex())
    other.chmod(0o600)
    folder = tmp_path / "archive"
    master = ("--master-key", f"file:{key}")
    serving = serve("--workers", "1", "--archive", folder.as_uri(), "--archive-interval", "0.1", *master)
    dynamodb = client(serving)
    create(dynamodb, "Tablenametext")
    for number in range(50):
        item = {"id": {"S": str(number)}, "kind": {"S": "kindtext"}, "long": {"S": "valuetext" * 100}}
        dynamodb.put_item(TableName="Tablenametext", Item=item)
    wait_until(lambda: has_all(serving, *master))
    kill(serving)
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert content
    for word in (b"Tablenametext", b"kindtext", b"valuetext"):
        assert word not in content
    target = tmp_path / "recovered"
    for wrong in ((), ("--master-key", f"file:{other}")):
        run = blotter("recover", "--from", folder.as_uri(), "--to", str(target), *wrong)
        assert run.returncode == 2, run.stderr
        assert "master key" in run.stderr
        assert not target.exists()
    run = blotter("recover", "--from", folder.as_uri(), "--to", str(target), *master)
    assert run.returncode == 0, run.stderr
    assert numbers(client(serve("--workers", "1", *master, data_dir=target)), "Tablenametext") == list(range(50))
    assert b"valuetext" not in b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())


def test_an_archive_that_is_gone_for_a_while_is_caught_up(serve: Serve, tmp_path: Path) -> None:
    folder, aside = tmp_path / "archive", tmp_path / "aside"
    aside.mkdir()
    folder.symlink_to(aside)
    serving = serve("--workers", "1", "--archive", folder.as_uri(), "--archive-interval", "0.1")
    dynamodb = client(serving)
    create(dynamodb, "table")
    wait_until(lambda: has_all(serving))
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "file").replace(folder)  # from one moment to the next: the server makes folders that are missing
    for number in range(20):  # service goes on
        dynamodb.put_item(TableName="table", Item={"id": {"S": str(number)}, "kind": {"S": "x"}})
    wait_until(lambda: "nothing can be shipped to the archive" in serving.log.read_text())
    assert status(serving)["entries_behind"] > 0
    (tmp_path / "link").symlink_to(aside)
    (tmp_path / "link").replace(folder)
    wait_until(lambda: has_all(serving))
    wait_until(lambda: "is shipped" in serving.log.read_text() or "are shipped" in serving.log.read_text())
    kill(serving)
    run = blotter("recover", "--from", folder.as_uri(), "--to", str(tmp_path / "recovered"), "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["items"] == 20


def test_an_archive_in_a_bucket(serve: Serve, tmp_path: Path) -> None:
    with moto_server() as moto:
        variables = {
            "AWS_ENDPOINT_URL_S3": moto.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL_S3"],
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        ).create_bucket(Bucket="archive")
        url = "s3://archive/some/where"
        serving = serve("--workers", "1", "--archive", url, "--archive-interval", "0.1", variables=variables)
        dynamodb = client(serving)
        create(dynamodb, "table")
        for number in range(5):
            dynamodb.put_item(TableName="table", Item={"id": {"S": str(number)}, "kind": {"S": "x"}})
        wait_until(lambda: has_all(serving))
        kill(serving)
        run = blotter("recover", "--from", url, "--to", str(tmp_path / "recovered"), "--json", variables=variables)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["items"] == 5


@pytest.mark.parametrize("arguments", [("--from", "ftp://x"), ("--from", "file:///nowhere/at/all")])
def test_what_is_no_archive_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    run = blotter("recover", *arguments, "--to", str(tmp_path / "recovered"))
    assert run.returncode == 2
    assert run.stderr.startswith("blotter recover: ")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "recovered").exists()


def test_a_directory_without_an_archive_says_so(serve: Serve) -> None:
    serving = serve("--workers", "1")
    run = blotter("archive", "status", "--data-dir", str(serving.data_dir))
    assert run.returncode == 2
    assert "has no archive" in run.stderr
