"""Tokens to expressions: conditions, operands, paths and values, by operator precedence.

Precedence and the order of checks follow the reference parser, because the error messages depend on it. The
depth of nesting is bounded, so that no statement exhausts the stack. `parser` adds the statements; one of them,
SELECT, is a term here as well.
Sources: the PartiQL specification and the reference implementation partiql/partiql-lang-kotlin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from blotter.database.expressions.partiql.keywords import FUNCTIONS, TYPE_ALIASES, TYPES
from blotter.database.expressions.partiql.lexer import Token
from blotter.database.expressions.partiql.problems import index_out_of_range, not_well_formed
from blotter.database.expressions.partiql.syntax import (
    Bag,
    Between,
    Binary,
    Call,
    In,
    Is,
    ListOf,
    Literal,
    Logical,
    Node,
    Parameter,
    Path,
    Select,
    StructOf,
    Unary,
    Update,
)

MAX_DEPTH = 64
MAX_INDEX = 2**31 - 1
"""Nesting of expressions; a value may have 32 levels."""

IDENTIFIERS = ("IDENTIFIER", "QUOTED_IDENTIFIER")

_PRECEDENCES = {
    "union": 5,
    "except": 5,
    "intersect": 5,
    "or": 10,
    "and": 20,
    "=": 40,
    "<>": 40,
    "is": 40,
    "in": 40,
    "<": 50,
    "<=": 50,
    ">": 50,
    ">=": 50,
    "between": 50,
    "like": 50,
    "+": 60,
    "-": 60,
    "||": 60,
    "*": 70,
    "/": 70,
    "%": 70,
}
_NOT = 30


class ExpressionParser(ABC):
    """A reader of one statement's tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._parameters = 0

    @abstractmethod
    def _select(self) -> Select:
        """A SELECT, whose keyword comes next."""

    @abstractmethod
    def _from_first(self) -> Update:
        """An UPDATE written with FROM, after that keyword."""

    # Tokens

    @property
    def _head(self) -> Token:
        return self._tokens[self._next]

    def _peek(self, distance: int) -> Token:
        return self._tokens[min(self._next + distance, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _at(self, *words: str) -> bool:
        """Whether these keywords or operators come next."""
        return all(
            self._peek(distance).kind in ("KEYWORD", "OPERATOR") and self._peek(distance).text == word
            for distance, word in enumerate(words)
        )

    def _accept(self, *words: str) -> bool:
        if not self._at(*words):
            return False
        self._next += len(words)
        return True

    def _accept_kind(self, kind: str) -> bool:
        if self._head.kind != kind:
            return False
        self._take()
        return True

    def _expect(self, kind: str) -> None:
        if not self._accept_kind(kind):
            raise not_well_formed(f"Expected {kind}")

    def _comma_list(self, read: Callable[[], Any]) -> list[Any]:
        items = [read()]
        while self._accept_kind("COMMA"):
            items.append(read())
        return items

    # Expressions

    def _expression(self, precedence: int = -1) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise not_well_formed()
        left = self._unary()
        while True:
            operator, words = self._infix()
            if operator is None or _PRECEDENCES[operator] <= precedence:
                break
            self._next += words
            left = self._infix_expression(left, operator, negated=self._tokens[self._next - words].text == "not")
        self._depth -= 1
        return left

    def _infix(self) -> tuple[str | None, int]:
        """The infix operator that comes next and its number of tokens."""
        head = self._head
        if head.kind not in ("OPERATOR", "STAR"):
            return None, 0
        if head.text == "not":
            following = self._peek(1)
            if following.kind == "OPERATOR" and following.text in ("in", "between", "like"):
                return following.text, 2
            return None, 0
        return (head.text, 1) if head.text in _PRECEDENCES else (None, 0)

    def _infix_expression(self, left: Node, operator: str, *, negated: bool) -> Node:
        position = self._tokens[self._next - 1].position
        if operator == "is":
            negated = self._accept("not")
            node: Node = Is(left, self._type_name(), position)
        elif operator == "in" and self._head.kind == "LEFT_PAREN":
            opening = self._take().position
            candidates = ListOf(tuple(self._comma_list(self._expression)), opening)
            self._expect("RIGHT_PAREN")
            node = In(left, candidates, position)
        else:
            if self._head.kind == "EOF":
                raise not_well_formed("Missing right-hand side expression of infix operator")
            right = self._expression(_PRECEDENCES[operator])
            node = self._combined(left, operator, right)
        return Unary("not", node, position) if negated else node

    def _combined(self, left: Node, operator: str, right: Node) -> Node:
        position = left.position
        if operator in ("and", "or"):
            operands = left.operands if isinstance(left, Logical) and left.operator == operator else (left,)
            return Logical("and" if operator == "and" else "or", (*operands, right), position)
        if operator == "in":
            return In(left, right, position)
        if operator == "between":
            if not self._accept("and"):
                raise not_well_formed("Expected AND after BETWEEN")
            if self._head.kind in ("EOF", "SEMICOLON"):
                raise not_well_formed("Expected expression after AND")
            return Between(left, right, self._expression(_PRECEDENCES["between"]), position)
        return Binary(operator, left, right, position)

    def _type_name(self) -> str:
        name = self._head.text.lower()
        if self._head.kind not in ("KEYWORD", "LITERAL", "IDENTIFIER"):
            name = ""
        second = self._peek(1).text.lower()
        if (name, second) in (("double", "precision"), ("character", "varying")):
            self._take()
            name = f"{name}_{second}"
        name = TYPE_ALIASES.get(name, name)
        if name not in TYPES:
            raise not_well_formed("Expected type name")
        self._take()
        return name

    def _unary(self) -> Node:
        head = self._head
        if head.kind != "OPERATOR" or head.text not in ("not", "-", "+"):
            return self._path_or_term()
        self._take()
        if head.text == "not":
            return Unary("not", self._expression(_NOT), head.position)
        operand = self._signed()
        if isinstance(operand, Literal) and operand.type == "N":
            if head.text == "+":
                return operand
            text = str(operand.content)
            return Literal("N", text[1:] if text[0] == "-" else f"-{text}", head.position)
        return Unary(head.text, operand, head.position)

    def _signed(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise not_well_formed()
        operand = self._unary()
        self._depth -= 1
        return operand

    def _path_or_term(self) -> Node:
        term = self._term()
        if self._head.kind not in ("DOT", "LEFT_BRACKET"):
            return term
        steps = self._steps()
        first = term.steps if isinstance(term, Path) else (None,)
        return Path((*first, *steps), term.position)

    def _simple_path(self) -> Path:
        """A path that is written to, or a table's name."""
        head = self._head
        if head.kind not in IDENTIFIERS:
            raise not_well_formed("Expected identifier for simple path")
        self._take()
        return Path((head.text, *self._steps()), head.position)

    def _steps(self) -> list[str | int | None]:
        steps: list[str | int | None] = []
        while True:
            if self._accept_kind("DOT"):
                head = self._head
                if head.kind not in (*IDENTIFIERS, "STAR"):
                    raise not_well_formed("Invalid path dot component")
                self._take()
                steps.append(None if head.kind == "STAR" else head.text)
            elif self._accept_kind("LEFT_BRACKET"):
                if self._accept_kind("STAR"):
                    steps.append(None)
                else:
                    steps.append(self._step())
                self._expect("RIGHT_BRACKET")
            else:
                return steps

    def _step(self) -> str | int | None:
        """What stands between brackets: an index or a name; anything computed is None."""
        node = self._expression()
        if not isinstance(node, Literal) or node.type not in ("S", "N"):
            return None
        if node.type == "S":
            return str(node.content)
        try:
            index = int(str(node.content))
        except ValueError:
            return None
        if not 0 <= index <= MAX_INDEX:
            raise index_out_of_range(index, self._tokens[self._next - 1].position)
        return index

    # Terms

    def _term(self) -> Node:
        head = self._head
        read = _TERMS.get(head.kind)
        if read is None:
            raise not_well_formed("Unexpected operator" if head.kind == "OPERATOR" else "Unexpected term")
        return read(self)

    def _keyword(self) -> Node:
        head = self._head
        if head.text == "select":
            return self._select()
        if head.text in FUNCTIONS and self._peek(1).kind == "LEFT_PAREN":
            return self._name()
        if self._accept("from"):
            # "SLECT * FROM T": a product with an update that begins with FROM.
            self._from_first()
        raise not_well_formed("Unexpected keyword")

    def _name(self) -> Node:
        name = self._take()
        if not self._accept_kind("LEFT_PAREN"):
            return Path((name.text,), name.position)
        if self._head.kind == "STAR":
            if name.text.lower() != "count":
                raise not_well_formed(f"{name.text}(*) is not allowed")
            self._take()
            arguments: list[Node] = []
        elif self._head.kind == "RIGHT_PAREN":
            arguments = []
        else:
            arguments = self._comma_list(self._expression)
        self._expect("RIGHT_PAREN")
        return Call(name.text, tuple(arguments), name.position)

    def _literal(self) -> Node:
        token = self._take()
        if token.text in ("true", "false"):
            return Literal("BOOL", token.text == "true", token.position)
        return Literal(token.text.upper(), True, token.position)

    def _string(self) -> Node:
        token = self._take()
        return Literal("S", token.text, token.position)

    def _number(self) -> Node:
        token = self._take()
        return Literal("N", token.text, token.position)

    def _parameter(self) -> Node:
        self._parameters += 1
        return Parameter(self._parameters - 1, self._take().position)

    def _group(self) -> Node:
        position = self._take().position
        if self._head.kind == "RIGHT_PAREN":
            raise not_well_formed("Expression group cannot be empty")
        elements = self._comma_list(self._expression)
        self._expect("RIGHT_PAREN")
        return elements[0] if len(elements) == 1 else ListOf(tuple(elements), position)

    def _list(self) -> Node:
        position = self._take().position
        return ListOf(self._elements("RIGHT_BRACKET"), position)

    def _bag(self) -> Node:
        position = self._take().position
        return Bag(self._elements("RIGHT_DOUBLE_ANGLE_BRACKET"), position)

    def _elements(self, end: str) -> tuple[Node, ...]:
        if self._accept_kind(end):
            return ()
        elements = self._comma_list(self._expression)
        self._expect(end)
        return tuple(elements)

    def _struct(self) -> Node:
        position = self._take().position
        if self._accept_kind("RIGHT_CURLY"):
            return StructOf((), position)
        members = self._comma_list(self._member)
        self._expect("RIGHT_CURLY")
        return StructOf(tuple(members), position)

    def _member(self) -> tuple[Node, Node]:
        name = self._expression()
        self._expect("COLON")
        return name, self._expression()


_TERMS: dict[str, Callable[[ExpressionParser], Node]] = {
    "KEYWORD": ExpressionParser._keyword,
    "IDENTIFIER": ExpressionParser._name,
    "QUOTED_IDENTIFIER": ExpressionParser._name,
    "LITERAL": ExpressionParser._literal,
    "STRING": ExpressionParser._string,
    "NUMBER": ExpressionParser._number,
    "QUESTION_MARK": ExpressionParser._parameter,
    "LEFT_PAREN": ExpressionParser._group,
    "LEFT_BRACKET": ExpressionParser._list,
    "LEFT_DOUBLE_ANGLE_BRACKET": ExpressionParser._bag,
    "LEFT_CURLY": ExpressionParser._struct,
}
