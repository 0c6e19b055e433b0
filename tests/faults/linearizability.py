"""Checks concurrent histories: is there any order of the operations that explains all that the clients saw?

`explain_item` takes what several clients did to one item, or to a small group of items, and looks for an order in
which every operation takes effect at one moment between its call and its return (linearizability): the search of
Wing and Gong with Lowe's memory of places already visited,
https://www.cs.ox.ac.uk/people/gavin.lowe/LinearizabiltyTesting/paper.pdf.
`explain_transactions` takes transactions that append their name to lists and read lists. The lists tell in which
order each item was written; from these follows which must have come before which, and a cycle means that no order
is left (strict serializability, in the manner of Elle, https://arxiv.org/abs/2003.10554).

Neither knows anything of a database. Both return what is wrong, "" for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

# Single items


class Call(NamedTuple):
    """One operation on one item, in the time of one clock. `result` of one whose outcome is not known is UNKNOWN;
    it may have had its effect at any time since, or never."""

    kind: str
    argument: Any
    result: Any
    invoked: float
    returned: float


UNKNOWN = "unknown"
ANY = "any"
KEEP = "keep"


class Act(NamedTuple):
    """A part of a transaction: `item` must have the value `expected` (None: be absent; ANY: no condition) and gets
    the value `new` (None: is deleted; KEEP: is only looked at)."""

    item: str
    expected: Any
    new: Any


def _read(state: Any, call: Call) -> tuple[bool, Any]:
    return call.result == state, state


def _put(_: Any, call: Call) -> tuple[bool, Any]:
    return True, call.argument


def _add(state: Any, call: Call) -> tuple[bool, Any]:
    new = (state or 0) + call.argument
    return call.result in (UNKNOWN, new), new


def _compare_and_set(state: Any, call: Call) -> tuple[bool, Any]:
    expected, new = call.argument
    fits = state == expected
    return call.result in (UNKNOWN, fits), new if fits else state


def _delete(_: Any, __: Call) -> tuple[bool, Any]:
    return True, None


def _look(state: Any, call: Call) -> tuple[bool, Any]:
    """A snapshot of some items of a group: pairs of item and value."""
    values = dict(state or ())
    return all(values.get(item) == value for item, value in call.result), state


def _act(state: Any, call: Call) -> tuple[bool, Any]:
    """A transaction on items of a group. The result says for each `Act` whether its condition failed."""
    values = dict(state or ())
    failed = tuple(act.expected not in (ANY, values.get(act.item)) for act in call.argument)
    if not any(failed):
        values |= {act.item: act.new for act in call.argument if act.new != KEEP}
        state = tuple(sorted((item, value) for item, value in values.items() if value is not None))
    return call.result in (UNKNOWN, failed), state


# Kind → from the item's value before, None for no item: whether the result could be, and the value after.
_KINDS: dict[str, Callable[[Any, Call], tuple[bool, Any]]] = {
    "read": _read,
    "put": _put,
    "add": _add,
    "compare and set": _compare_and_set,
    "delete": _delete,
    "look": _look,
    "act": _act,
}
_READS = ("read", "look")


def explain_item(history: Iterable[Call]) -> str:
    """`history` is all that happened to one item, which was not there at first; or to one group of items, by the
    kinds "look" and "act"."""
    known = [call for call in history if call.result != UNKNOWN or call.kind not in _READS]
    calls = sorted(
        (call if call.result != UNKNOWN else call._replace(returned=inf) for call in known),
        key=lambda call: call.invoked,
    )
    needed = sum(1 << number for number, call in enumerate(calls) if call.result != UNKNOWN)
    start = (0, None)
    seen: set[tuple[int, Any]] = {start}
    waiting = [start]
    furthest = 0
    while waiting:
        done, state = waiting.pop()
        if done & needed == needed:
            return ""
        furthest = max(furthest, done, key=int.bit_count)
        for place in _next_places(calls, done, state):
            if place not in seen:
                seen.add(place)
                waiting.append(place)
    stuck = [calls[number] for number in _next_calls(calls, furthest)]
    return f"after {furthest.bit_count()} of {len(calls)} calls none of these can be next: {stuck}"


def _next_places(calls: list[Call], done: int, state: Any) -> list[tuple[int, Any]]:
    """Where the calls that may be next lead to. One that changes nothing, and can be next, may as well be next: in
    any order that has it later it can be moved here. That leaves few places to visit, however many only look."""
    places = []
    for number in _next_calls(calls, done):
        fits, after = _KINDS[calls[number].kind](state, calls[number])
        if fits:
            place = (done | 1 << number, after)
            if _changes_nothing(calls[number]):
                return [place]
            places.append(place)
    return places


def _changes_nothing(call: Call) -> bool:
    """Whether it never does, if its result is right."""
    if call.result == UNKNOWN:
        return False
    if call.kind == "act":
        return any(call.result) or all(act.new == KEEP for act in call.argument)
    return call.kind in _READS or (call.kind == "compare and set" and not call.result)


def _next_calls(calls: list[Call], done: int) -> list[int]:
    """Those that may be next: not done, and called before any other of those has returned."""
    open_calls = []
    first_return = inf
    number = (~done & (done + 1)).bit_length() - 1
    while number < len(calls) and calls[number].invoked <= first_return:
        if not done >> number & 1:
            open_calls.append(number)
            first_return = min(first_return, calls[number].returned)
        number += 1
    return open_calls


# Transactions


@dataclass
class Transaction:
    """`reads`: item → the list it saw. `appends`: items to whose lists it appended its name. `outcome` is
    "committed", "refused" or UNKNOWN."""

    name: str
    invoked: float
    returned: float
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    appends: frozenset[str] = frozenset()
    outcome: str = "committed"


def explain_transactions(history: Iterable[Transaction]) -> str:
    """The last transactions of the history should read every item, so that nothing lost goes unseen."""
    transactions = {transaction.name: transaction for transaction in history}
    orders, problem = _version_orders(transactions)
    if problem:
        return problem
    shown = {name for order in orders.values() for name in order}
    for name in shown:
        for item in transactions[name].appends:
            if name not in orders[item]:
                return f"half a transaction: {name} is missing from {item}"
    committed = [each for each in transactions.values() if each.outcome == "committed" or each.name in shown]
    before = _dependencies(committed, orders)
    try:
        tuple(TopologicalSorter(before).static_order())
    except CycleError as error:
        return f"each of these was before the next one: {' → '.join(error.args[1])}"
    return ""


def _version_orders(transactions: dict[str, Transaction]) -> tuple[dict[str, tuple[str, ...]], str]:
    orders: dict[str, tuple[str, ...]] = defaultdict(tuple)
    reads = [(each, item, seen) for each in transactions.values() for item, seen in each.reads.items()]
    for each, item, seen in reads:
        if len(seen) > len(orders[item]):
            orders[item] = seen
        for name in seen:
            writer = transactions.get(name)
            if writer is None or writer.outcome == "refused" or item not in writer.appends:
                return orders, f"{each.name} saw {name} in {item}, which nobody wrote there"
    for each, item, seen in reads:
        if orders[item][: len(seen)] != seen:
            return orders, f"{each.name} saw {item} as it never was: {seen}, not a beginning of {orders[item]}"
    for item, order in orders.items():
        if len(set(order)) < len(order):
            return orders, f"one transaction twice in {item}: {order}"
    for each in transactions.values():
        for item in each.appends if each.outcome == "committed" else ():
            if each.name not in orders[item]:
                return orders, f"{each.name} was acknowledged and is missing from {item}"
    return orders, ""


def _dependencies(committed: list[Transaction], orders: dict[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """Which transaction came before which: writers in the order of the list, a reader after what it saw and before
    what it did not see, and those that had returned before another was called."""
    before: dict[str, set[str]] = {each.name: set() for each in committed}
    for order in orders.values():
        for earlier, later in pairwise(order):
            before[later].add(earlier)
    for each in committed:
        for item, seen in each.reads.items():
            if seen and seen[-1] != each.name:
                before[each.name].add(seen[-1])
            unseen = orders[item][len(seen) : len(seen) + 1]
            if unseen and unseen[0] != each.name:
                before[unseen[0]].add(each.name)
        before[each.name].update(
            other.name for other in committed if other.returned < each.invoked and other.outcome == "committed"
        )
    return before
