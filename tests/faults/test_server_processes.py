"""A running `blotter serve` when its processes are killed, its resources are taken, or its user is wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import HEADERS, Client, post
from tests.faults.shared_items import Caller
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


def _connect(serving: Serving) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*serving.address, timeout=60)


def _connection_to_each(serving: Serving, workers: int) -> list[http.client.HTTPConnection]:
    """Enough connections that every worker has some: they are shared evenly."""
    connections = [_connect(serving) for _ in range(workers * 4)]
    for connection in connections:
        assert post(connection, "ListTables")[0] == 200
    return connections


def test_the_ready_line_and_the_health_answer(serve: Serve) -> None:
    serving = serve("--workers", "2")
    assert serving.log.read_text() == (
        f"blotter serve: ready on {serving.url} (2 workers, data in {serving.data_dir})\n"
    )
    connection = _connect(serving)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"healthy: dynamodb.us-east-1.amazonaws.com ")
    assert serving.stop() == 0


def test_a_killed_worker_is_replaced_and_the_others_keep_serving(serve: Serve) -> None:
    serving = serve("--workers", "2")
    connections = _connection_to_each(serving, 2)
    victim_name, victim = next(iter(serving.workers().items()))
    os.kill(victim, signal.SIGKILL)
    alive = 0
    for connection in connections:
        try:
            alive += post(connection, "ListTables")[0] == 200
        except (OSError, http.client.HTTPException):
            connection.close()
    assert 0 < alive < len(connections)
    for connection in connections:
        assert post(connection, "ListTables")[0] == 200  # http.client connects again
    wait_until(lambda: victim_name in serving.workers() and serving.workers()[victim_name] != victim)
    assert "worker 1 was killed by SIGKILL; starting another" in serving.log.read_text()


def test_a_stopped_worker_keeps_others_from_writing_only_until_it_is_replaced(serve: Serve) -> None:
    """SIGSTOP under a load of writes: wherever it is stopped, with or without the write lock, writing goes on."""
    serving = serve("--workers", "2", "--hang-timeout", "2")
    connection = _connect(serving)
    keys = {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert post(connection, "CreateTable", TableName="stopped", **keys)[0] == 200
    over = threading.Event()
    acknowledged: list[str] = []

    def put(writer: int) -> None:
        client = Client(serving.address)
        for number in count():
            if over.is_set():
                return
            key = f"{writer}-{number}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if client.call("PutItem", TableName="stopped", Item={"pk": {"S": key}})[0] == 200:
                    acknowledged.append(key)

    writers = [threading.Thread(target=put, args=(writer,)) for writer in range(8)]
    for thread in writers:
        thread.start()
    wait_until(lambda: len(acknowledged) > 100)
    name, victim = next(iter(serving.workers().items()))
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: serving.workers().get(name, victim) != victim)
    seen = len(acknowledged)
    wait_until(lambda: len(acknowledged) > seen + 100)
    over.set()
    for thread in writers:
        thread.join(60)
    assert f"worker 1 (process {victim}) has sent no heartbeat for 2 s" in serving.log.read_text()
    again = Caller([serving.address])
    for key in acknowledged[:: max(1, len(acknowledged) // 200)]:
        answers: list[tuple[int, Any]] = []
        get = partial(again.call, "GetItem", TableName="stopped", Key={"pk": {"S": key}})
        wait_until(lambda get=get, answers=answers: answers.append(get()) or answers[-1][0] == 200)
        assert "Item" in answers[-1][1]


def test_the_background_process_is_replaced_too(serve: Serve) -> None:
    serving = serve("--workers", "1")
    name = next(name for name in serving.children() if "backgroun" in name)
    before = serving.children()[name]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: serving.children().get(name, before) != before)
    assert post(_connect(serving), "ListTables")[0] == 200


def test_when_the_supervisor_is_killed_all_leave_and_another_server_can_start(serve: Serve) -> None:
    serving = serve("--workers", "2")
    children = serving.children().values()
    serving.process.kill()
    serving.process.wait(60)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    again = serve("--workers", "1", data_dir=serving.data_dir)
    assert post(_connect(again), "ListTables")[0] == 200


def test_a_request_that_has_begun_to_arrive_is_answered_before_the_server_stops(serve: Serve) -> None:
    serving = serve("--workers", "1")
    client = socket.create_connection(serving.address, timeout=60)
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    client.sendall(
        f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}X-Amz-Target: DynamoDB_20120810.ListTables\r\n"
        "Content-Length: 2\r\n\r\n{".encode()
    )
    idle = socket.create_connection(serving.address, timeout=60)
    idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert idle.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    serving.process.send_signal(signal.SIGTERM)
    assert idle.recv(4096) == b""
    client.sendall(b"}")
    answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer
    assert serving.process.wait(60) == 0


def _half_sent(serving: Serving, number: int) -> tuple[socket.socket, bytes]:
    """A connection on which the half of a PutItem has arrived, and the other half."""
    body = json.dumps({"TableName": "drain", "Item": {"pk": {"S": f"half-{number}"}}}).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    client = socket.create_connection(serving.address, timeout=60)
    client.sendall(
        f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}X-Amz-Target: DynamoDB_20120810.PutItem\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body[:20]
    )
    return client, body[20:]


def test_a_server_told_to_stop_under_load_answers_what_has_begun_and_loses_nothing(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    keys = {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    create = {"TableName": "drain", "BillingMode": "PAY_PER_REQUEST", **keys}
    assert post(_connect(serving), "CreateTable", **create)[0] == 200
    acknowledged: set[str] = set()
    broken: list[BaseException] = []

    def write(number: int) -> None:
        """Until the server has gone; an answer comes whole or not at all."""
        connection = _connect(serving)
        try:
            for number_of_write in count():
                key = f"{number}-{number_of_write}"
                status, answer = post(connection, "PutItem", TableName="drain", Item={"pk": {"S": key}})
                assert status == 200, answer
                acknowledged.add(key)
        except (ConnectionError, http.client.RemoteDisconnected):  # Before the first byte of an answer.
            pass
        except BaseException as error:
            broken.append(error)

    halves = [_half_sent(serving, number) for number in range(16)]
    idle = _connection_to_each(serving, 2)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(acknowledged) > 100)
    serving.process.send_signal(signal.SIGTERM)
    for connection in idle:
        assert connection.sock.recv(1) == b"", "the drain has begun"
    for number, (client, rest) in enumerate(halves):
        client.sendall(rest)
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer
        acknowledged.add(f"half-{number}")
        client.close()
    for writer in writers:
        writer.join()
    assert broken == []
    assert serving.process.wait(60) == 0
    again = _connect(serve("--workers", "1", data_dir=serving.data_dir))
    for key in acknowledged:
        status, answer = post(again, "GetItem", TableName="drain", Key={"pk": {"S": key}})
        assert (status, "Item" in answer) == (200, True), key


def _fail(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and stderr of a server that cannot start."""
    import sys

    import blotter

    kept = {name: value for name, value in os.environ.items() if not name.startswith("BLOTTER_")}
    kept["PYTHONPATH"] = str(Path(blotter.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "blotter", "serve", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_second_server_on_the_same_directory_is_refused(serve: Serve) -> None:
    serving = serve("--workers", "1")
    status, error = _fail("--port", "0", "--data-dir", str(serving.data_dir))
    assert status == 1
    assert error == (
        f"blotter serve: data directory {serving.data_dir} is in use by another blotter server "
        f"(process {serving.process.pid})\n"
    )
    assert post(_connect(serving), "ListTables")[0] == 200


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, error = _fail("--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert status == 1
    assert error == (
        f"blotter serve: cannot listen on 127.0.0.1 port {port}: Address already in use "
        "(is another server running there?); choose another with --port or BLOTTER_PORT (0: a free one)\n"
    )


def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    status, error = _fail("--port", "0", "--data-dir", str(tmp_path / "file"))
    assert status == 1
    assert error.startswith(f"blotter serve: data directory {tmp_path / 'file'} ")
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "not a directory"


@pytest.mark.parametrize(
    ("arguments", "environment", "word"),
    [
        (["--port", "eighty"], {}, "--port"),
        ([], {"BLOTTER_WORKERS": "many"}, "BLOTTER_WORKERS"),
        (["--host", "0.0.0.0"], {}, "--insecure-open-access"),
        (["--ready-fd", "99"], {}, "--ready-fd 99"),
        (["--host", "no.such.host.invalid", "--insecure-open-access", "--port", "0"], {}, "no.such.host.invalid"),
    ],
)
def test_wrong_values_stop_with_one_line(
    arguments: list[str], environment: dict[str, str], word: str, tmp_path: Path
) -> None:
    status, error = _fail("--data-dir", str(tmp_path / "data"), *arguments, **environment)
    assert status in (1, 2)
    assert error.startswith("blotter serve: ")
    assert word in error
    assert error.count("\n") == 1


def test_a_server_in_memory_is_one_process_that_forgets(serve: Serve) -> None:
    serving = serve("--in-memory", "--table-delay", "0")
    assert list(serving.children()) == ["serve worker 1", "serve checker"]  # which has no data
    connection = _connect(serving)
    key = {"id": {"S": "a"}}
    create: dict[str, Any] = {
        "TableName": "table",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    assert post(connection, "CreateTable", **create)[0] == 200
    assert post(connection, "PutItem", TableName="table", Item=key)[0] == 200
    assert post(connection, "GetItem", TableName="table", Key=key) == (200, {"Item": key})
    # Its background work runs too: the name is free again.
    assert post(connection, "DeleteTable", TableName="table")[0] == 200
    wait_until(lambda: post(connection, "CreateTable", **create)[0] == 200)
    assert "(1 worker, data in memory only)" in serving.log.read_text()
    assert not serving.data_dir.exists()
    assert serving.stop() == 0


def test_a_server_in_memory_ends_with_its_worker(serve: Serve) -> None:
    """Another worker would answer from an empty memory."""
    serving = serve("--in-memory")
    os.kill(serving.workers()["serve worker 1"], signal.SIGKILL)
    assert serving.process.wait(60) == 1
    assert "worker 1 was killed by SIGKILL; its data were in memory and are gone" in serving.log.read_text()
