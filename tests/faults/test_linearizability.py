"""Many connections, two workers, the same few items: there must be an order that explains what everybody saw.

Single items are put, counted up, compared and set, deleted and read; transactions compare, append and move money
between accounts, others read all accounts. Meanwhile a worker may be killed. The checks are in
`linearizability.py`; whether they see what is wrong is tested here first, on histories made up to be broken.
"""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.linearizability import UNKNOWN, Call, Transaction, explain_item, explain_transactions
from tests.faults.plain_client import Client

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


# The checks


def _calls(*lines: tuple[Any, ...]) -> list[Call]:
    """(kind, argument, result, invoked, returned)"""
    return [Call(*line) for line in lines]


@pytest.mark.parametrize(
    "history",
    [
        _calls(),
        _calls(("read", None, None, 0, 1), ("put", 1, None, 2, 3), ("read", None, 1, 4, 5)),
        # Two puts at once: each may be the last one.
        _calls(("put", 1, None, 0, 9), ("put", 2, None, 0, 9), ("read", None, 1, 10, 11)),
        _calls(("put", 1, None, 0, 9), ("put", 2, None, 0, 9), ("read", None, 2, 10, 11)),
        # A read in the middle of a put sees either.
        _calls(("put", 1, None, 0, 9), ("read", None, None, 1, 2), ("read", None, 1, 3, 4)),
        _calls(("add", 1, 2, 0, 9), ("add", 1, 1, 1, 8), ("read", None, 2, 10, 11)),
        _calls(("put", 1, None, 0, 1), ("compare and set", (1, 2), True, 2, 9), ("add", 1, 3, 3, 8)),
        _calls(("put", 1, None, 0, 1), ("compare and set", (1, 2), False, 2, 9), ("delete", None, None, 3, 8)),
        # Of an unknown outcome: done late, or never.
        _calls(("put", 1, UNKNOWN, 0, 1), ("read", None, None, 2, 3), ("read", None, 1, 4, 5)),
        _calls(("put", 1, UNKNOWN, 0, 1), ("read", None, None, 2, 3)),
        _calls(("read", None, UNKNOWN, 0, 1), ("read", None, None, 2, 3)),
    ],
)
def test_histories_of_an_item_that_can_be(history: list[Call]) -> None:
    assert explain_item(history) == ""


@pytest.mark.parametrize(
    "history",
    [
        _calls(("read", None, 1, 0, 1)),  # From nowhere.
        _calls(("put", 1, None, 0, 1), ("read", None, None, 2, 3)),  # Lost, or a stale read.
        # Seen, and then not any more.
        _calls(("put", 1, None, 0, 9), ("read", None, 1, 1, 2), ("read", None, None, 3, 4)),
        _calls(("add", 1, 1, 0, 9), ("add", 1, 1, 1, 8)),  # A lost update.
        # Two that both won.
        _calls(
            ("put", 1, None, 0, 1),
            ("compare and set", (1, 2), True, 2, 9),
            ("compare and set", (1, 3), True, 2, 9),
        ),
        # Refused, though nothing else can have been there.
        _calls(("put", 1, None, 0, 1), ("compare and set", (1, 2), False, 2, 3)),
        # The unknown one may have been done late, but only once.
        _calls(
            ("put", 1, UNKNOWN, 0, 1),
            ("put", 2, None, 2, 3),
            ("read", None, 1, 4, 5),
            ("read", None, 2, 6, 7),
        ),
        _calls(("put", 1, UNKNOWN, 5, 6), ("read", None, 1, 0, 1)),  # Read before it was written.
    ],
)
def test_histories_of_an_item_that_cannot_be(history: list[Call]) -> None:
    assert explain_item(history) != ""


def _write(name: str, items: str, invoked: float, returned: float, outcome: str = "committed") -> Transaction:
    return Transaction(name, invoked, returned, appends=frozenset(items), outcome=outcome)


def _saw(name: str, invoked: float, returned: float, **lists: str) -> Transaction:
    """Reads of lists whose writers have names of one letter."""
    return Transaction(name, invoked, returned, {item: tuple(text) for item, text in lists.items()})


