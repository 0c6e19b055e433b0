"""What a plan touches: one list, from which access control, throttling, the conflict check and logs work.

Operations differ in how they name their tables and items; this is the one shape in which the rest of the server
sees them. The list is made on demand, so that a plan whose touches are not needed pays nothing. Actions:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from blotter.database.model.errors import DynamoDBError
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


class Touch(msgspec.Struct, frozen=True, gc=False):
    """One access to one item, key range, table or stream.

    A GetItem of one attribute:
        Touch("dynamodb:GetItem", "results", {"id": {"S": "a"}}, (projection,), select="SPECIFIC_ATTRIBUTES")
    A Scan of an index:
        Touch("dynamodb:Scan", "results", index="by-date", select="ALL_PROJECTED_ATTRIBUTES")
    """

    action: str
    """As IAM spells it. Batches and the actions of a transaction each have their own."""
    resource: str
    """A table's name or ARN or a stream's ARN, as the request has it, or EVERYTHING."""
    key: Item | None = None
    """Attributes with their values, the key's among them: the key, or the item of a put, or the equalities of a
    key condition or WHERE clause. Which of them are the key only the table knows. None when no item is named."""
    expressions: tuple[NamesAttributes | None, ...] = ()
    """What names further attributes."""
    index: str | None = None
    select: str = ""
    """Of a read of items: ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES or COUNT."""
    return_values: str = ""
    """Of a write of an item, as UpdateItem's ReturnValues."""
    capacity: str | None = None
    """ReturnConsumedCapacity, if the request has it."""
    where: FindsPartitions | None = None
    """The WHERE clause of a SELECT."""
    tags: tuple[tuple[str, str | None], ...] = ()
    """Tags that the request sets, or removes (None)."""

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


def read_touch(
    action: str, table: str, key: Item, projection: NamesAttributes | None, capacity: str | None
) -> Touch:
    """The touch of a read of one item."""
    select = ALL_ATTRIBUTES if projection is None else SPECIFIC_ATTRIBUTES
    return Touch(action, table, key, (projection,), None, select, "", capacity)


class Plan(Protocol):
    """What `prepare` makes of a request: all that can be decided without the store. It never changes."""

    def touches(self) -> Sequence[Touch]: ...


@runtime_checkable
class DividedPlan(Protocol):
    """A `Plan` whose parts succeed or fail by themselves: before it is executed, a part may be refused. It does
    not inherit from `Plan`: a decorated class is none that mypyc compiles."""

    def touches(self) -> Sequence[Touch]: ...

    def refuse(self, number: int, error: DynamoDBError) -> None:
        """Makes the error the result of the part that the touch of that number is about."""


class RequestPlan(msgspec.Struct, Generic[AnyRequest], frozen=True):
    """The plan of an operation that needs no preparation: the request itself."""

    request: AnyRequest
    action: str
    resource: str
    more: Callable[[AnyRequest], Sequence[Touch]] | None = None
    """The touches of a request that is more than one action, or sets tags; None for one of `action`."""

    def touches(self) -> Sequence[Touch]:
        return (Touch(self.action, self.resource),) if self.more is None else self.more(self.request)
