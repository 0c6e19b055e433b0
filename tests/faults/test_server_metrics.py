"""The metrics of a running server against what its clients were told, while its processes are killed."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from blotter.database.encryption.master_keys import parse_master_key
from blotter.database.metrics.names import DYNAMODB
from blotter.database.metrics.point_store import known_metrics, read_points
from blotter.database.metrics.prometheus import metric_name
from blotter.database.storage.protocol import ReadTransaction, Storage
from blotter.database.storage.stores import store_at
from tests.conftest import serve_command
from tests.faults.plain_client import Client
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]
ACCOUNT, REGION = "123456789012", "us-east-1"
UNITS = ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
TABLES = {"results": "PAY_PER_REQUEST", "uploads": "PAY_PER_REQUEST"}


def stored_sums(data_dir: Path, master_key: str = "") -> dict[tuple[str, ...], float]:
    """What the directory of a stopped server says: sums by name and values of dimensions. Read in a new process:
    the store forks, which one that has used a cipher must not, and other tests may have used one in this."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_stored_sums, data_dir, master_key).result()


def _stored_sums(data_dir: Path, master_key: str) -> dict[tuple[str, ...], float]:
    store = store_at(f"sqlite:{data_dir}", parse_master_key(master_key) if master_key else None)

    def read(tx: ReadTransaction) -> dict[tuple[str, ...], float]:
        return {
            (each.metric.name, *(value for _, value in each.metric.dimensions)): sum(
                point.total for _, point in read_points(tx, each.metric, 3600, 0, 1 << 33)
            )
            for each in known_metrics(tx, ACCOUNT, REGION, DYNAMODB)
        }

    async def fetch(storage: Storage) -> dict[tuple[str, ...], float]:
        return await storage.fetch(read)

    store.claim()
    try:
        return store.run_apart(fetch)
    finally:
        store.release()