@pytest.mark.parametrize(
    "history",
    [
        [],
        [_write("a", "xy", 0, 1), _write("b", "xy", 2, 3), _saw("r", 4, 5, x="ab", y="ab")],
        [
            _write("a", "xy", 0, 9),
            _write("b", "xy", 0, 9),
            _saw("q", 1, 2, x="", y=""),
            _saw("r", 9, 9, x="ba", y="ba"),
        ],
        [_write("a", "xy", 0, 1, "refused"), _saw("r", 4, 5, x="", y="")],
        [_write("a", "xy", 0, 1, UNKNOWN), _saw("r", 4, 5, x="a", y="a")],
        [_write("a", "xy", 0, 1, UNKNOWN), _saw("r", 4, 5, x="", y="")],
        # Done after it had been given up: that is no contradiction to time.
        [_write("a", "x", 0, 1, UNKNOWN), _saw("q", 2, 3, x=""), _saw("r", 4, 5, x="a")],
    ],
)
def test_transactions_that_can_be(history: list[Transaction]) -> None:
    assert explain_transactions(history) == ""


@pytest.mark.parametrize(
    ("history", "complaint"),
    [
        ([_write("a", "xy", 0, 1), _saw("r", 2, 3, x="a", y="")], "missing from y"),
        ([_write("a", "xy", 0, 1, UNKNOWN), _saw("r", 2, 3, x="a", y="")], "half a transaction"),
        ([_write("a", "x", 0, 1, "refused"), _saw("r", 2, 3, x="a")], "which nobody wrote"),
        ([_write("a", "x", 0, 1), _saw("r", 2, 3, x="aa")], "twice"),
        (
            [_write("a", "x", 0, 9), _write("b", "x", 0, 9), _saw("q", 1, 2, x="b"), _saw("r", 3, 4, x="ab")],
            "never was",
        ),
        # Half of a transaction, seen in the middle.
        (
            [_write("a", "xy", 0, 9), _saw("q", 1, 2, x="a", y=""), _saw("r", 10, 11, x="a", y="a")],
            "before the next",
        ),
        # Written in one order here and in the other there.
        ([_write("a", "xy", 0, 9), _write("b", "xy", 0, 9), _saw("r", 10, 11, x="ab", y="ba")], "before the next"),
        # A stale read, and two readers that saw two writers in different orders.
        ([_write("a", "x", 0, 1), _saw("q", 2, 3, x=""), _saw("r", 4, 5, x="a")], "before the next"),
        (
            [
                _write("a", "x", 0, 9),
                _write("b", "y", 0, 9),
                _saw("q", 1, 8, x="a", y=""),
                _saw("r", 1, 8, x="", y="b"),
                _saw("s", 10, 11, x="a", y="b"),
            ],
            "before the next",
        ),
        # Write skew: each read what the other one then wrote.
        (
            [
                Transaction("a", 0, 9, {"y": ()}, frozenset("x")),
                Transaction("b", 0, 9, {"x": ()}, frozenset("y")),
                _saw("r", 10, 11, x="a", y="b"),
            ],
            "before the next",
        ),
    ],
)
def test_transactions_that_cannot_be(history: list[Transaction], complaint: str) -> None:
    assert complaint in explain_transactions(history)


# The server


class _Client(Client):
    def call(self, operation: str, **request: Any) -> tuple[int, Any]:
        """Status and answer; status 0 when the outcome is not known."""
        try:
            status, body = super().call(operation, **request)
        except (OSError, http.client.HTTPException):
            return 0, None
        return (0, body) if status >= 500 else (status, body)


