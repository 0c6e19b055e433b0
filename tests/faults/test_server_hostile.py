"""Clients that are slow, broken or greedy: bounded memory, and the others are still served."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

_HEALTH = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_MEGABYTE = 1024 * 1024


def _memory(serving: Serving) -> int:
    """Resident bytes of all workers together."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in serving.workers().values()]
    return sum(pages) * 4096


def _is_healthy(serving: Serving) -> bool:
    with socket.create_connection(serving.address, timeout=30) as client:
        client.sendall(_HEALTH)
        return client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def _status_then_end(client: socket.socket) -> int | None:
    """The status of the answer after which the server closes; None when it closes without one."""
    with client:
        data = b""
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            data += part
    return int(data[9:12]) if data else None


def test_slow_headers_and_bodies_run_out_of_time(serve: Serve) -> None:
    serving = serve("--workers", "1", "--header-timeout", "0.5", "--body-timeout", "0.5", "--idle-timeout", "0.5")
    heads = [socket.create_connection(serving.address, timeout=30) for _ in range(20)]
    for client in heads:
        client.sendall(b"POST / HTTP/1.1\r\nHost: loc")
    body = socket.create_connection(serving.address, timeout=30)
    body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    silent = socket.create_connection(serving.address, timeout=30)
    assert _is_healthy(serving)
    assert [_status_then_end(client) for client in heads] == [408] * 20
    assert _status_then_end(body) == 408
    assert _status_then_end(silent) is None
    assert _is_healthy(serving)


def test_noise_and_damaged_requests_never_stop_it(serve: Serve) -> None:
    serving = serve("--workers", "1")
    pid = next(iter(serving.workers().values()))
    chance = random.Random(20261122)
    request = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
        b"X-Amz-Target: DynamoDB_20120810.ListTables\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    for _ in range(300):
        damaged = bytearray(request if chance.random() < 0.7 else chance.randbytes(200))
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with socket.create_connection(serving.address, timeout=30) as client:
            client.sendall(bytes(damaged))
            client.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not client.recv(65536):
                        break
                except ConnectionResetError:
                    break
    assert _is_healthy(serving)
    assert list(serving.workers().values()) == [pid]
    assert "Traceback" not in serving.log.read_text()


def test_a_pipelined_flood_is_answered_in_bounded_memory_while_others_are_served(serve: Serve) -> None:
    serving = serve("--workers", "1")
    assert _is_healthy(serving)
    before = _memory(serving)
    flood = socket.create_connection(serving.address, timeout=30)
    flood.setblocking(False)
    sent = 0
    block = _HEALTH * 2000
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            sent += flood.send(block[sent % len(_HEALTH) :])
        except BlockingIOError:
            break  # Nobody reads the answers, so the server has stopped to read requests.
    else:
        pytest.fail("the server read requests without end though nobody took its answers")
    assert _is_healthy(serving)
    assert _memory(serving) - before < 16 * _MEGABYTE
    flood.close()
    assert _is_healthy(serving)


def test_many_large_bodies_at_once_are_bounded(serve: Serve) -> None:
    serving = serve("--workers", "1", "--body-memory", "64")
    assert _is_healthy(serving)
    before = _memory(serving)
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n" + b"x" * 15_000_000
    clients = []
    for _ in range(24):
        client = socket.create_connection(serving.address, timeout=30)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(half)
        clients.append(client)
    assert _is_healthy(serving)
    assert _memory(serving) - before < 160 * _MEGABYTE
    for client in clients:
        client.close()
    assert _is_healthy(serving)


def _hold(serving: Serving, wanted: int) -> list[socket.socket]:
    clients = []
    for number in range(wanted):
        client = socket.create_connection(serving.address, timeout=30)
        if number % 2:
            client.sendall(b"POST / HTTP/1.1\r\nHost")
        clients.append(client)
    return clients


def test_idle_connections_cost_little_and_stop_nobody(serve: Serve) -> None:
    serving = serve("--workers", "2")
    assert _is_healthy(serving)
    before = _memory(serving)
    clients = _hold(serving, 500)
    assert _is_healthy(serving)
    assert _memory(serving) - before < 16 * _MEGABYTE
    for client in clients:
        client.close()


def test_past_the_limit_the_idlest_make_room(serve: Serve) -> None:
    serving = serve("--workers", "1", "--max-connections", "50")
    clients = _hold(serving, 200)
    assert _is_healthy(serving)
    for client in clients:
        client.close()


@pytest.mark.slow
def test_ten_thousand_idle_connections(serve: Serve) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 11_000:
        pytest.skip(f"this machine allows {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (11_000, hard))
    serving = serve("--workers", "2", "--header-timeout", "600", "--idle-timeout", "600")
    assert _is_healthy(serving)
    before = _memory(serving)
    clients = _hold(serving, 10_000)
    for _ in range(20):
        assert _is_healthy(serving)
    assert _memory(serving) - before < 200 * _MEGABYTE
    for client in clients:
        client.close()
