"""One evaluation of a condition with many operations over large operands: linear work is done once.

An item of 400 KB may hold a list of 200,000 elements, and an expression of 4 KB may mention it 149 times. A
`MemoItem` is the item together with what one evaluation has computed of it and of the request's values: canonical
bytes for equality, members for `contains`, decoded binaries. What it has computed of the values is kept for the
other items that the request evaluates. So a condition costs as much as its operands are
large, not that times the length of its text. Conditions of few such operations do without it
(`evaluator.FEW_LINEAR`), and so do updates of few actions (`update.FEW_ACTIONS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeAlias

from blotter.database.model.values import (
    SCALAR_TYPES,
    AttributeValue,
    Item,
    binary,
    canonical_bytes,
    comparable,
    type_of,
)
from blotter.database.work_thread import give_way

_AT_ONCE = 8192
"""Elements of a list: a millisecond or two."""

OperandKey: TypeAlias = "str | tuple[Any, ...]"
"""What identifies an operand: a `:placeholder`, a resolved path, or a function with its arguments' keys."""


Known: TypeAlias = dict[tuple[str, OperandKey], Any]
"""What was computed about operands."""


class MemoValues(dict[str, AttributeValue]):
    """A request's values, readable as such, with what every evaluation would have to compute about them: they may
    have megabytes, where the item has few bytes. It is computed at once: a request is prepared where no other
    waits, if it is large."""

    def __init__(self, values: Mapping[str, AttributeValue]) -> None:
        super().__init__(values)
        self.known: Known = {}
        for placeholder, value in values.items():
            type_ = type_of(value)
            if type_ not in SCALAR_TYPES:
                canonical = canonical_bytes(value)
                self.known["bytes", placeholder] = canonical
                self.known["comparable", placeholder] = (type_, canonical)


class MemoItem(dict[str, AttributeValue]):
    """An item, readable as one, that remembers what was computed about operands during one evaluation, and about
    the request's values for as long as `of_values` is kept."""

    def __init__(self, item: Item, of_values: Known | None = None) -> None:
        super().__init__(item)
        self._known: Known = {}
        self._of_values: Known = self._known if of_values is None else of_values

    def once(self, what: str, key: OperandKey, compute: Callable[[Any], Any], operand: Any) -> Any:
        """`compute(operand)`, computed at the first request for this `what` and operand key."""
        kept = self._of_values if isinstance(key, str) else self._known
        known = kept.get((what, key))
        if known is None:
            known = kept[what, key] = compute(operand)
        return known

    def equal(self, left: OperandKey, a: AttributeValue, right: OperandKey, b: AttributeValue) -> bool:
        """DynamoDB's equality of two operands' values (`values_equal`)."""
        ((type_, x),) = a.items()
        y = b.get(type_)
        if y is None:
            return False
        if type_ in SCALAR_TYPES or len(x) != len(y):
            return bool(x == y)
        canonical: bytes = self.once("bytes", left, canonical_bytes, a)
        other: bytes = self.once("bytes", right, canonical_bytes, b)
        return canonical == other

    def contains(
        self, container_key: OperandKey, container: AttributeValue, part_key: OperandKey, part: AttributeValue
    ) -> bool:
        """Whether a string or binary has the part, a set the member, or a list the element."""
        ((type_, content),) = container.items()
        if type_ == "L":
            elements: set[Any] = self.once("elements", container_key, _elements, content)
            return self.once("comparable", part_key, comparable, part) in elements
        ((part_type, value),) = part.items()
        if type_ == "S":
            return part_type == type_ and str(value) in str(content)
        if type_ == "B":
            return part_type == type_ and self.binary(part_key, part) in self.binary(container_key, container)
        if type_ != part_type + "S":
            return False
        members: frozenset[str] = self.once("members", container_key, frozenset, content)
        return value in members

    def binary(self, key: OperandKey, value: AttributeValue) -> bytes:
        """The bytes of an operand of type B."""
        decoded: bytes = self.once("binary", key, binary, value["B"])
        return decoded


def _elements(content: list[AttributeValue]) -> set[Any]:
    elements: set[Any] = set()
    hashables = map(comparable, content)
    while some := tuple(islice(hashables, _AT_ONCE)):
        elements.update(some)
        give_way()
    return elements
