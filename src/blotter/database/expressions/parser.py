"""Tokens to syntax trees: conditions, updates and projections by recursive descent.

A parenthesis may open a condition, an operand or a sum; which one shows only at its end. So `_condition` and
`_value` return an operand when nothing turned it into more, and the caller decides; nothing is read twice.
Parentheses straight around parentheses are refused as soon as the outer pair closes, before any later syntax
error, as AWS does. A syntax error names the token at which reading stopped and shows the text from the token
before to the token after.

Without redundant parentheses, each level of nesting takes an operator, and 300 of those are allowed; `MAX_NESTING`
only keeps hostile text from exhausting the stack.
Sources: the grammar in AWS's DAX clients; recorded messages in nubo-db/dynamodb-conformance, tests/tier3.
"""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from blotter.database.expressions import problems, syntax
from blotter.database.expressions.lexer import Token, tokenize

Grammar = Literal["condition", "update", "projection"]

MAX_BYTES = 4096
MAX_OPERATORS = 300
MAX_NESTING = MAX_OPERATORS + 4

_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
_OPERANDS = (syntax.Path, syntax.Value)


class Parsed(msgspec.Struct, frozen=True):
    """A tree with the placeholders it uses, each once, in the order of the text."""

    tree: syntax.Tree
    names: tuple[str, ...]
    values: tuple[str, ...]


