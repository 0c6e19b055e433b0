"""Expressions: text into a tree.

    expression := operand (operator operand)*      by precedence; ^ from the right, all others from the left
    operand    := ("-" | "+") operand | number | string | name | name "(" arguments ")" | "[" arguments "]"
                  | "(" expression ")"
    operator   := ^  * /  + -  == != <= >= < >  AND && OR ||

Names of metrics begin with a small letter, those of functions and keywords are capitals. Source: "Metric math
syntax and functions" in CloudWatch's user guide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import msgspec

from blotter.database.metric_math.series import ExpressionError

DEEPEST: Final = 60
"""Levels of nesting in one expression, which has at most 2,048 characters."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<symbol>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],]))",
    re.ASCII,
)
PRECEDENCE: Final = {
    **dict.fromkeys(("OR", "||"), 1),
    **dict.fromkeys(("AND", "&&"), 2),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
    "^": 6,
}
_SAME = {"&&": "AND", "||": "OR"}


class Number(msgspec.Struct, frozen=True):
    value: float


class Text(msgspec.Struct, frozen=True):
    value: str


class Name(msgspec.Struct, frozen=True):
    """The id of a query, or a keyword."""

    name: str


class Call(msgspec.Struct, frozen=True):
    function: str
    arguments: tuple[Node, ...]


class List(msgspec.Struct, frozen=True):
    members: tuple[Node, ...]


class Negation(msgspec.Struct, frozen=True):
    operand: Node


class Operation(msgspec.Struct, frozen=True):
    operator: str
    left: Node
    right: Node


Node: TypeAlias = Number | Text | Name | Call | List | Negation | Operation


@lru_cache(512)
def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError."""
    return _Parser(_tokens(text)).whole()


def names_in(node: Node) -> set[str]:
    """The ids of queries that an expression names itself, without those that METRICS() finds."""
    if isinstance(node, Name):
        return {node.name} if node.name[:1].islower() else set()
    return set().union(*map(names_in, _parts(node)))


def functions_in(node: Node) -> set[str]:
    """The names of the functions that an expression calls."""
    own = {node.function} if isinstance(node, Call) else set()
    return own.union(*map(functions_in, _parts(node)))


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, List):
        return node.members
    if isinstance(node, Negation):
        return (node.operand,)
    return (node.left, node.right) if isinstance(node, Operation) else ()


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"Unexpected character '{text[at:].lstrip()[:1]}'")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


class _Parser:
    """Climbs precedences over the tokens of one expression."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression(1)
        left_over = self._next()
        if left_over.kind:
            raise ExpressionError(f"Unexpected '{left_over.text}'")
        return node

    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("", "")

    def _take(self) -> _Token:
        token = self._next()
        self._at += 1
        return token

    def _expression(self, lowest: int) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError("The expression is nested too deeply")
        left = self._operand()
        while (precedence := PRECEDENCE.get(self._next().text, 0)) >= lowest:
            operator = self._take().text
            right = self._expression(precedence if operator == "^" else precedence + 1)
            left = Operation(_SAME.get(operator, operator), left, right)
        self._depth -= 1
        return left

    def _operand(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Number(float(token.text))
        if token.kind == "string":
            return Text(token.text[1:-1])
        if token.kind == "name" and token.text not in PRECEDENCE:
            if self._next().text != "(":
                return Name(token.text)
            self._take()
            return Call(token.text, self._list(")"))
        if token.text in ("-", "+"):
            operand = self._expression(PRECEDENCE["^"])
            return Negation(operand) if token.text == "-" else operand
        if token.text == "(":
            inner = self._expression(1)
            self._expect(")")
            return inner
        if token.text == "[":
            return List(self._list("]"))
        raise ExpressionError(f"Unexpected '{token.text}'" if token.kind else "Unexpected end of the expression")

    def _list(self, end: str) -> tuple[Node, ...]:
        if self._next().text == end:
            self._take()
            return ()
        members = [self._expression(1)]
        while self._next().text == ",":
            self._take()
            members.append(self._expression(1))
        self._expect(end)
        return tuple(members)

    def _expect(self, symbol: str) -> None:
        token = self._take()
        if token.text != symbol:
            found = f"'{token.text}'" if token.kind else "the end of the expression"
            raise ExpressionError(f"Expected '{symbol}', not {found}")
