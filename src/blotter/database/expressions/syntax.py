"""The syntax tree of the four expression languages, as frozen values.

A path's steps are names, `#` placeholders (distinguished by their first character, which no name in an expression
can have) and list indexes. Parentheses leave no trace: nesting is enough, and the rule against redundant ones
belongs to the parser. Runs of AND and of OR are one node, so that a long condition is wide, not deep. The tree
knows neither placeholders' meanings nor items; `parser` makes it, `checks` validates it, `evaluator`, `projection`
and `update` compile it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

ComparisonOperator = Literal["=", "<>", "<", "<=", ">", ">="]
UpdateKeyword = Literal["SET", "REMOVE", "ADD", "DELETE"]


class Path(msgspec.Struct, frozen=True):
    steps: tuple[str | int, ...]


class Value(msgspec.Struct, frozen=True):
    """A `:placeholder`."""

    name: str


class Call(msgspec.Struct, frozen=True):
    function: str
    arguments: tuple[Operand, ...]


class Arithmetic(msgspec.Struct, frozen=True):
    operator: Literal["+", "-"]
    left: Operand
    right: Operand


class Comparison(msgspec.Struct, frozen=True):
    operator: ComparisonOperator
    left: Operand
    right: Operand


class Between(msgspec.Struct, frozen=True):
    operand: Operand
    lower: Operand
    upper: Operand


class In(msgspec.Struct, frozen=True):
    operand: Operand
    candidates: tuple[Operand, ...]


class And(msgspec.Struct, frozen=True):
    conditions: tuple[ConditionTree, ...]


class Or(msgspec.Struct, frozen=True):
    conditions: tuple[ConditionTree, ...]


class Not(msgspec.Struct, frozen=True):
    condition: ConditionTree


class Action(msgspec.Struct, frozen=True):
    """One change of an update: SET path = value, REMOVE path, ADD path value, DELETE path value."""

    keyword: UpdateKeyword
    path: Path
    value: Operand | Arithmetic | None = None


class Section(msgspec.Struct, frozen=True):
    keyword: UpdateKeyword
    actions: tuple[Action, ...]


class UpdateTree(msgspec.Struct, frozen=True):
    sections: tuple[Section, ...]

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(action for section in self.sections for action in section.actions)


class ProjectionTree(msgspec.Struct, frozen=True):
    paths: tuple[Path, ...]


Operand: TypeAlias = Path | Value | Call
ConditionTree: TypeAlias = Comparison | Between | In | And | Or | Not | Call
Tree: TypeAlias = ConditionTree | UpdateTree | ProjectionTree