def parse(grammar: Grammar, text: str) -> Parsed:
    """Raises `Problem` for whatever can be refused by the text's form alone."""
    if not text:
        raise problems.Problem("The expression can not be empty;")
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise problems.too_long(size, update=grammar == "update")
    parser = _Parser(text)
    tree = _START[grammar](parser)
    if parser.token.kind != "EOF":
        raise parser.syntax_error()
    if parser.operators > MAX_OPERATORS:
        raise problems.Problem(f"The expression contains too many operators; operator count: {parser.operators}")
    placeholders = dict.fromkeys(token.text for token in parser.tokens if token.kind in ("NAME", "VALUE"))
    return Parsed(
        tree,
        tuple(name for name in placeholders if name[0] == "#"),
        tuple(name for name in placeholders if name[0] == ":"),
    )


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.token = self.tokens[0]
        self.operators = 0
        self.nesting = 0

    # Tokens

    def advance(self) -> Token:
        token = self.token
        self.position += 1
        self.token = self.tokens[self.position]
        return token

    def accept(self, kind: str) -> bool:
        if self.token.kind != kind:
            return False
        self.advance()
        return True

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.syntax_error()
        return self.advance()

    def syntax_error(self) -> problems.Problem:
        before = self.tokens[self.position - 1].start if self.position else 0
        after = self.tokens[min(self.position + 1, len(self.tokens) - 1)].end
        return problems.syntax(self.token.text, self.text[before:after])

    def open_parenthesis(self) -> None:
        self.advance()
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise problems.redundant_parentheses()

    def close_parenthesis(self, inner_in_parentheses: bool = False) -> None:
        self.expect(")")
        self.nesting -= 1
        if inner_in_parentheses:
            raise problems.redundant_parentheses()

    # Conditions

    def condition(self) -> syntax.ConditionTree:
        tree, _ = self._condition(in_parentheses=False)
        return cast(syntax.ConditionTree, tree)

    def _condition(self, *, in_parentheses: bool) -> tuple[syntax.ConditionTree | syntax.Operand, bool]:
        """An OR of ANDs of conditions that NOT may precede; inside parentheses also an operand alone.

        Also returns whether the result stood in parentheses of its own.
        """
        alternatives: list[syntax.ConditionTree] = []
        conjunction: list[syntax.ConditionTree] = []
        while True:
            negations = 0
            while self.accept("NOT"):
                negations += 1
            tree, grouped = self._primary()
            alone = not (negations or conjunction or alternatives)
            if isinstance(tree, _OPERANDS):
                if in_parentheses and alone and self.token.kind == ")":
                    return tree, grouped
                raise self.syntax_error()
            for _ in range(negations):
                tree = syntax.Not(tree)
            self.operators += negations
            conjunction.append(tree)
            if self.accept("AND"):
                self.operators += 1
                continue
            alternatives.append(conjunction[0] if len(conjunction) == 1 else syntax.And(tuple(conjunction)))
            if self.accept("OR"):
                self.operators += 1
                conjunction = []
                continue
            if len(alternatives) == 1:
                return alternatives[0], grouped and alone
            return syntax.Or(tuple(alternatives)), False

    def _primary(self) -> tuple[syntax.ConditionTree | syntax.Operand, bool]:
        """A comparison, a function, a condition in parentheses, or an operand when nothing follows it."""
        tree: syntax.ConditionTree | syntax.Operand
        if self.token.kind == "(":
            self.open_parenthesis()
            tree, inner_grouped = self._condition(in_parentheses=True)
            self.close_parenthesis(inner_grouped)
            grouped = True
        else:
            tree, grouped = self.operand(), False
        if not isinstance(tree, (syntax.Path, syntax.Value, syntax.Call)):
            return tree, grouped
        kind = self.token.kind
        if kind in _COMPARISONS:
            self.advance()
            self.operators += 1
            return syntax.Comparison(cast(syntax.ComparisonOperator, kind), tree, self.operand()), False
        if kind == "BETWEEN":
            self.advance()
            self.operators += 1
            lower = self.operand()
            self.expect("AND")
            return syntax.Between(tree, lower, self.operand()), False
        if kind == "IN":
            self.advance()
            self.operators += 1
            if self.token.kind != "(":
                raise self.syntax_error()
            return syntax.In(tree, self._operands_in_parentheses()), False
        return tree, grouped

    # Operands

    def operand(self) -> syntax.Operand:
        return self._operand()[0]

    def _operand(self) -> tuple[syntax.Operand, bool]:
        """A path, a value, a function, or one of them in parentheses; also returns whether it stood in them."""
        kind = self.token.kind
        if kind == "(":
            self.open_parenthesis()
            operand, inner_grouped = self._operand()
            self.close_parenthesis(inner_grouped)
            return operand, True
        if kind == "VALUE":
            return syntax.Value(self.advance().text), False
        if kind == "ID" and self.tokens[self.position + 1].kind == "(":
            function = self.advance().text
            self.operators += 1
            return syntax.Call(function, self._operands_in_parentheses()), False
        return self.path(), False

    def _operands_in_parentheses(self) -> tuple[syntax.Operand, ...]:
        self.open_parenthesis()
        operands = [self.operand()]
        while self.accept(","):
            operands.append(self.operand())
        self.close_parenthesis()
        return tuple(operands)

    def path(self) -> syntax.Path:
        steps: list[str | int] = [self._name()]
        while True:
            if self.accept("."):
                steps.append(self._name())
            elif self.accept("["):
                steps.append(int(self.expect("INDEX").text))
                self.expect("]")
            else:
                return syntax.Path(tuple(steps))

    def _name(self) -> str:
        if self.token.kind not in ("ID", "NAME"):
            raise self.syntax_error()
        return self.advance().text

    # Updates

    def update(self) -> syntax.UpdateTree:
        sections = [self._section()]
        while self.token.kind != "EOF":
            sections.append(self._section())
        return syntax.UpdateTree(tuple(sections))

    def _section(self) -> syntax.Section:
        keyword = self.token.kind
        action = _ACTIONS.get(keyword)
        if action is None:
            raise self.syntax_error()
        self.advance()
        actions = [action(self)]
        while self.accept(","):
            actions.append(action(self))
        return syntax.Section(cast(syntax.UpdateKeyword, keyword), tuple(actions))

    def set_action(self) -> syntax.Action:
        path = self.path()
        self.expect("=")
        return syntax.Action("SET", path, self._value()[0])

    def remove_action(self) -> syntax.Action:
        return syntax.Action("REMOVE", self.path())

    def add_action(self) -> syntax.Action:
        return syntax.Action("ADD", self.path(), syntax.Value(self.expect("VALUE").text))

    def delete_action(self) -> syntax.Action:
        return syntax.Action("DELETE", self.path(), syntax.Value(self.expect("VALUE").text))

    def _value(self) -> tuple[syntax.Operand | syntax.Arithmetic, bool]:
        """What SET assigns: an operand, the sum or difference of two, or one of these in parentheses."""
        value: syntax.Operand | syntax.Arithmetic
        if self.token.kind == "(":
            self.open_parenthesis()
            value, inner_grouped = self._value()
            self.close_parenthesis(inner_grouped)
            grouped = True
        else:
            value, grouped = self.operand(), False
        operator = self.token.kind
        if operator not in ("+", "-") or isinstance(value, syntax.Arithmetic):
            return value, grouped
        self.advance()
        self.operators += 1
        return syntax.Arithmetic(cast(Literal["+", "-"], operator), value, self.operand()), False

    # Projections

    def projection(self) -> syntax.ProjectionTree:
        paths = [self.path()]
        while self.accept(","):
            paths.append(self.path())
        return syntax.ProjectionTree(tuple(paths))


_ACTIONS = {
    "SET": _Parser.set_action,
    "REMOVE": _Parser.remove_action,
    "ADD": _Parser.add_action,
    "DELETE": _Parser.delete_action,
}

_START = {
    "condition": _Parser.condition,
    "update": _Parser.update,
    "projection": _Parser.projection,
}
