"""What well-behaved clients notice of hostile ones: their p99 while a server is attacked, and while it is not.

Well-behaved is a fixed rate of GetItem and PutItem over a few connections, far below what the server can do; each
request is timed from the moment at which it was due, so that a stall is not hidden by waiting for it. Attackers
run in a process of their own. Peace and attack alternate; a ratio is that of a round's two p99, and the median of
the rounds is shown. Memory is the greatest that any process of the server had. That nobody is refused and memory
stays bounded is a promise, which tests/faults/test_server_hostile.py holds; times are measured only here.

    python -m benchmarks --only hostile
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import multiprocessing
import os
import random
import resource
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import table
from benchmarks.rounds import Plan, circumstances, load_average
from benchmarks.servers import BLOTTER, Running, make_table, send
from benchmarks.signing import request

_TABLE = "hostile"
_KEYS = 1000
_CONNECTIONS = 16
_RATE = 800
"""Requests a second of the well-behaved clients."""
_IDLE = 10_000

Attack = Callable[[tuple[str, int]], Awaitable[object]]


class Latencies(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    slowest: float
    errors: int


# The well-behaved clients


def _requests(host: str) -> list[bytes]:
    choice = random.Random(1)
    made = []
    for number in choice.choices(range(_KEYS), k=4 * _KEYS):
        key: dict[str, object] = {"pk": {"S": f"key-{number}"}}
        made.append(request(host, "GetItem", {"TableName": _TABLE, "Key": key}))
        if number % 4 == 0:
            item = {**key, "v": {"S": "x" * 200}}
            made.append(request(host, "PutItem", {"TableName": _TABLE, "Item": item}))
    return made


def measure(address: tuple[str, int], requests: list[bytes], seconds: float) -> Latencies:
    """Sends at the fixed rate; what is due while its connection waits for an answer is late, and counted so."""
    poll = select.epoll()
    clients = [socket.create_connection(address) for _ in range(_CONNECTIONS)]
    for client in clients:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(client, select.EPOLLIN)
    by_descriptor = {client.fileno(): client for client in clients}
    start = time.perf_counter()
    waiting = [(start + number / _RATE, client.fileno()) for number, client in enumerate(clients)]
    due: dict[int, float] = {}
    latencies: list[float] = []
    errors = 0
    order = itertools.cycle(requests)
    while (now := time.perf_counter()) < start + seconds:
        while waiting and waiting[0][0] <= now:
            at, descriptor = heapq.heappop(waiting)
            by_descriptor[descriptor].sendall(next(order))
            due[descriptor] = at
        patience = max(0.0, waiting[0][0] - now) if waiting else 0.1
        for descriptor, _ in poll.poll(patience):
            answer = by_descriptor[descriptor].recv(65536)  # Small enough to come whole.
            if not answer:
                raise SystemExit("the server closed a well-behaved connection")
            now = time.perf_counter()
            latencies.append(1000 * (now - due[descriptor]))
            errors += not answer.startswith(b"HTTP/1.1 200 ")
            heapq.heappush(waiting, (due[descriptor] + _CONNECTIONS / _RATE, descriptor))
    for client in clients:
        client.close()
    ordered = sorted(latencies)
    return Latencies(ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1], errors)


# The attackers


def _post(body: bytes, operation: str = "PutItem", length: int | None = None) -> bytes:
    whole = request("127.0.0.1", operation, {})
    head = whole[: whole.index(b"Content-Length")]
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


async def _again(connections: int, once: Callable[[], Awaitable[object]], pause: float = 0.0) -> None:
    """Each connection does its thing again and again, whatever becomes of it."""

    async def forever() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await once()
            await asyncio.sleep(pause)

    await asyncio.gather(*(forever() for _ in range(connections)))


def _dripping(head: bytes, connections: int) -> Attack:
    """One byte a second, after a beginning."""

    async def attack(address: tuple[str, int]) -> None:
        async def once() -> None:
            _, writer = await asyncio.open_connection(*address)
            try:
                writer.write(head)
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(b"x")
                    await writer.drain()
            finally:
                writer.close()

        await _again(connections, once)

    return attack


async def _idle(address: tuple[str, int]) -> None:
    for number in range(_IDLE):
        client = socket.create_connection(address)
        if number % 2:
            client.sendall(b"POST / HT")
        _HELD.append(client)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(3600)


_HELD: list[socket.socket] = []


def _sending(data: Callable[[], bytes], connections: int, pause: float = 0.0) -> Attack:
    """Sends something, takes whatever is answered, and comes again on a new connection."""

    async def attack(address: tuple[str, int]) -> None:
        async def once() -> None:
            reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
            try:
                writer.write(data())
                await writer.drain()
                await asyncio.wait_for(reader.read(65536), 30)
            except TimeoutError:
                pass
            finally:
                writer.close()

        await _again(connections, once, pause)

    return attack


async def _unread_flood(address: tuple[str, int]) -> None:
    """Pipelined requests whose answers are not read, for a second each."""
    block = request("127.0.0.1", "ListTables", {}) * 500

    async def once() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_connection(address) as client:
            client.setblocking(False)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        await loop.sock_sendall(client, block)

    await _again(4, once)


async def _read_flood(address: tuple[str, int]) -> None:
    """One connection that always has a thousand requests under way."""
    block = request("127.0.0.1", "ListTables", {}) * 500
    reader, writer = await asyncio.open_connection(*address)
    writer.write(block)
    while True:
        writer.write(block)
        for _ in range(500):
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.lower().index(b"content-length:") + 15
            await reader.readexactly(int(head[at : head.index(b"\r", at)]))


def _noise() -> bytes:
    damaged = bytearray(_post(b'{"TableName": "hostile", "Item": {"pk": {"S": "key-1"}}}'))
    for _ in range(random.randrange(1, 6)):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return bytes(damaged) if random.random() < 0.7 else os.urandom(300)


def _item(attribute: bytes, key: bytes = b'"key-1"') -> bytes:
    return _post(b'{"TableName": "hostile", "Item": {"pk": {"S": %b}, "v": %b}}' % (key, attribute))


# Legal requests that cost much: the smallest values there are, and conditions that look at all of them.
_LARGE = b'{"L": [%b]}' % b",".join([b'{"BOOL":true}'] * 200_000)
_LARGE_ITEMS = 20


def _contains(name: str = "v") -> tuple[str, dict[str, dict[str, str]]]:
    """A condition of 149 contains(), as many as fit into 300 operators, that never holds."""
    condition = " OR ".join(f"contains({name}, :{number})" for number in range(149))
    return condition, {f":{number}": {"N": str(number)} for number in range(149)}


def _checks(count: int) -> bytes:
    """A transaction that checks large items; it is canceled."""
    condition, values = _contains()
    check = {"ConditionExpression": condition, "ExpressionAttributeValues": values, "TableName": _TABLE}
    keys: list[dict[str, object]] = [{"pk": {"S": f"large-{number}"}} for number in range(count)]
    actions = [{"ConditionCheck": {**check, "Key": key}} for key in keys]
    return request("127.0.0.1", "TransactWriteItems", {"TransactItems": actions})


def _number_sets() -> bytes:
    """An update whose condition compares a set with two hundred others."""
    sets = {f":{n}": {"NS": [str(1000 * n + m) for m in range(1000)]} for n in range(100)}
    listed = ", ".join(sets)
    update = {
        "TableName": _TABLE,
        "Key": {"pk": {"S": "sets"}},
        "UpdateExpression": "REMOVE x",
        "ConditionExpression": f"v IN ({listed}) AND v IN ({listed})",
        "ExpressionAttributeValues": sets,
    }
    return request("127.0.0.1", "UpdateItem", update)


def _filtered_scan() -> bytes:
    condition, values = _contains("pk")
    scan = {"TableName": _TABLE, "FilterExpression": condition, "ExpressionAttributeValues": values}
    return request("127.0.0.1", "Scan", scan)


def _many_deletes() -> bytes:
    delete = b'{"Delete":{"TableName":"hostile","Key":{"pk":{"S":"a"}}}}'
    return _post(b'{"TransactItems":[%b]}' % b",".join([delete] * 250_000), "TransactWriteItems")


_SMALL_VALUES = b'{"L": [%b]}' % b",".join([b'{"N":"1"}'] * 1_500_000)


def _legal_puts() -> bytes:
    """25 items of 60,000 values, which is as much as a request may have: 120 KB each as they are counted."""
    value = b'{"L":[%b]}' % b",".join([b'{"N":"1"}'] * 60_000)
    puts = [b'{"PutRequest":{"Item":{"pk":{"S":"put-%d"},"v":%b}}}' % (number, value) for number in range(25)]
    return _post(b'{"RequestItems":{"hostile":[%b]}}' % b",".join(puts), "BatchWriteItem")


def _brackets() -> bytes:
    """16 MB of lists, more than any other body of that size is decoded to, where the item should be."""
    lists = b",".join([b"[" * 500 + b"]" * 500] * 15_900)
    return _post(b'{"TableName": "hostile", "Item": [%b]}' % lists)


def _large_reads() -> bytes:
    keys = [{"pk": {"S": f"large-{number}"}} for number in range(_LARGE_ITEMS)]
    wanted = {_TABLE: {"Keys": keys, "ProjectionExpression": "v[0]"}}
    return request("127.0.0.1", "BatchGetItem", {"RequestItems": wanted})


ATTACKS: dict[str, Attack] = {
    "slow headers": _dripping(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-A: ", 1000),
    "slow bodies": _dripping(_post(b"{", length=1_000_000), 1000),
    f"{_IDLE} idle connections": _idle,
    "pipelined flood, answers not taken": _unread_flood,
    "pipelined flood, answers taken": _read_flood,
    "bodies over 16 MB": _sending(lambda: _post(b"x" * 100_000, length=1 << 30), 4, 0.01),
    "malformed HTTP and JSON": _sending(_noise, 4, 0.002),
    "deep nesting, 1 MB": _sending(lambda: _item(b'{"L": [' * 140_000), 2, 0.05),
    "a number of 1 MB": _sending(lambda: _item(b'{"N": "%b"}' % (b"9" * 1_000_000)), 2, 0.05),
    "a key of 1 MB": _sending(lambda: _item(b'{"S": "x"}', b'"%b"' % (b"k" * 1_000_000)), 2, 0.05),
    "bodies of 15 MB, one string": _sending(lambda: _item(b'{"S": "%b"}' % (b"x" * 15_000_000)), 1, 0.2),
    "bodies of 15 MB, small values": _sending(lambda: _item(_SMALL_VALUES), 1, 0.2),
    "bodies of 15 MB, small values, four at once": _sending(lambda: _item(_SMALL_VALUES), 4, 0.2),
    "bodies of 15 MB, 25 legal items": _sending(_legal_puts, 1, 0.2),
    "bodies of 16 MB, brackets": _sending(_brackets, 1, 0.2),
    "250,000 actions in a transaction": _sending(_many_deletes, 1, 0.2),
    "4 checks of 149 contains() on large lists": _sending(lambda: _checks(4), 1),
    "20 checks of 149 contains() on large lists": _sending(lambda: _checks(_LARGE_ITEMS), 1),
    "2 IN of 100 number sets": _sending(_number_sets, 2),
    "projections of 20 large items": _sending(_large_reads, 1),
    "200 filtered scans at a time": _sending(_filtered_scan, 200),
}


@contextmanager
def attacked(attack: Attack, address: tuple[str, int]) -> Iterator[None]:
    """While an attack is under way."""
    attacker = multiprocessing.get_context("fork").Process(target=_attack, args=(attack, address), daemon=True)
    attacker.start()
    try:
        yield
    finally:
        attacker.kill()
        attacker.join()


def _attack(attack: Attack, address: tuple[str, int]) -> None:
    asyncio.run(attack(address))  # type: ignore[arg-type]


def run(plan: Plan) -> dict[str, str]:
    """A line for each attack. Rounds take three times as long as elsewhere: slow answers are few."""
    started, load_before = time.time(), load_average()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    for name, attack in ATTACKS.items():
        rows.append(_row(name, attack, plan))
        print(" | ".join(rows[-1]), flush=True)
    heads = ["attack", "p50, ms", "p99, ms", "p99 attacked, ms", "slowest attacked, ms", "p99 ratio", "errors"]
    shown = table([*heads, "largest process, MB", "attacked, MB"], rows)
    return {"hostile": f"{shown}\n\n{circumstances(started, load_before)}"}


def _row(name: str, attack: Attack, plan: Plan) -> list[str]:
    seconds = 3 * plan.seconds
    with (
        tempfile.TemporaryDirectory(dir=plan.data) as folder,
        Running(BLOTTER, plan.cache, Path(folder) / "data") as server,
    ):
        _make_table(server)
        requests = _requests(server.host)
        measure(server.address, requests, 2)
        peace, war, memory, attacked_memory = [], [], 0.0, 0.0
        for _ in range(plan.rounds):
            server.forget_peaks()
            peace.append(measure(server.address, requests, seconds))
            memory = max(memory, *server.peaks())
            server.forget_peaks()
            with attacked(attack, server.address):
                time.sleep(5 if attack is _idle else 1.5)
                war.append(measure(server.address, requests, seconds))
            attacked_memory = max(attacked_memory, *server.peaks())
            time.sleep(1)
    ratio = statistics.median(bad.p99 / good.p99 for good, bad in zip(peace, war, strict=True))
    p50, p99 = (statistics.median(getattr(each, field) for each in peace) for field in ("p50", "p99"))
    times = [p50, p99, *(statistics.median(getattr(each, field) for each in war) for field in ("p99", "slowest"))]
    errors = sum(each.errors for each in (*peace, *war))
    return [
        name,
        *(f"{value:.2f}" for value in (*times, ratio)),
        str(errors),
        f"{memory:.0f}",
        f"{attacked_memory:.0f}",
    ]


def _make_table(server: Running) -> None:
    described: dict[str, object] = {
        "TableName": _TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    }
    make_table(server.call, described)
    for number in range(_KEYS):
        server.call(
            "PutItem", {"TableName": _TABLE, "Item": {"pk": {"S": f"key-{number}"}, "v": {"S": "x" * 200}}}
        )
    numbers = [str(number) for number in range(1, 1001)]
    server.call("PutItem", {"TableName": _TABLE, "Item": {"pk": {"S": "sets"}, "v": {"NS": numbers}}})
    for number in range(_LARGE_ITEMS):
        status, content = send(server.address, _item(_LARGE, b'"large-%d"' % number))
        if status != 200:
            raise RuntimeError(f"PutItem: {content.decode()[:300]}")
