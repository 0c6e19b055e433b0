"""What a plan touches: one list, from which access control, throttling, the conflict check and logs work.

Operations differ in how they name their tables and items; this is the one shape in which the rest of the server
sees them. The list is made on demand, so that a plan whose touches are not needed pays nothing. Actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from blotter.database.model.values import Item

EVERYTHING = "*"
"""The resource of an action that is about no single table or stream."""

AnyRequest = TypeVar("AnyRequest")


class NamesAttributes(Protocol):
    """A condition, projection, update or list of columns."""

    @property
    def top_level_names(self) -> Iterable[str]: ...


NOTHING_ELSE: tuple[NamesAttributes, ...] = ()


def read_expressions(projection: NamesAttributes | None) -> tuple[NamesAttributes, ...] | None:
    """The `expressions` of a read: without a projection it reads all attributes."""
    return None if projection is None else (projection,)


class Touch(msgspec.Struct, frozen=True, gc=False):
    """One access to one item, key range, table or stream.

    A GetItem of one attribute:
        Touch("dynamodb:GetItem", "results", {"id": {"S": "a"}}, (projection,))
    A Scan of an index:
        Touch("dynamodb:Scan", "results", index="by-date")
    """

    action: str
    """As IAM spells it. Batches and the actions of a transaction each have their own."""
    resource: str
    """A table's name or ARN or a stream's ARN, as the request has it, or EVERYTHING."""
    key: Item | None = None
    """Attributes with their values, the key's among them: the key, or the item of a put, or the equalities of a
    key condition or WHERE clause. Which of them are the key only the table knows. None when no item is named."""
    expressions: tuple[NamesAttributes | None, ...] | None = None
    """What names further attributes; None when all attributes of the items are read or written."""
    index: str | None = None

    @property
    def attributes(self) -> frozenset[str] | None:
        """The top-level attributes that are read or written, the key's among them; None for all of them."""
        if self.expressions is None:
            return None
        names = set(self.key or ())
        for expression in self.expressions:
            if expression is not None:
                names.update(expression.top_level_names)
        return frozenset(names)


class Plan(Protocol):
    """What `prepare` makes of a request: all that can be decided without the store. It never changes."""

    def touches(self) -> Sequence[Touch]: ...


class RequestPlan(msgspec.Struct, Generic[AnyRequest], frozen=True):
    """The plan of an operation that needs no preparation: the request itself."""

    request: AnyRequest
    action: str
    resource: str

    def touches(self) -> Sequence[Touch]:
        return (Touch(self.action, self.resource),)
