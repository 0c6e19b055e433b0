"""What a plan touches: one list, from which access control, throttling, the conflict check and logs work.

Operations differ in how they name their tables and items; this is the one shape in which the rest of the server
sees them. The list is made on demand, so that a plan whose touches are not needed pays nothing. Actions:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from blotter.database.model.table import KeySchema
from blotter.database.model.values import AttributeValue, Item

EVERYTHING = "*"
"""The resource of an action that is about no single table or stream."""

AnyRequest = TypeVar("AnyRequest")


class NamesAttributes(Protocol):
    """A condition, projection, update or list of columns."""

    @property
    def top_level_names(self) -> Iterable[str]: ...


class FindsPartitions(Protocol):
    """A WHERE clause, which names partitions once the keys are known."""

    def partition_values(self, keys: KeySchema) -> list[AttributeValue] | None: ...


NOTHING_ELSE: tuple[NamesAttributes, ...] = ()

ALL_ATTRIBUTES: Final = "ALL_ATTRIBUTES"
ALL_PROJECTED_ATTRIBUTES: Final = "ALL_PROJECTED_ATTRIBUTES"
SPECIFIC_ATTRIBUTES: Final = "SPECIFIC_ATTRIBUTES"


class Touch:
    """One access to one item, key range, table or stream.

    A GetItem of one attribute:
        Touch("dynamodb:GetItem", "results", {"id": {"S": "a"}}, (projection,), select="SPECIFIC_ATTRIBUTES")
    A Scan of an index:
        Touch("dynamodb:Scan", "results", index="by-date", select="ALL_PROJECTED_ATTRIBUTES")

    action: as IAM spells it; batches and the actions of a transaction each have their own.
    resource: a table's name or ARN or a stream's ARN, as the request has it, or EVERYTHING.
    key: attributes with their values, the key's among them: the key, or the item of a put, or the equalities of a
        key condition or WHERE clause. Which of them are the key only the table knows. None without an item.
    expressions: what names further attributes.
    select: of a read of items: ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES or COUNT.
    return_values: of a write of an item, as UpdateItem's ReturnValues.
    capacity: ReturnConsumedCapacity, if the request has it.
    where: the WHERE clause of a SELECT.
    tags: tags that the request sets, or removes (None).
    """

    __slots__ = (
        *("action", "capacity", "expressions", "index", "key", "resource", "return_values", "select", "tags"),
        "where",
    )

    def __init__(
        self,
        action: str,
        resource: str,
        key: Item | None = None,
        expressions: tuple[NamesAttributes | None, ...] = (),
        index: str | None = None,
        select: str = "",
        return_values: str = "",
        capacity: str | None = None,
        where: FindsPartitions | None = None,
        tags: tuple[tuple[str, str | None], ...] = (),
    ) -> None:
        self.action: Final = action
        self.resource: Final = resource
        self.key: Final = key
        self.expressions: Final = expressions
        self.index: Final = index
        self.select: Final = select
        self.return_values: Final = return_values
        self.capacity: Final = capacity
        self.where: Final = where
        self.tags: Final = tags

    @property
    def attributes(self) -> frozenset[str] | None:
        """The top-level attributes that are read or written, the key's among them; None for all of them and for
        what is about no items."""
        if not (self.select or self.return_values) or self.select.startswith("ALL"):
            return None
        return self.named_attributes

    @property
    def named_attributes(self) -> frozenset[str]:
        """The top-level attributes that the request names."""
        names = set(self.key or ())
        for expression in self.expressions:
            if expression is not None:
                names.update(expression.top_level_names)
        return frozenset(names)


def returned_at_most(return_values: str, item_on_failure: bool) -> str:
    """The ReturnValues of a write that may return the old item when its condition fails."""
    return "ALL_OLD" if item_on_failure and return_values != "ALL_NEW" else return_values


def read_touch(
    action: str, table: str, key: Item, projection: NamesAttributes | None, capacity: str | None
) -> Touch:
    """The touch of a read of one item."""
    select = ALL_ATTRIBUTES if projection is None else SPECIFIC_ATTRIBUTES
    return Touch(action, table, key, (projection,), None, select, "", capacity)


class Plan(Protocol):
    """What `prepare` makes of a request: all that can be decided without the store. It never changes.

    One whose parts succeed or fail by themselves also has `refuse(number, error)`, which makes the error the
    result of the part that the touch of that number is about. One whose parts may be left for later has
    `postpone(numbers)`, which leaves the parts of these touches unprocessed. A transaction has
    `cancellation(errors)`: the error that it ends with when the touches of these numbers are refused. `refuse` and
    `postpone` are called before the plan is executed, or never.
    """

    def touches(self) -> Sequence[Touch]: ...


class ItemRead(ABC):
    """The plan of a read of one item. The admit stage needs no more of its touch than the table."""

    __slots__ = ("table",)

    def __init__(self, table: str) -> None:
        self.table = table

    @abstractmethod
    def touches(self) -> Sequence[Touch]: ...


class RequestPlan(msgspec.Struct, Generic[AnyRequest], frozen=True):
    """The plan of an operation that needs no preparation: the request itself."""

    request: AnyRequest
    action: str
    resource: str
    more: Callable[[AnyRequest], Sequence[Touch]] | None = None
    """The touches of a request that is more than one action, or sets tags; None for one of `action`."""

    def touches(self) -> Sequence[Touch]:
        return (Touch(self.action, self.resource),) if self.more is None else self.more(self.request)
