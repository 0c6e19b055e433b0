"""Requests at a fixed rate, and how long each took: what others notice of work that runs beside them.

A request is due at its time, whatever became of those before it, and its latency counts from then: a server that
stops for a second makes all that were due meanwhile late. The client is a process of its own, so that what
measures does not wait for it.
"""

from __future__ import annotations

import multiprocessing
import random
import select
import socket
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks import signing, workloads
from benchmarks.servers import Running

_CONNECTIONS = 64
"""More than a server needs at such rates, so that a request that is due finds one that is free."""
_ITEMS = 10_000


class Latencies(NamedTuple):
    """Milliseconds."""

    requests: int
    seconds: float
    get_p50: float
    get_p99: float
    put_p50: float
    put_p99: float


class Paced:
    """GetItem and PutItem by turns at `rate` requests a second, until `stop`. A context manager."""

    def __init__(self, running: Running, rate: float) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        requests = [
            signing.request(running.host, *(workloads.put(number) if count % 2 else workloads.get(number)))
            for count, number in enumerate(random.Random(6).sample(range(_ITEMS), 2000))
        ]
        self._process = multiprocessing.get_context("fork").Process(
            target=_work, args=(running.address, requests, rate, theirs), daemon=True
        )
        self._process.start()

    def take(self) -> Latencies:
        """Of the requests since the last time."""
        self._ours.send(None)
        found: Latencies = self._ours.recv()
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()

    def __enter__(self) -> Paced:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _work(address: tuple[str, int], requests: list[bytes], rate: float, control: Connection) -> None:
    sockets = [socket.create_connection(address, timeout=60) for _ in range(_CONNECTIONS)]
    poller = select.epoll()
    poller.register(control, select.EPOLLIN)
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poller.register(each, select.EPOLLIN)
    by_number = {each.fileno(): each for each in sockets}
    free = deque(sockets)
    under_way: dict[int, tuple[float, int]] = {}
    taken: tuple[list[float], list[float]] = ([], [])
    count = 0
    due = since = time.perf_counter()
    while True:
        now = time.perf_counter()
        while due <= now and free:
            each = free.popleft()  # by turns: the server closes what is idle for long
            under_way[each.fileno()] = (due, count % 2)
            each.sendall(requests[count % len(requests)])
            count += 1
            due += 1 / rate
        for number, _ in poller.poll(max(0.0, due - time.perf_counter()) if free else None):
            if number == control.fileno():
                control.recv()
                now = time.perf_counter()
                control.send(_latencies(taken, now - since))
                taken, since = ([], []), now
                continue
            answered = by_number[number]
            if not answered.recv(1 << 16):
                raise ConnectionError("the server closed a connection")
            began, kind = under_way.pop(number)
            taken[kind].append(time.perf_counter() - began)
            free.append(answered)


def _latencies(taken: tuple[list[float], list[float]], seconds: float) -> Latencies:
    gets, puts = (sorted(1e3 * seconds for seconds in each) or [0.0] for each in taken)
    return Latencies(
        len(taken[0]) + len(taken[1]),
        seconds,
        gets[len(gets) // 2],
        gets[len(gets) * 99 // 100],
        puts[len(puts) // 2],
        puts[len(puts) * 99 // 100],
    )