class Load:
    """Clients that add up what they are told. A request that was not answered may have been counted or not."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self.told: Counter[tuple[str, str]] = Counter()
        self.unknown: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def make_tables(self) -> None:
        client = Client(self._serving.address)
        for name, mode in TABLES.items():
            answer = client.call(
                "CreateTable",
                TableName=name,
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                BillingMode=mode,
            )
            assert answer[0] == 200

    def send(self, client: Client, number: int) -> None:
        table = list(TABLES)[number % 2]
        key = {"id": {"S": f"id-{number % 50}"}}
        writes = number % 3 == 0
        metric = UNITS[writes], table
        try:
            if writes:
                item = {**key, "x": {"S": "x" * (number % 5 * 900)}}
                operation, more = "PutItem", {"Item": item}
            else:
                operation, more = "GetItem", {"Key": key}
            status, answer = client.call(operation, TableName=table, ReturnConsumedCapacity="TOTAL", **more)
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.unknown[metric] += 5
            return
        assert status == 200, answer
        with self._lock:
            self.told[metric] += answer["ConsumedCapacity"]["CapacityUnits"]

    def run(self, start: int, requests: int, clients: int = 4) -> None:
        def work(number: int) -> None:
            client = Client(self._serving.address)
            for each in range(start + number, start + requests, clients):
                self.send(client, each)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_units_are_exact_over_restarts(serve: Serve, tmp_path: Path, encrypted: bool) -> None:
    """Every process is killed in turn between requests; then the server stops, and starts again on the data."""
    options = ["--workers", "2"]
    master_key = ""
    if encrypted:
        key_file = tmp_path / "master.key"
        key_file.write_bytes(os.urandom(32).hex().encode())
        key_file.chmod(0o600)
        master_key = f"file:{key_file}"
        options += ["--master-key", master_key]
    serving = serve(*options)
    load = Load(serving)
    load.make_tables()
    for number, name in enumerate(["worker 1", "backgroun", "worker 2"]):
        load.run(1000 * number, 120)
        victim = next(pid for each, pid in serving.children().items() if name in each)
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda victim=victim: victim not in serving.children().values() and len(serving.children()) == 3
        )
    load.run(5000, 120)
    assert not load.unknown
    assert serving.stop() == 0
    sums = stored_sums(serving.data_dir, master_key)
    assert {place: units for place, units in sums.items() if place[0] in UNITS} == dict(load.told)
    # Another run adds to them.
    again = serve(*options, data_dir=serving.data_dir)
    more = Load(again)
    more.run(6000, 50)
    assert again.stop() == 0
    sums = stored_sums(serving.data_dir, master_key)
    assert {place: units for place, units in sums.items() if place[0] in UNITS} == dict(load.told + more.told)


def test_units_of_killed_workers_under_load(serve: Serve) -> None:
    """A worker is killed in the middle of requests: at most those that were not answered are in doubt."""
    serving = serve("--workers", "2")
    load = Load(serving)
    load.make_tables()
    killed = threading.Event()

    def kill() -> None:
        for _ in range(3):
            workers = serving.workers()
            for victim in workers.values():
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                break
            wait_until(lambda: len(serving.workers()) == 2)
        killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    start = 0
    while not killed.is_set():
        load.run(start, 60)
        start += 1000
    thread.join()
    load.run(start, 60)
    assert serving.stop() == 0
    sums = stored_sums(serving.data_dir)
    for place in {*load.told, *load.unknown}:
        assert load.told[place] <= sums[place] <= load.told[place] + load.unknown[place]


def test_without_metrics_nothing_is_stored(serve: Serve) -> None:
    serving = serve("--workers", "1", "--metrics", "off")
    load = Load(serving)
    load.make_tables()
    load.run(0, 20)
    assert serving.stop() == 0
    assert stored_sums(serving.data_dir) == {}


def test_a_server_in_memory_counts(serve: Serve) -> None:
    serving = serve("--in-memory")
    load = Load(serving)
    load.make_tables()
    load.run(0, 20)
    assert serving.stop() == 0


def test_prometheus_reads_what_all_processes_counted(serve: Serve) -> None:
    """Lines of JSON, a slow request among them, and the numbers that a client was told."""
    serving = serve(
        *("--workers", "2", "--metrics-port", "0", "--log-format", "json", "--slow-requests", "0.000000001")
    )
    load = Load(serving)
    load.make_tables()
    load.run(0, 100)
    lines = [json.loads(line) for line in serving.log.read_text().splitlines()]
    (url,) = (line["message"].removeprefix("metrics on ") for line in lines if "metrics on" in line["message"])
    slow = [line for line in lines if line["message"] == "slow request"]
    assert {line["operation"] for line in slow} >= {"CreateTable", "PutItem", "GetItem"}
    assert all(line["request_id"] and line["milliseconds"] > 0 for line in slow)

    def sums() -> dict[tuple[str, ...], float]:
        with urllib.request.urlopen(url, timeout=60) as answer:
            families = {family.name: family for family in parse(answer.read().decode())}
        return {
            (unit, sample.labels["table"]): sample.value
            for unit in UNITS
            for sample in families[metric_name(unit)].samples
            if sample.name.endswith("_total")
        }

    assert sums() == dict(load.told)
    os.kill(next(iter(serving.workers().values())), signal.SIGKILL)
    wait_until(lambda: len(serving.workers()) == 2)
    load.run(1000, 60)
    assert sums() == dict(load.told)
    assert serving.stop() == 0


def test_a_metrics_port_that_is_taken(serve: Serve) -> None:
    serving = serve("--workers", "1")
    command, environment = serve_command("--port", "0", "--in-memory", "--metrics-port", str(serving.address[1]))
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "choose another with --metrics-port or BLOTTER_METRICS_PORT" in ended.stderr


@pytest.mark.slow
def test_units_are_exact_over_minutes_of_load_and_kills(serve: Serve) -> None:
    """Four minutes of requests, in which any process of the server may be killed between two rounds of them."""
    serving = serve("--workers", "2")
    load, chance = Load(serving), random.Random(14)
    load.make_tables()
    deadline = time.monotonic() + 240
    number = 0
    while time.monotonic() < deadline:
        load.run(1000 * number, 300)
        number += 1
        if chance.random() < 0.2:
            os.kill(chance.choice(list(serving.children().values())), signal.SIGKILL)
            wait_until(lambda: len(serving.children()) == 3)
    assert not load.unknown
    assert serving.stop() == 0
    sums = stored_sums(serving.data_dir)
    assert {place: units for place, units in sums.items() if place[0] in UNITS} == dict(load.told)
