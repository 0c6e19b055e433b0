"""Many connections, two workers, the same few items: there must be an order that explains what everybody saw.

What the clients do is in `shared_items.py`. Meanwhile a worker may be killed. The checks are in
`linearizability.py`; whether they see what is wrong is tested here first, on histories made up to be broken.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

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
from tests.faults.shared_items import Bank, Caller, check_groups, check_items, create_table, use_groups, use_items

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


_ABSENT = (("x", None), ("y", None))


def _insert_if_other_is_absent(mine: str, other: str) -> tuple[Act, Act]:
    return Act(other, None, KEEP), Act(mine, ANY, 1)


@pytest.mark.parametrize(
    "history",
    [
        _calls(("look", None, _ABSENT, 0, 1), ("act", (Act("x", None, 1),), (False,), 2, 3)),
        _calls(
            ("act", _insert_if_other_is_absent("x", "y"), (False, False), 0, 9),
            ("act", _insert_if_other_is_absent("y", "x"), (True, False), 0, 9),
            ("look", None, (("x", 1), ("y", None)), 10, 11),
        ),
        # Deleted in between, so that both may win.
        _calls(
            ("act", _insert_if_other_is_absent("x", "y"), (False, False), 0, 9),
            ("act", (Act("x", 1, None),), (False,), 0, 9),
            ("act", _insert_if_other_is_absent("y", "x"), (False, False), 0, 9),
            ("look", None, (("x", None), ("y", 1)), 10, 11),
        ),
        _calls(("act", (Act("x", None, 1),), UNKNOWN, 0, 1), ("look", None, _ABSENT, 2, 3)),
    ],
)
def test_histories_of_a_group_that_can_be(history: list[Call]) -> None:
    assert explain_item(history) == ""


@pytest.mark.parametrize(
    "history",
    [
        # Write skew: each saw that the other's item was absent.
        _calls(
            ("act", _insert_if_other_is_absent("x", "y"), (False, False), 0, 9),
            ("act", _insert_if_other_is_absent("y", "x"), (False, False), 0, 9),
        ),
        # A torn look.
        _calls(
            ("act", (Act("x", ANY, 1), Act("y", ANY, 1)), (False, False), 0, 9),
            ("look", None, (("x", 1), ("y", None)), 0, 9),
        ),
        # Refused because of a transaction that was itself refused.
        _calls(
            ("act", (Act("x", ANY, 1), Act("y", 7, 1)), (False, True), 0, 1),
            ("act", (Act("x", None, 1),), (True,), 2, 3),
        ),
        # A refusal that blames the wrong action.
        _calls(("act", (Act("x", None, 1), Act("y", 7, 1)), (True, False), 0, 1)),
    ],
)
def test_histories_of_a_group_that_cannot_be(history: list[Call]) -> None:
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


def _kill_a_worker(serving: Serving) -> None:
    os.kill(next(iter(serving.workers().values())), signal.SIGKILL)


def _serve_table(serve: Serve) -> Serving:
    serving = serve("--workers", "2", "--table-delay", "0")
    create_table(Caller([serving.address]))
    return serving


def test_single_items_are_linearizable_while_a_worker_dies(serve: Serve) -> None:
    serving = _serve_table(serve)
    histories = use_items([serving.address], clients=8, calls=60, seed=1, halfway=lambda: _kill_a_worker(serving))
    check_items(histories)
    calls = [call for history in histories.values() for call in history]
    assert len(calls) == 8 * 60
    assert {call.result for call in calls if call.kind == "compare and set"} >= {True, False}


def test_transactions_are_serializable_while_a_worker_dies(serve: Serve) -> None:
    serving = _serve_table(serve)
    bank = Bank([serving.address])
    bank.use(clients=8, rounds=30, seed=1, halfway=lambda: _kill_a_worker(serving))
    bank.check()


def test_conditions_on_absent_items_are_serializable_while_a_worker_dies(serve: Serve) -> None:
    serving = _serve_table(serve)
    halfway = lambda: _kill_a_worker(serving)  # noqa: E731
    check_groups(use_groups([serving.address], clients=8, rounds=20, seed=1, halfway=halfway))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_long_histories(serve: Serve, seed: int) -> None:
    """Every second one with the death of a worker in the middle of either."""
    serving = _serve_table(serve)
    halfway = (lambda: None) if seed % 2 else lambda: _kill_a_worker(serving)
    check_items(use_items([serving.address], clients=12, calls=250, seed=seed, halfway=halfway))
    bank = Bank([serving.address])
    bank.use(clients=12, rounds=40, seed=seed, halfway=halfway)
    bank.check()
    check_groups(use_groups([serving.address], clients=12, rounds=40, seed=seed, halfway=halfway))
