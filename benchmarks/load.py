"""A load generator that is not the bottleneck: processes × connections that replay requests built before.

Each connection sends the next request when it has the whole answer to the last one. Raw sockets and epoll, no HTTP
library: one process drives about 60,000 answers a second. Counts every answer, and separately those that are not
status 200, so that a fast stream of errors is not taken for speed. Other benchmarks import `run`; as a program:

    python benchmarks/load.py http://127.0.0.1:8000 --workload get --table t --keys 1000
    python benchmarks/load.py http://127.0.0.1:8000 --workload put --table t --keys 1000 --connections 64
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import select
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

# What an unsigned request still has to say of itself; a server with open access looks no further.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64
)


class Result(NamedTuple):
    """What came out of a run. Rates in answers a second, latencies in milliseconds."""

    answers: int
    errors: int
    seconds: float
    p50: float
    p99: float
    slowest: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.rate:9,.0f} req/s   p50 {self.p50:7.3f} ms   p99 {self.p99:7.3f} ms   "
            f"slowest {self.slowest:8.3f} ms   {self.answers} answers, {self.errors} errors"
        )


class NoAnswer(Exception):
    """Not one answer came within the time."""


def request(host: str, operation: str, body: dict[str, object], authorization: str = AUTHORIZATION) -> bytes:
    """One DynamoDB request as bytes."""
    content = json.dumps(body).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: DynamoDB_20120810.{operation}\r\nX-Amz-Date: 20261122T000000Z\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def run(
    address: tuple[str, int],
    requests: Sequence[bytes],
    processes: int = 1,
    connections: int = 16,
    seconds: float = 5,
) -> Result:
    """Replays requests in their order for some seconds over `connections` connections in all and measures."""
    queue: multiprocessing.Queue[tuple[float, float, int, bytes]] = multiprocessing.Queue()
    shares = [connections // processes + (number < connections % processes) for number in range(processes)]
    workers = [
        multiprocessing.Process(target=_drive, args=(address, requests, share, seconds, number, queue))
        for number, share in enumerate(shares)
        if share
    ]
    for worker in workers:
        worker.start()
    parts = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    latencies = array("d")
    for _, _, _, measured in parts:
        latencies.frombytes(measured)
    ordered = sorted(latencies)
    if not ordered:
        raise NoAnswer("no answer within the time")
    spent = max(end for _, end, _, _ in parts) - min(start for start, _, _, _ in parts)
    return Result(
        len(ordered),
        sum(errors for _, _, errors, _ in parts),
        spent,
        1000 * ordered[len(ordered) // 2],
        1000 * ordered[int(len(ordered) * 0.99)],
        1000 * ordered[-1],
    )


def wait_active(describe: Callable[[], bytes], seconds: float = 30) -> None:
    """Until the answer of a DescribeTable says ACTIVE."""
    end = time.perf_counter() + seconds
    while json.loads(describe())["Table"]["TableStatus"] != "ACTIVE":
        if time.perf_counter() > end:
            raise RuntimeError("the table did not become ACTIVE")
        time.sleep(0.02)


def _drive(
    address: tuple[str, int],
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    number: int,
    queue: multiprocessing.Queue[tuple[float, float, int, bytes]],
) -> None:
    """One process: drives its connections until the time is over."""
    clock = time.perf_counter
    poll = select.epoll()
    sockets = {}

    def connect() -> socket.socket:
        client = socket.create_connection(address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[client.fileno()] = client
        poll.register(client, select.EPOLLIN)
        return client

    for _ in range(connections):
        connect()
    sent: dict[int, float] = {}
    partial: dict[int, bytes] = {}
    latencies = array("d")
    errors = 0
    closes: bool | None = None
    order = requests
    place = number * len(order) // 7  # not where the other processes are
    start = clock()
    for descriptor, client in sockets.items():
        sent[descriptor] = clock()
        client.sendall(order[place % len(order)])
        place += 1
    end = start + seconds
    now = start
    while now < end:
        for descriptor, _ in poll.poll(1.0):
            client = sockets[descriptor]
            data = client.recv(1 << 20)
            if not data:
                raise SystemExit("the server closed a connection")
            if descriptor in partial:
                data = partial.pop(descriptor) + data
            if not _is_whole(data):
                partial[descriptor] = data
                continue
            now = clock()
            latencies.append(now - sent[descriptor])
            errors += data[9:12] != b"200"
            if closes is None:
                closes = b"onnection: close" in data
            if closes:  # a server without keep-alive: its next request pays for the connection
                poll.unregister(client)
                client.close()
                del sockets[descriptor]
                client = connect()
                descriptor = client.fileno()
            sent[descriptor] = now
            client.sendall(order[place % len(order)])
            place += 1
        now = clock()
    for client in sockets.values():
        client.close()
    queue.put((start, now, errors, latencies.tobytes()))


def _is_whole(data: bytes) -> bool:
    """Whether an answer has arrived completely. Answers with Content-Length only, in any capitals."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"ontent-", 0, end)
    while at >= 0 and data[at + 7 : at + 14].lower() != b"length:":
        at = data.find(b"ontent-", at + 1, end)
    if at < 0:
        head = data[:end].lower()
        at = head.find(b"content-length:") + 1
        if at == 0:
            raise SystemExit(f"an answer without Content-Length: {data[:200]!r}")
    return len(data) >= end + 4 + int(data[at + 14 : data.index(b"\r", at)])


def build(workload: str, host: str, table: str, keys: int) -> list[bytes]:
    """The requests of a named workload over `keys` items of about 200 bytes."""
    names = [f"key-{number:08d}" for number in range(keys)]
    random.Random(1).shuffle(names)
    if workload == "get":
        return [request(host, "GetItem", {"TableName": table, "Key": {"pk": {"S": name}}}) for name in names]
    if workload == "put":
        filler = "x" * 160
        return [
            request(host, "PutItem", {"TableName": table, "Item": {"pk": {"S": name}, "v": {"S": filler}}})
            for name in names
        ]
    return [request(host, "ListTables", {})]


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay requests against a DynamoDB endpoint and measure.")
    parser.add_argument("url")
    parser.add_argument("--workload", choices=("list", "get", "put"), default="list")
    parser.add_argument("--table", default="load")
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    url = urlsplit(chosen.url)
    address = (url.hostname or "127.0.0.1", url.port or 80)
    requests = build(chosen.workload, url.netloc, chosen.table, chosen.keys)
    print(run(address, requests, chosen.processes, chosen.connections, chosen.seconds))


if __name__ == "__main__":
    main()
