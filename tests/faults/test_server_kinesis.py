"""A Kinesis data stream gets every change at least once, in order for each item, while workers, the background
process and the endpoint are killed.

The stream is moto's. Before it stands an endpoint that can be down, or lose answers: Kinesis has stored the
records then, and Blotter cannot know. Writers send every version of an item until it is acknowledged, so what the
stream must hold is known exactly.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.faults.plain_client import Client
from tests.kinesis_stream import assert_in_order
from tests.moto_server import moto_server
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

ITEMS = 8
SECRET = "the-secret-access-key-of-kinesis"
SESSION = "the-session-token-of-kinesis"


class Endpoint:
    """Passes requests on to moto, unless it is `down` (connections are closed at once) or `loses_answers`."""

    def __init__(self, port_of_moto: int) -> None:
        self.down = False
        self.loses_answers = False
        self.lost = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if endpoint.down or len(body) < length:  # who sends it was killed
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port_of_moto)
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if endpoint.loses_answers:
                    endpoint.lost += 1
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name in ("Content-Type", "x-amzn-RequestId"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with moto_server() as moto:
        endpoint = Endpoint(moto.port)
        yield endpoint
        endpoint.close()


def _variables(endpoint: Endpoint) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_KINESIS": endpoint.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _boto3(service: str, url: str) -> Any:
    credentials = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **credentials)


def _new_stream(kinesis: Any, name: str) -> str:
    kinesis.create_stream(StreamName=name, ShardCount=2)
    return str(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"])


def _records(kinesis: Any, arn: str) -> list[dict[str, Any]]:
    """What the stream holds, shard by shard."""
    records = []
    name = arn.rpartition("/")[2]  # moto's iterators need it
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while page := kinesis.get_records(ShardIterator=iterator)["Records"]:
            last = page[-1]["SequenceNumber"]
            records += [json.loads(record["Data"]) for record in page]
            iterator = kinesis.get_shard_iterator(
                StreamName=name,
                ShardId=shard["ShardId"],
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                StartingSequenceNumber=last,
            )["ShardIterator"]
    return records


def _create_table(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _destination(dynamodb: Any, table: str) -> dict[str, Any]:
    found = dynamodb.describe_kinesis_streaming_destination(TableName=table)["KinesisDataStreamDestinations"]
    return dict(found[0])


class Writers:
    """Threads that write versions of their own items until stopped, each until it is acknowledged."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.expected: defaultdict[str, list[int | None]] = defaultdict(list)
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(3)]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        return sum(len(versions) for versions in list(self.expected.values()))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        client, address, version = Client(self.address), self.address, 0
        while not self._stop.is_set():
            version += 1
            key = f"{number}-{version % ITEMS}"
            item = {"id": {"S": key}, "n": {"N": str(version)}}
            while True:
                if address != self.address:
                    address = self.address
                    client = Client(address)
                try:
                    status, answer = client.call("PutItem", TableName="events", Item=item)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)
                    continue
                if status == 200:
                    break
                if status != 500:
                    self.failures.append(f"{status} {answer}")
                    return
            self.expected[key].append(version)
            time.sleep(0.01)  # the stream of moto gets slower the more it holds


def test_boto3_sees_a_destination_through_its_life(serve: Serve, endpoint: Endpoint) -> None:
    serving = serve("--workers", "1", "--log-level", "debug", variables=_variables(endpoint))
    dynamodb, kinesis = _boto3("dynamodb", serving.url), _boto3("kinesis", endpoint.url)
    arn = _new_stream(kinesis, "life")
    _create_table(dynamodb, "notes")
    missing = arn.replace("stream/life", "stream/missing")
    answer = dynamodb.enable_kinesis_streaming_destination(TableName="notes", StreamArn=missing)
    assert answer["DestinationStatus"] == "ENABLING"
    wait_until(lambda: _destination(dynamodb, "notes")["DestinationStatus"] == "ENABLE_FAILED")
    description = _destination(dynamodb, "notes")["DestinationStatusDescription"]
    assert description == "User does not have a permission to use kinesis stream"
    dynamodb.enable_kinesis_streaming_destination(TableName="notes", StreamArn=arn)
    wait_until(lambda: _destination(dynamodb, "notes")["DestinationStatus"] == "ACTIVE")
    endpoint.down = True
    dynamodb.put_item(TableName="notes", Item={"id": {"S": "a"}, "n": {"N": "1"}})
    wait_until(lambda: "DestinationStatusDescription" in _destination(dynamodb, "notes"))
    description = _destination(dynamodb, "notes")["DestinationStatusDescription"]
    assert description.startswith("Records cannot be delivered since ")
    endpoint.down = False
    wait_until(lambda: "DestinationStatusDescription" not in _destination(dynamodb, "notes"))
    dynamodb.delete_item(TableName="notes", Key={"id": {"S": "a"}})
    dynamodb.disable_kinesis_streaming_destination(TableName="notes", StreamArn=arn)
    wait_until(lambda: _destination(dynamodb, "notes")["DestinationStatus"] == "DISABLED")
    assert_in_order(_records(kinesis, arn), {"a": [1, None]})
    log = serving.log.read_text()
    assert "cannot be delivered" in log
    for secret in (SECRET, SESSION, "Signature="):
        assert secret not in log


