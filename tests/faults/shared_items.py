"""Clients that use the same few items together, over one or several servers, and write down what they saw.

Three kinds of histories for the judges of `linearizability.py`: calls on single items (`use_items`), a bank whose
transactions compare, append and move money (`Bank`), and small groups of items that come and go in transactions
with conditions on absent items (`use_groups`). A client that loses its connection goes on at the next server, as
behind a load balancer; whatever else a client of a server in trouble may see is an error that SDKs repeat.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.linearizability import (
    ANY,
    KEEP,
    UNKNOWN,
    Act,
    Call,
    Transaction,
    explain_item,
    explain_transactions,
)
from tests.faults.plain_client import Client

Address = tuple[str, int]
Halfway = Callable[[], object]

TABLE = "shared"
RETRIABLE = ("#InternalServerError", "#ServiceUnavailable", "#ServiceUnavailableException")
_PATIENCE_SECONDS = 60


class Caller:
    """One client. `stops` are the seconds between two answers that were no errors."""

    def __init__(self, addresses: Sequence[Address], number: int = 0) -> None:
        self._clients = [Client(address) for address in addresses]
        self._number = number
        self._answered = time.monotonic()
        self.longest_stop = 0.0

    def call(self, operation: str, **request: Any) -> tuple[int, Any]:
        """Status and answer; status 0 when the outcome is not known."""
        client = self._clients[self._number % len(self._clients)]
        try:
            status, body = client.call(operation, **request)
        except (OSError, http.client.HTTPException):
            self._number += 1
            return 0, None
        if status >= 500:
            assert body["__type"].endswith(RETRIABLE), body
            return 0, body
        self._note_answer()
        return status, body

    def _note_answer(self) -> None:
        now = time.monotonic()
        self.longest_stop = max(self.longest_stop, now - self._answered)
        self._answered = now

    def wait_until_served(self) -> None:
        """Reads until something answers: whoever writes on would only add writes of unknown outcome."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.call("ListTables")[0] != 200:
            assert time.monotonic() < deadline, "nobody serves"
            time.sleep(0.02)


def together(count: int, work: Callable[[int], None]) -> None:
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