def _together(count: int, work: Callable[[int], None]) -> None:
    """Runs `work` in threads; the first failure is raised here."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _create(client: _Client) -> None:
    status, answer = client.call(
        "CreateTable",
        TableName="shared",
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert status == 200, answer


def _on_item(item: str, kind: str, argument: Any) -> tuple[str, dict[str, Any]]:
    """The request for one of the kinds of `explain_item`."""
    key = {"TableName": "shared", "Key": {"p": {"S": item}}}
    if kind == "read":
        return "GetItem", {**key, "ConsistentRead": True}
    if kind == "delete":
        return "DeleteItem", key
    if kind == "put":
        return "PutItem", {"TableName": "shared", "Item": {"p": {"S": item}, "v": {"N": str(argument)}}}
    if kind == "add":
        update = {"UpdateExpression": "ADD v :v", "ReturnValues": "UPDATED_NEW"}
        return "UpdateItem", {**key, **update, "ExpressionAttributeValues": {":v": {"N": str(argument)}}}
    expected, new = argument
    values = {":new": {"N": str(new)}, ":expected": {"N": str(expected)}}
    update = {"UpdateExpression": "SET v = :new", "ConditionExpression": "v = :expected"}
    return "UpdateItem", {**key, **update, "ExpressionAttributeValues": values}


def _result(kind: str, status: int, answer: Any) -> Any:
    if status == 0:
        return UNKNOWN
    if kind == "compare and set" and status == 400:
        assert answer["__type"].endswith("ConditionalCheckFailedException"), answer
        return False
    assert status == 200, answer
    if kind == "read":
        return int(answer["Item"]["v"]["N"]) if "Item" in answer else None
    if kind == "add":
        return int(answer["Attributes"]["v"]["N"])
    return kind == "compare and set"


def _use_items(
    serving: Serving, clients: int, calls: int, seed: int, halfway: Callable[[], object] = lambda: None
) -> dict[str, list[Call]]:
    """`halfway` is called once, while the others go on."""
    histories: dict[str, list[Call]] = defaultdict(list)
    fresh = itertools.count(1000, 1000)  # Values that no other thread puts, so that a read shows which one it saw.

    def work(number: int) -> None:
        choice = random.Random(seed * 100 + number)
        client = _Client(serving.address)
        last: dict[str, Any] = {}
        for round_number in range(calls):
            if number == 0 and round_number == calls // 2:
                halfway()
            item = choice.choice("xyz")
            kinds = ["read", "read", "add", "add", "compare and set", "compare and set", "put", "delete"]
            kind = choice.choices(kinds, weights=[2, 2, 2, 2, 2, 2, 1, 0.5])[0]
            if kind == "compare and set" and last.get(item) is None:
                kind = "read"
            arguments = {"put": next(fresh), "add": 1, "compare and set": (last.get(item), next(fresh))}
            argument = arguments.get(kind)
            operation, request = _on_item(item, kind, argument)
            invoked = time.monotonic()
            status, answer = client.call(operation, **request)
            returned = time.monotonic()
            result = _result(kind, status, answer)
            histories[item].append(Call(kind, argument, result, invoked, returned))
            if kind in ("read", "add") and result != UNKNOWN:
                last[item] = result
            elif kind == "compare and set" and result is True:
                last[item] = argument[1]

    _together(clients, work)
    return histories


class _Bank:
    """Transactions that compare, append their name to two accounts and move money, and others that look."""

    ACCOUNTS = "abcd"
    MONEY = 1000

    def __init__(self, serving: Serving) -> None:
        self.history: list[Transaction] = []
        self.totals: set[int] = set()
        self._serving = serving
        client = _Client(serving.address)
        for account in self.ACCOUNTS:
            item = {"p": {"S": account}, "log": {"L": []}, "money": {"N": str(self.MONEY)}}
            assert client.call("PutItem", TableName="shared", Item=item)[0] == 200

    def use(self, clients: int, rounds: int, seed: int, halfway: Callable[[], object] = lambda: None) -> None:
        """`halfway` is called once, while the others go on."""
        _together(clients, lambda number: self._work(number, rounds, seed, halfway))
        self.look(_Client(self._serving.address), "last")

    def _work(self, number: int, rounds: int, seed: int, halfway: Callable[[], object]) -> None:
        choice = random.Random(seed * 100 + number)
        client = _Client(self._serving.address)
        for round_number in range(rounds):
            if number == 0 and round_number == rounds // 2:
                halfway()
            seen = self.look(client, f"look-{number}-{round_number}")
            if seen:
                self._move(client, f"move-{number}-{round_number}", choice, seen)

    def look(self, client: _Client, name: str) -> dict[str, tuple[str, ...]]:
        gets = [{"Get": {"TableName": "shared", "Key": {"p": {"S": account}}}} for account in self.ACCOUNTS]
        invoked = time.monotonic()
        status, answer = client.call("TransactGetItems", TransactItems=gets)
        returned = time.monotonic()
        if status != 200:
            assert status == 0 or "TransactionConflict" in str(answer), answer
            return {}
        items = [response["Item"] for response in answer["Responses"]]
        self.totals.add(sum(int(item["money"]["N"]) for item in items))
        seen = {item["p"]["S"]: tuple(entry["S"] for entry in item["log"]["L"]) for item in items}
        self.history.append(Transaction(name, invoked, returned, seen))
        return seen

    def _move(self, client: _Client, name: str, choice: random.Random, seen: dict[str, tuple[str, ...]]) -> None:
        giver, taker, witness = choice.sample(self.ACCOUNTS, 3)
        amount = choice.randint(1, 9)
        blind = choice.random() < 0.4  # Has no condition on what it saw, so most of these succeed.
        actions = [
            self._append(giver, name, -amount, None if blind else len(seen[giver])),
            self._append(taker, name, amount, None),
        ]
        reads = {}
        if not blind:
            actions.append(self._check(witness, len(seen[witness])))
            reads = {giver: seen[giver], witness: seen[witness]}
        invoked = time.monotonic()
        status, answer = client.call("TransactWriteItems", TransactItems=actions)
        returned = time.monotonic()
        outcome = {0: UNKNOWN, 200: "committed", 400: "refused"}[status]
        if outcome == "refused":
            codes = {reason["Code"] for reason in answer["CancellationReasons"]}
            assert codes <= {"None", "ConditionalCheckFailed", "TransactionConflict"}, answer
        known = reads if outcome == "committed" else {}
        self.history.append(Transaction(name, invoked, returned, known, frozenset((giver, taker)), outcome))

    def _append(self, account: str, name: str, amount: int, length: int | None) -> dict[str, Any]:
        values: dict[str, Any] = {":name": {"L": [{"S": name}]}, ":amount": {"N": str(amount)}}
        update: dict[str, Any] = {
            "TableName": "shared",
            "Key": {"p": {"S": account}},
            "UpdateExpression": "SET #log = list_append(#log, :name), money = money + :amount",
            "ExpressionAttributeNames": {"#log": "log"},
            "ExpressionAttributeValues": values,
        }
        if length is not None:
            values[":length"] = {"N": str(length)}
            update["ConditionExpression"] = "size(#log) = :length"
        return {"Update": update}

    def _check(self, account: str, length: int) -> dict[str, Any]:
        check = {
            "TableName": "shared",
            "Key": {"p": {"S": account}},
            "ConditionExpression": "size(#log) = :length",
            "ExpressionAttributeNames": {"#log": "log"},
            "ExpressionAttributeValues": {":length": {"N": str(length)}},
        }
        return {"ConditionCheck": check}


def _check_items(histories: dict[str, list[Call]]) -> None:
    for item, history in histories.items():
        problem = explain_item(history)
        assert not problem, f"{item}: {problem}"


def _kill_a_worker(serving: Serving) -> None:
    os.kill(next(iter(serving.workers().values())), signal.SIGKILL)


def test_single_items_are_linearizable_while_a_worker_dies(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    _create(_Client(serving.address))
    histories = _use_items(serving, clients=8, calls=60, seed=1, halfway=lambda: _kill_a_worker(serving))
    _check_items(histories)
    calls = [call for history in histories.values() for call in history]
    assert len(calls) == 8 * 60
    assert {call.result for call in calls if call.kind == "compare and set"} >= {True, False}


def _check_bank(bank: _Bank) -> None:
    problem = explain_transactions(bank.history)
    assert not problem, problem
    assert bank.totals == {len(bank.ACCOUNTS) * bank.MONEY}
    outcomes = {transaction.outcome for transaction in bank.history if transaction.appends}
    assert outcomes >= {"committed", "refused"}, "a history without both says little"


def test_transactions_are_serializable_while_a_worker_dies(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    _create(_Client(serving.address))
    bank = _Bank(serving)
    bank.use(clients=8, rounds=30, seed=1, halfway=lambda: _kill_a_worker(serving))
    _check_bank(bank)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_long_histories(serve: Serve, seed: int) -> None:
    """Every second one with the death of a worker in the middle of either."""
    serving = serve("--workers", "2", "--table-delay", "0")
    halfway = (lambda: None) if seed % 2 else lambda: _kill_a_worker(serving)
    _create(_Client(serving.address))
    _check_items(_use_items(serving, clients=12, calls=250, seed=seed, halfway=halfway))
    bank = _Bank(serving)
    bank.use(clients=12, rounds=40, seed=seed, halfway=halfway)
    _check_bank(bank)