def _kill_child(serving: Serving, kind: str, chance: random.Random) -> None:
    """Kills a process of a kind, once there is one: the one that was killed before may not be replaced yet."""

    def alive() -> list[int]:
        return [pid for name, pid in serving.children().items() if kind in name]

    found: list[int] = []
    wait_until(lambda: found.extend(alive()) or found)
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(found), signal.SIGKILL)


def _delivers_nothing(serving: Serving) -> bool:
    """Whether the background process is dead and not replaced yet."""
    return not any("backgroun" in name for name in serving.children())


def _loss_is_over(endpoint: Endpoint, lost: int, serving: Serving) -> bool:
    """Whether an answer was lost, or none can be."""
    return endpoint.down or endpoint.lost > lost or _delivers_nothing(serving)


def _kill(serve: Serve, endpoint: Endpoint, kinds: list[str], seed: int, data_dir: Path) -> None:
    chance = random.Random(seed)
    arguments = ("--workers", "2", "--table-delay", "0")
    variables = _variables(endpoint)
    serving = serve(*arguments, data_dir=data_dir, variables=variables)
    kinesis = _boto3("kinesis", endpoint.url)
    arn = _new_stream(kinesis, "events")
    dynamodb = _boto3("dynamodb", serving.url)
    _create_table(dynamodb, "events")
    dynamodb.enable_kinesis_streaming_destination(TableName="events", StreamArn=arn)
    writers = Writers(serving.address)
    try:
        for kind in kinds:
            before = writers.acknowledged
            wait_until(lambda before=before: writers.acknowledged > before + 20 or writers.failures)
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            if kind == "everything":
                os.killpg(serving.process.pid, signal.SIGKILL)
                serving.process.wait()
                serving = serve(*arguments, data_dir=data_dir, variables=variables)
                writers.address = serving.address
            elif kind == "down":
                endpoint.down = not endpoint.down
            elif kind == "loses answers":
                over = partial(_loss_is_over, endpoint, endpoint.lost, serving)
                endpoint.loses_answers = True
                wait_until(over)
                endpoint.loses_answers = False
            else:
                _kill_child(serving, kind, chance)
    finally:
        writers.stop()
        endpoint.down = False
    assert writers.failures == []
    wait_until(lambda: not _delivers_nothing(serving))
    dynamodb = _boto3("dynamodb", serving.url)
    dynamodb.disable_kinesis_streaming_destination(TableName="events", StreamArn=arn)
    wait_until(lambda: _destination(dynamodb, "events")["DestinationStatus"] == "DISABLED")
    assert_in_order(_records(kinesis, arn), dict(writers.expected))


def test_kills_and_outages_lose_and_reorder_nothing(serve: Serve, endpoint: Endpoint, tmp_path: Path) -> None:
    kinds = ["worker", "loses answers", "backgroun", "down", "worker", "down"]
    _kill(serve, endpoint, kinds, 1, tmp_path / "data")


@pytest.mark.slow
def test_a_hundred_kills_and_outages(serve: Serve, endpoint: Endpoint, tmp_path: Path) -> None:
    chance = random.Random(2)
    kinds = chance.choices(("worker", "backgroun", "down", "loses answers", "everything"), k=100)
    _kill(serve, endpoint, kinds, 2, tmp_path / "data")