def create_table(caller: Caller) -> None:
    status, answer = caller.call(
        "CreateTable",
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert status == 200, answer


# Single items


def _on_item(item: str, kind: str, argument: Any) -> tuple[str, dict[str, Any]]:
    """The request for one of the kinds of `explain_item`."""
    key = {"TableName": TABLE, "Key": {"p": {"S": item}}}
    if kind == "read":
        return "GetItem", {**key, "ConsistentRead": True}
    if kind == "delete":
        return "DeleteItem", key
    if kind == "put":
        return "PutItem", {"TableName": TABLE, "Item": {"p": {"S": item}, "v": {"N": str(argument)}}}
    if kind == "add":
        update = {"UpdateExpression": "ADD v :v", "ReturnValues": "UPDATED_NEW"}
        return "UpdateItem", {**key, **update, "ExpressionAttributeValues": {":v": {"N": str(argument)}}}
    expected, new = argument
    values = {":new": {"N": str(new)}, ":expected": {"N": str(expected)}}
    update = {"UpdateExpression": "SET v = :new", "ConditionExpression": "v = :expected"}
    return "UpdateItem", {**key, **update, "ExpressionAttributeValues": values}


def _value(item: dict[str, Any] | None) -> int | None:
    return int(item["v"]["N"]) if item else None


def _result(kind: str, status: int, answer: Any) -> Any:
    if status == 0:
        return UNKNOWN
    if kind == "compare and set" and status == 400:
        assert answer["__type"].endswith("ConditionalCheckFailedException"), answer
        return False
    assert status == 200, answer
    if kind == "read":
        return _value(answer.get("Item"))
    if kind == "add":
        return int(answer["Attributes"]["v"]["N"])
    return kind == "compare and set"


def use_items(
    addresses: Sequence[Address], clients: int, calls: int, seed: int, halfway: Halfway = lambda: None
) -> dict[str, list[Call]]:
    """The history of each item. `halfway` is called once, while the others go on."""
    histories: dict[str, list[Call]] = defaultdict(list)
    fresh = itertools.count(1000, 1000)  # Values that no other thread puts, so that a read shows which one it saw.

    def work(number: int) -> None:
        choice = random.Random(seed * 100 + number)
        caller = Caller(addresses, number)
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
            status, answer = caller.call(operation, **request)
            returned = time.monotonic()
            result = _result(kind, status, answer)
            histories[item].append(Call(kind, argument, result, invoked, returned))
            if kind in ("read", "add") and result != UNKNOWN:
                last[item] = result
            elif kind == "compare and set" and result is True:
                last[item] = argument[1]
            if result == UNKNOWN:
                caller.wait_until_served()

    together(clients, work)
    return histories


def check_items(histories: dict[str, list[Call]]) -> None:
    for item, history in histories.items():
        problem = explain_item(history)
        assert not problem, f"{item}: {problem}"


# A bank


class Bank:
    """Transactions that compare, append their name to two accounts and move money, and others that look."""

    ACCOUNTS = "abcd"
    MONEY = 1000

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.history: list[Transaction] = []
        self.totals: set[int] = set()
        self._addresses = addresses
        caller = Caller(addresses)
        for account in self.ACCOUNTS:
            item = {"p": {"S": account}, "log": {"L": []}, "money": {"N": str(self.MONEY)}}
            assert caller.call("PutItem", TableName=TABLE, Item=item)[0] == 200

    def use(self, clients: int, rounds: int, seed: int, halfway: Halfway = lambda: None) -> None:
        """`halfway` is called once, while the others go on."""
        together(clients, lambda number: self._work(number, rounds, seed, halfway))
        caller = Caller(self._addresses)
        caller.wait_until_served()
        assert self._look(caller, "last")

    def check(self) -> None:
        problem = explain_transactions(self.history)
        assert not problem, problem
        assert self.totals == {len(self.ACCOUNTS) * self.MONEY}
        outcomes = {transaction.outcome for transaction in self.history if transaction.appends}
        assert outcomes >= {"committed", "refused"}, "a history without both says little"

    def _work(self, number: int, rounds: int, seed: int, halfway: Halfway) -> None:
        choice = random.Random(seed * 100 + number)
        caller = Caller(self._addresses, number)
        for round_number in range(rounds):
            if number == 0 and round_number == rounds // 2:
                halfway()
            seen = self._look(caller, f"look-{number}-{round_number}")
            if seen and self._move(caller, f"move-{number}-{round_number}", choice, seen) == UNKNOWN:
                caller.wait_until_served()

    def _look(self, caller: Caller, name: str) -> dict[str, tuple[str, ...]]:
        gets = [{"Get": {"TableName": TABLE, "Key": {"p": {"S": account}}}} for account in self.ACCOUNTS]
        invoked = time.monotonic()
        status, answer = caller.call("TransactGetItems", TransactItems=gets)
        returned = time.monotonic()
        if status != 200:
            assert status == 0 or "TransactionConflict" in str(answer), answer
            return {}
        items = [response["Item"] for response in answer["Responses"]]
        self.totals.add(sum(int(item["money"]["N"]) for item in items))
        seen = {item["p"]["S"]: tuple(entry["S"] for entry in item["log"]["L"]) for item in items}
        self.history.append(Transaction(name, invoked, returned, seen))
        return seen

    def _move(self, caller: Caller, name: str, choice: random.Random, seen: dict[str, tuple[str, ...]]) -> str:
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
        status, answer = caller.call("TransactWriteItems", TransactItems=actions)
        returned = time.monotonic()
        outcome = {0: UNKNOWN, 200: "committed", 400: "refused"}[status]
        if outcome == "refused":
            assert set(_reasons(answer)) <= {"None", "ConditionalCheckFailed", "TransactionConflict"}, answer
        known = reads if outcome == "committed" else {}
        self.history.append(Transaction(name, invoked, returned, known, frozenset((giver, taker)), outcome))
        return outcome

    def _append(self, account: str, name: str, amount: int, length: int | None) -> dict[str, Any]:
        values: dict[str, Any] = {":name": {"L": [{"S": name}]}, ":amount": {"N": str(amount)}}
        update: dict[str, Any] = {
            "TableName": TABLE,
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
            "TableName": TABLE,
            "Key": {"p": {"S": account}},
            "ConditionExpression": "size(#log) = :length",
            "ExpressionAttributeNames": {"#log": "log"},
            "ExpressionAttributeValues": {":length": {"N": str(length)}},
        }
        return {"ConditionCheck": check}


def _reasons(answer: Any) -> list[str]:
    """The code of each action of a canceled transaction."""
    return [reason["Code"] for reason in answer["CancellationReasons"]]


# Groups of items


GROUP = "xyz"
_CALLS_EACH = 4


def use_groups(
    addresses: Sequence[Address], clients: int, rounds: int, seed: int, halfway: Halfway = lambda: None
) -> dict[str, list[Call]]:
    """The history of each group of items. In every round all clients fall on a group that is new, whose items are
    absent. `halfway` is called once, while the others go on."""
    histories: dict[str, list[Call]] = {f"{number}-": [] for number in range(rounds)}
    starting = threading.Barrier(clients)
    fresh = itertools.count(1)

    def work(number: int) -> None:
        try:
            choice = random.Random(seed * 100 + number)
            caller = Caller(addresses, number)
            for round_number, (group, history) in enumerate(histories.items()):
                starting.wait(2 * _PATIENCE_SECONDS)
                if number == 0 and round_number == rounds // 2:
                    halfway()
                _use_group(caller, group, history, choice, fresh)
        except BaseException:
            starting.abort()
            raise

    together(clients, work)
    return histories


def _use_group(
    caller: Caller, group: str, history: list[Call], choice: random.Random, fresh: itertools.count[int]
) -> None:
    seen: dict[str, int | None] = dict.fromkeys(GROUP)
    for _ in range(_CALLS_EACH):
        acts = choose_acts(choice, seen, fresh)
        invoked = time.monotonic()
        result = _look_at_group(caller, group) if acts is None else _act_on_group(caller, group, acts)
        returned = time.monotonic()
        if result is None:
            continue
        history.append(Call("look" if acts is None else "act", acts, result, invoked, returned))
        if result == UNKNOWN:
            caller.wait_until_served()
        elif acts is None:
            seen = dict(result)
        elif not any(result):
            seen |= {act.item: act.new for act in acts if act.new != KEEP}


def choose_acts(
    choice: random.Random, seen: dict[str, int | None], fresh: itertools.count[int]
) -> tuple[Act, ...] | None:
    """None for a look at the whole group. Two that each check that the other's item is as they saw it, absent
    above all, and write their own, are what a store that is not serializable lets pass (write skew)."""
    mine, other, third = choice.sample(GROUP, 3)
    skew = (Act(other, seen[other], KEEP), Act(mine, ANY, next(fresh)))
    return choice.choices(
        [
            None,
            skew,
            (*skew, Act(third, seen[third], KEEP)),
            (Act(other, seen[other], KEEP), Act(mine, seen[mine], next(fresh))),
            (Act(other, seen[other], None), Act(mine, ANY, next(fresh))),
            (Act(mine, seen[mine], next(fresh)),),
            (Act(mine, None, next(fresh)),),
            (Act(mine, ANY, None),),
        ],
        weights=[2, 4, 2, 2, 1, 1, 1, 1],
    )[0]


def _look_at_group(caller: Caller, group: str) -> Any:
    gets = [{"Get": {"TableName": TABLE, "Key": {"p": {"S": group + item}}}} for item in GROUP]
    status, answer = caller.call("TransactGetItems", TransactItems=gets)
    if status == 400:
        assert "TransactionConflict" in _reasons(answer), answer
        return None
    if status == 0:
        return UNKNOWN
    values = (_value(response.get("Item")) for response in answer["Responses"])
    return tuple(zip(GROUP, values, strict=True))


def _act_on_group(caller: Caller, group: str, acts: tuple[Act, ...]) -> Any:
    """Whether the condition of each action failed; None for a transaction that others were in the way of. A single
    action is the plain request."""
    actions = [_action(group, act) for act in acts]
    if len(actions) == 1:
        ((kind, request),) = actions[0].items()
        status, answer = caller.call(f"{kind}Item", **request)
        if status == 400:
            if answer["__type"].endswith("#TransactionConflictException"):
                return None
            assert answer["__type"].endswith("#ConditionalCheckFailedException"), answer
        return UNKNOWN if status == 0 else (status == 400,)
    status, answer = caller.call("TransactWriteItems", TransactItems=actions)
    if status == 400:
        reasons = _reasons(answer)
        if "TransactionConflict" in reasons:
            return None
        assert set(reasons) <= {"None", "ConditionalCheckFailed"}, answer
        return tuple(reason == "ConditionalCheckFailed" for reason in reasons)
    return UNKNOWN if status == 0 else (False,) * len(acts)


def _action(group: str, act: Act) -> dict[str, Any]:
    """The action of TransactWriteItems."""
    key = {"p": {"S": group + act.item}}
    request: dict[str, Any] = {"TableName": TABLE}
    if act.expected is None:
        request["ConditionExpression"] = "attribute_not_exists(p)"
    elif act.expected != ANY:
        request |= {"ConditionExpression": "v = :v", "ExpressionAttributeValues": {":v": {"N": str(act.expected)}}}
    if act.new == KEEP:
        return {"ConditionCheck": {**request, "Key": key}}
    if act.new is None:
        return {"Delete": {**request, "Key": key}}
    return {"Put": {**request, "Item": {**key, "v": {"N": str(act.new)}}}}


def check_groups(histories: dict[str, list[Call]]) -> None:
    for group, history in histories.items():
        problem = explain_item(history)
        assert not problem, f"{group}: {problem}"
    results = [call.result for history in histories.values() for call in history if call.kind == "act"]
    assert any(True in result for result in results if result != UNKNOWN), "no condition failed"
    assert any(len(result) > 1 and not any(result) for result in results if result != UNKNOWN)
