"""The syntax tree of a PartiQL statement, as frozen values.

It represents what was written, not what DynamoDB can do with it: `reading` checks that. Nodes keep the position of
their first token for messages. Runs of AND and of OR are one node, so that a long condition is wide, not deep.
"""

from __future__ import annotations

from typing import Literal as OneOf
from typing import TypeAlias

import msgspec

from blotter.database.expressions.partiql.problems import Position

ReturnValues = OneOf["ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]


class Literal(msgspec.Struct, frozen=True):
    """`type` is S, N, BOOL, NULL or MISSING; a number is as written."""

    type: str
    content: str | bool
    position: Position


class Parameter(msgspec.Struct, frozen=True):
    """A `?`; `index` counts from 0."""

    index: int
    position: Position


class ListOf(msgspec.Struct, frozen=True):
    elements: tuple[Node, ...]
    position: Position


class Bag(msgspec.Struct, frozen=True):
    elements: tuple[Node, ...]
    position: Position


class StructOf(msgspec.Struct, frozen=True):
    members: tuple[tuple[Node, Node], ...]
    position: Position


class Path(msgspec.Struct, frozen=True):
    """Names and list indexes; a `*` or anything computed between brackets is kept as None."""

    steps: tuple[str | int | None, ...]
    position: Position


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: tuple[Node, ...]
    position: Position


class Logical(msgspec.Struct, frozen=True):
    operator: OneOf["and", "or"]
    operands: tuple[Node, ...]
    position: Position


class Unary(msgspec.Struct, frozen=True):
    operator: str
    operand: Node
    position: Position


class Binary(msgspec.Struct, frozen=True):
    operator: str
    left: Node
    right: Node
    position: Position


class Between(msgspec.Struct, frozen=True):
    operand: Node
    lower: Node
    upper: Node
    position: Position


class In(msgspec.Struct, frozen=True):
    operand: Node
    candidates: Node
    position: Position


class Is(msgspec.Struct, frozen=True):
    operand: Node
    type_name: str
    position: Position


class Order(msgspec.Struct, frozen=True):
    key: Node
    descending: bool


class Select(msgspec.Struct, frozen=True):
    """`columns` is None for `*`."""

    columns: tuple[Node, ...] | None
    source: Node
    where: Node | None
    order: tuple[Order, ...]
    position: Position


class Insert(msgspec.Struct, frozen=True):
    target: Path
    value: Node


class Assignment(msgspec.Struct, frozen=True):
    """SET path = value, or REMOVE path when there is no value."""

    path: Path
    value: Node | None


class Update(msgspec.Struct, frozen=True):
    target: Node
    assignments: tuple[Assignment, ...]
    where: Node | None
    returning: ReturnValues | None


class Delete(msgspec.Struct, frozen=True):
    target: Path
    where: Node | None
    returning: ReturnValues | None


Node: TypeAlias = (
    Literal
    | Parameter
    | ListOf
    | Bag
    | StructOf
    | Path
    | Call
    | Logical
    | Unary
    | Binary
    | Between
    | In
    | Is
    | Select
)
Tree: TypeAlias = Node | Insert | Update | Delete
