"""What the parts alone can do, measured beside Blotter: the least that its responses and its commits can cost.

The bare server is uvloop, httptools, orjson and one SQLite point read per request: no validation, no signature, no
catalog, no expressions. It runs as many processes as Blotter has workers; a parent distributes connections. The
raw commits are SQLite's own on this disk, through the connection settings and tables of Blotter's store, a fixed
number of puts to each synced transaction.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import httptools
import orjson
import uvloop

from benchmarks import workloads
from benchmarks.load import SLOW
from blotter.database.storage.sqlite import schema

_ROW = "INSERT OR REPLACE INTO items (space, key, size, body) VALUES (1, ?, 200, ?)"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"


def _storage_key(key: dict[str, Any]) -> bytes:
    return f"{key['pk']['S']}/{key['sk']['S']}".encode()


def prepare(directory: Path) -> Path:
    """A file with the items of `bench` under plain keys."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / schema.FILE_NAME
    schema.create_or_check(path)
    connection = schema.connect(path)
    with connection:
        for number in range(workloads.PARTITIONS * workloads.SORTS):
            item = workloads.item(number)
            connection.execute(_ROW, (_storage_key(item), orjson.dumps(item)))
    connection.close()
    return path


class Commits(NamedTuple):
    """Puts a second, how many commits they were, how many of them slow, and the slowest in milliseconds."""

    rate: float
    commits: int
    slow: int
    slowest: float


def raw_puts(path: Path, batch: int, seconds: float) -> Commits:
    """SQLite's own rate of synced puts, `batch` to a transaction."""
    connection = schema.connect(path, cache_bytes=16 << 20)
    items = [workloads.item(number) for number in range(workloads.PARTITIONS * workloads.SORTS)]
    rows = [(_storage_key(item), orjson.dumps(item)) for item in items]
    random.Random(1).shuffle(rows)
    count, times, start = 0, array("d"), time.perf_counter()
    while (begun := time.perf_counter()) < start + seconds:
        connection.execute("BEGIN IMMEDIATE")
        for number in range(count, count + batch):
            connection.execute(_ROW, rows[number % len(rows)])
        connection.execute("COMMIT")
        times.append(1000 * (time.perf_counter() - begun))
        count += batch
        if count % 20_000 < batch:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    spent = time.perf_counter() - start
    connection.close()
    return Commits(count / spent, len(times), sum(taken > SLOW for taken in times), max(times))


class _Bare(asyncio.Protocol):
    """Parses HTTP and JSON, reads one row, answers."""

    def __init__(self, execute: Any) -> None:
        self._execute = execute
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        key = orjson.loads(self._body)["Key"]
        self._body = b""
        row = self._execute("SELECT body FROM items WHERE space = 1 AND key = ?", (_storage_key(key),)).get
        answer = b'{"Item":%b}' % row
        self._transport.write(_HEAD % (len(answer), answer))


async def _serve(path: Path, connections: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    execute = schema.connect(path).cursor().execute

    def take() -> None:
        _, descriptors, _, _ = socket.recv_fds(connections, 1, 1)
        for descriptor in descriptors:
            client = socket.socket(fileno=descriptor)
            client.setblocking(False)
            tasks.append(loop.create_task(loop.connect_accepted_socket(lambda: _Bare(execute), client)))

    tasks: list[Any] = []
    loop.add_reader(connections, take)
    await asyncio.Event().wait()


@contextmanager
def bare_server(path: Path, processes: int) -> Iterator[tuple[str, int]]:
    """Runs the bare server; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    children = [_forked(lambda: _distribute(path, listener, processes))]
    try:
        yield listener.getsockname()
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
        listener.close()


def _forked(work: Any) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def _distribute(path: Path, listener: socket.socket, processes: int) -> None:
    pairs = [socket.socketpair() for _ in range(processes)]
    children = [_forked(lambda end=end: uvloop.run(_serve(path, end))) for _, end in pairs]

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    number = 0
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socket.send_fds(pairs[number % processes][0], [b"c"], [client.fileno()])
        client.close()
        number += 1
