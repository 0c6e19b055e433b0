"""Writers and watchers that go on while servers die: whatever was acknowledged, or read once, must stay.

Writers put numbered items and move a counter in transactions; each request is sent again until it is answered, to
whichever server is there. The values of an item only rise, so that a watcher knows a read from the past: one below
what had been acknowledged, or read by anybody, before the read was sent.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.plain_client import Client
from tests.faults.shared_items import RETRIABLE, Address

KEYS = 50
"""Items of one writer."""
_TABLE = "killed"


class Writers:
    """Threads that write, and others that watch, until stopped: at `addresses`, which may be replaced. `sent` and
    `last` have each writer's last value that was sent, and acknowledged."""

    def __init__(
        self,
        addresses: Sequence[Address],
        count: int,
        watchers: int = 0,
        prepare: Callable[[int], object] = lambda _: None,
        padding: int = 0,
        moves: bool = True,
    ) -> None:
        """`prepare` is called in each thread, with its number among the writers or watchers, before it begins.
        `padding` makes items so many bytes larger. One that gets no answer moves to the next address, unless
        `moves` is False."""
        self.addresses = addresses
        self.moves = moves
        self.failures: list[str] = []
        self.sent: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.longest_stop = 0.0
        """Seconds between two acknowledgments of one writer."""
        self.reads = 0
        self.refused = 0
        """Writes that were not acknowledged when they were sent."""
        self._floors: dict[str, int] = defaultdict(int)
        self._floors_lock = threading.Lock()
        self._stop = threading.Event()
        self.names = [f"{'counter' if number == 0 else 'writer'}-{number}" for number in range(count)]
        self._prepare = prepare
        self._padding = "x" * padding
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]
        self._threads += [threading.Thread(target=self._watch, args=(number,)) for number in range(watchers)]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        return sum(self.last.values())

    def forget_stops(self) -> None:
        """Measures the longest stop anew."""
        self.longest_stop = 0.0

    def progress(self) -> Callable[[], bool]:
        """Whether each writer has had an acknowledgment since now, or anybody has failed."""
        before = dict(self.last)
        return lambda: (
            bool(self.failures) or all(self.last.get(name, 0) > before.get(name, 0) for name in self.names)
        )

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        self._prepare(number)
        name = self.names[number]
        write = _count if name.startswith("counter") else _put
        client = _Client(self, number)
        value = 1
        acknowledged = time.monotonic()
        again = False
        while not self._stop.is_set():
            self.sent[name] = value
            status, answer = client.request(*write(name, value, self._padding))
            if status == 200 or (again and _is_there_already(answer)):
                again = False
                now = time.monotonic()
                self.longest_stop = max(self.longest_stop, now - acknowledged)
                acknowledged = now
                self.last[name] = value
                self._raise_floor(_key(name, value), value)
                if write is _count:
                    self._raise_floor(name, value)
                value += 1
            elif status == 0:
                again = True
                self.refused += 1
                time.sleep(0.01)
            else:
                self.failures.append(f"{status} {answer}")
                return

    def _watch(self, number: int) -> None:
        self._prepare(number)
        chance = random.Random(number)
        client = _Client(self, number)
        while not self._stop.is_set():
            with self._floors_lock:
                key, floor = chance.choice([*self._floors.items()] or [("counter-0", 0)])
            status, answer = client.request("GetItem", {"Key": {"pk": {"S": key}}, "ConsistentRead": True})
            if status == 200:
                value = int(answer["Item"]["v"]["N"]) if "Item" in answer else 0
                self.reads += 1
                if value < floor:
                    self.failures.append(f"{key} was {floor} and is read as {value} from {client.address}")
                self._raise_floor(key, value)
            elif status != 0:
                self.failures.append(f"{status} {answer}")

    def _raise_floor(self, key: str, value: int) -> None:
        with self._floors_lock:
            self._floors[key] = max(self._floors[key], value)

    def check(self, address: Address) -> None:
        """Every acknowledged value is there, or a later one that its writer has sent since."""
        assert self.failures == []
        client = Client(address)
        for name, last in dict(self.last).items():
            for value in range(max(1, last - KEYS + 1), last + 1):
                stored = _value(client, _key(name, value))
                assert stored in range(value, self.sent[name] + 1, KEYS), (
                    f"{name}: {value} acknowledged, not {stored}"
                )
            if name.startswith("counter"):
                assert last <= _value(client, name) <= self.sent[name], (
                    "a transaction was done twice, or not at all"
                )


class _Client:
    """Sends to one of the current addresses, to the next one when that fails."""

    def __init__(self, writers: Writers, number: int) -> None:
        self._writers = writers
        self._number = number
        self._clients: dict[Address, Client] = {}

    @property
    def address(self) -> Address:
        addresses = self._writers.addresses
        return addresses[self._number % len(addresses)]

    def request(self, operation: str, request: dict[str, Any]) -> tuple[int, Any]:
        """Status 0 for an outcome that is not known, or an error that SDKs repeat."""
        client = self._clients.setdefault(self.address, Client(self.address))
        try:
            status, answer = client.call(operation, **{"TableName": _TABLE} | request)
        except (OSError, http.client.HTTPException):
            self._move()
            return 0, None
        if status >= 500 and answer["__type"].endswith(RETRIABLE):
            self._move()
            return 0, answer
        return status, answer

    def _move(self) -> None:
        if self._writers.moves:
            self._number += 1


def _key(name: str, value: int) -> str:
    return f"{name}-{value % KEYS}"


def _put(name: str, value: int, padding: str) -> tuple[str, dict[str, Any]]:
    """On a condition, because one whose sender got no answer may take effect at any later time."""
    return "PutItem", {
        "Item": _item(name, value, padding),
        "ConditionExpression": "attribute_not_exists(v) OR v < :v",
        "ExpressionAttributeValues": {":v": {"N": str(value)}},
    }


def _item(name: str, value: int, padding: str = "") -> dict[str, Any]:
    return {"pk": {"S": _key(name, value)}, "v": {"N": str(value)}, "padding": {"S": padding}}


def _is_there_already(answer: Any) -> bool:
    return bool(answer) and answer.get("__type", "").endswith("#ConditionalCheckFailedException")


def _count(name: str, value: int, padding: str) -> tuple[str, dict[str, Any]]:
    """A transaction with a token, so that it counts once however often it is sent."""
    adding = {
        "TableName": _TABLE,
        "Key": {"pk": {"S": name}},
        "UpdateExpression": "ADD v :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    actions = [{"Update": adding}, {"Put": {"TableName": _TABLE, "Item": _item(name, value, padding)}}]
    return "TransactWriteItems", {"TransactItems": actions, "ClientRequestToken": f"{name}-{value}"}


def put_once(address: Address, name: str, value: int) -> tuple[int, Any]:
    """A put over a connection of its own, not repeated."""
    return Client(address).call("PutItem", TableName=_TABLE, Item=_item(name, value))


def create_table(address: Address) -> None:
    status, answer = Client(address).call(
        "CreateTable",
        TableName=_TABLE,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert status == 200, answer


def _value(client: Client, key: str) -> int:
    status, answer = client.call("GetItem", TableName=_TABLE, Key={"pk": {"S": key}}, ConsistentRead=True)
    assert status == 200, answer
    return int(answer["Item"]["v"]["N"]) if "Item" in answer else 0
