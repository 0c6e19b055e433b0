"""The client in Python: connections that replay requests built before, driven by one loop over epoll.

Each connection sends the next request when it has the whole answer to the last one. Raw sockets, no HTTP library.
Counts every answer, and separately those that are not status 200, so that a fast stream of errors is not taken for
speed. `wrk.py` does the same for less CPU time; this one needs nothing installed and checks the other.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections.abc import Sequence
from typing import NamedTuple

SLOW = 50.0
"""Milliseconds after which an answer is counted as slow."""
WORST = 5
# Above 128 KB, malloc takes each buffer from the kernel and gives it back.
_RECEIVED = 1 << 16


class Result(NamedTuple):
    """What came out of a run. Rates in answers a second, latencies in milliseconds."""

    answers: int
    errors: int
    """Answers with another status than 200, and connections that broke."""
    seconds: float
    p50: float
    p99: float
    worst: tuple[float, ...]
    """The slowest answers, slowest first."""
    slow: int
    """Answers that took longer than SLOW."""
    client_cpu: float
    """Seconds of CPU time that the client took for it."""

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    @property
    def slowest(self) -> float:
        return self.worst[0]

    def __str__(self) -> str:
        return (
            f"{self.rate:9,.0f} req/s   p50 {self.p50:7.3f} ms   p99 {self.p99:7.3f} ms   "
            f"slowest {self.slowest:8.3f} ms   {self.answers} answers, {self.errors} errors"
        )


class NoAnswer(Exception):
    """Not one answer came within the time."""


def run(address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> Result:
    """Replays requests in their order for some seconds over some connections. Raises NoAnswer."""
    cpu = time.process_time()
    latencies, errors, spent = _Drive(address, requests).run(connections, seconds)
    cpu = time.process_time() - cpu
    ordered = sorted(1000 * latency for latency in latencies)
    if not ordered:
        raise NoAnswer("no answer within the time")
    return Result(
        len(ordered),
        errors,
        spent,
        ordered[len(ordered) // 2],
        ordered[int(len(ordered) * 0.99)],
        tuple(ordered[: -WORST - 1 : -1]),
        sum(latency > SLOW for latency in ordered),
        cpu,
    )


class _Drive:
    """One run: its sockets, when each sent what it waits for, what has come of the answer."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes]) -> None:
        self._address = address
        self._requests = requests
        self._place = 0
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._sent: dict[int, float] = {}

    def run(self, connections: int, seconds: float) -> tuple[array[float], int, float]:
        """Latencies in seconds, how many answers were errors, and the time it took."""
        clock, poll, sockets, sent = time.perf_counter, self._poll.poll, self._sockets, self._sent
        for _ in range(connections):
            self._connect()
        latencies = array("d")
        partial: dict[int, bytes] = {}
        errors = 0
        closes: bool | None = None
        now = start = clock()
        for descriptor in list(sockets):
            self._send(descriptor, clock())
        while now < start + seconds:
            for descriptor, _ in poll(1.0):
                data = sockets[descriptor].recv(_RECEIVED)
                if not data:
                    raise RuntimeError("the server closed a connection")
                if partial and descriptor in partial:
                    data = partial.pop(descriptor) + data
                if not is_whole(data):
                    partial[descriptor] = data
                    continue
                now = clock()
                latencies.append(now - sent[descriptor])
                errors += data[9:12] != b"200"
                if closes is None:
                    closes = b"onnection: close" in data
                if closes:  # a server without keep-alive: its next request pays for the connection
                    self._poll.unregister(descriptor)
                    sockets.pop(descriptor).close()
                    descriptor = self._connect()
                self._send(descriptor, now)
            now = clock()
        for client in sockets.values():
            client.close()
        self._poll.close()
        return latencies, errors, now - start

    def _connect(self) -> int:
        client = socket.create_connection(self._address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[client.fileno()] = client
        self._poll.register(client, select.EPOLLIN)
        return client.fileno()

    def _send(self, descriptor: int, now: float) -> None:
        self._sent[descriptor] = now
        self._sockets[descriptor].sendall(self._requests[self._place % len(self._requests)])
        self._place += 1


def is_whole(data: bytes) -> bool:
    """Whether an answer has arrived completely. Answers with Content-Length only, in any capitals."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"ontent-Length:", 0, end)
    if at < 0:
        at = data[:end].lower().find(b"ontent-length:")
        if at < 0:
            raise RuntimeError(f"an answer without Content-Length: {data[:200]!r}")
    return len(data) >= end + 4 + int(data[at + 14 : data.index(b"\r", at)])
