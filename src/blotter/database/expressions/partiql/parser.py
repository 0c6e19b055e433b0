"""Tokens to a statement, with the messages of the PartiQL parser that DynamoDB uses.

Clauses are read by descent. A clause is read to its end, and what follows it is left over. Clauses and
aliases that PartiQL has and DynamoDB lacks are read and refused only when the whole statement could be read
(`_refuse_later`). Nothing here knows tables, values or what an operation means.
Sources: paritysuite/dynamodb-conformance, tests/tier3/error-messages/partiqlGrammar.test.ts, recorded in October
2026; the PartiQL specification and the reference implementation partiql/partiql-lang-kotlin.
"""

from __future__ import annotations

from blotter.database.expressions.partiql.expression_parser import IDENTIFIERS, ExpressionParser
from blotter.database.expressions.partiql.lexer import Token, tokenize
from blotter.database.expressions.partiql.problems import (
    Problem,
    aliasing,
    not_well_formed,
    unsupported_clause,
)
from blotter.database.expressions.partiql.syntax import (
    Assignment,
    Delete,
    Insert,
    Node,
    Order,
    ReturnValues,
    Select,
    Tree,
    Update,
)

_RETURN_VALUES: dict[tuple[str, str], ReturnValues] = {
    ("all", "old"): "ALL_OLD",
    ("all", "new"): "ALL_NEW",
    ("modified", "old"): "UPDATED_OLD",
    ("modified", "new"): "UPDATED_NEW",
}


def parse(statement: str) -> tuple[Tree, int]:
    """The statement and its number of parameters; raises `Problem`."""
    return _Parser(tokenize(statement)).statement()


class _Parser(ExpressionParser):
    """A reader of a whole statement."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self._refusal: Problem | None = None

    def statement(self) -> tuple[Tree, int]:
        tree = self._top()
        if self._head.kind == "SEMICOLON":
            self._take()
            if self._head.kind != "EOF":
                raise not_well_formed("Unexpected token after semicolon. (Only one query is allowed.)")
        if self._head.kind != "EOF":
            raise not_well_formed("Unexpected token after expression")
        if self._refusal is not None:
            raise self._refusal
        return tree, self._parameters

    def _refuse_later(self, problem: Problem) -> None:
        if self._refusal is None:
            self._refusal = problem

    # Statements

    def _top(self) -> Tree:
        if self._at("insert", "into"):
            return self._insert()
        if self._accept("update"):
            return self._update()
        if self._accept("delete"):
            return self._delete()
        if self._accept("from"):
            return self._from_first()
        return self._expression()

    def _insert(self) -> Insert:
        self._accept("insert", "into")
        target = self._simple_path()
        self._accept("value")
        value = self._expression()
        if self._at("returning"):
            self._returning()
            self._refuse_later(Problem("RETURNING is not supported in INSERT"))
        return Insert(target, value)

    def _update(self) -> Update:
        target = self._simple_path()
        self._alias()
        assignments = self._assignments()
        where = self._where()
        return Update(target, assignments, where, self._returning())

    def _from_first(self) -> Update:
        """UPDATE written as FROM table WHERE condition SET or REMOVE ..."""
        target = self._source()
        where = self._where()
        return Update(target, self._assignments(), where, self._returning())

    def _delete(self) -> Delete:
        if not self._accept("from"):
            raise not_well_formed("Expected FROM after DELETE")
        target = self._simple_path()
        self._alias()
        where = self._where()
        returning = self._returning()
        if returning is not None and returning != "ALL_OLD":
            words = returning.replace("UPDATED", "MODIFIED").replace("_", " ")
            self._refuse_later(
                Problem(
                    f"Invalid returning clause: RETURNING {words} *. "
                    "Only RETURNING ALL OLD * is allowed in DELETE statements."
                )
            )
        return Delete(target, where, returning)

    def _assignments(self) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        while True:
            if self._accept("set"):
                assignments += self._comma_list(self._assignment)
            elif self._accept("remove"):
                assignments.append(Assignment(self._simple_path(), None))
            elif assignments:
                return tuple(assignments)
            else:
                raise not_well_formed("Expected data manipulation")

    def _assignment(self) -> Assignment:
        path = self._simple_path()
        if not self._accept("="):
            raise not_well_formed("Expected '='")
        return Assignment(path, self._expression())

    def _where(self) -> Node | None:
        return self._expression() if self._accept("where") else None

    def _returning(self) -> ReturnValues | None:
        if not self._accept("returning"):
            return None
        words = (self._take().text, self._take().text)
        if words not in _RETURN_VALUES:
            raise not_well_formed("Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element.")
        self._expect("STAR")
        return _RETURN_VALUES[words]

    # SELECT

    def _select(self) -> Select:
        position = self._take().position
        if self._at("distinct"):
            self._refuse_later(unsupported_clause("DISTINCT", self._take().position))
        columns = self._columns()
        if not self._accept("from"):
            raise not_well_formed("Expected FROM after SELECT list")
        source = self._source()
        where = self._where()
        order = self._order()
        for clause in ("group", "having", "limit"):
            if self._accept(clause):
                self._accept("by")
                self._refuse_later(unsupported_clause(clause.upper(), self._expression().position))
        return Select(columns, source, where, order, position)

    def _columns(self) -> tuple[Node, ...] | None:
        if self._head.kind == "STAR":
            self._take()
            if self._head.kind == "COMMA":
                raise not_well_formed(
                    "Other expressions may not be present in the select list "
                    "when '*' is used without dot notation."
                )
            return None
        return tuple(self._comma_list(self._column))

    def _column(self) -> Node:
        column = self._expression()
        self._alias()
        return column

    def _source(self) -> Node:
        source = self._expression()
        self._alias()
        while self._accept_kind("COMMA") or self._accept("join"):
            self._expression()
            self._alias()
            self._refuse_later(Problem("Only select from a single table or index is supported."))
        return source

    def _order(self) -> tuple[Order, ...]:
        if not self._accept("order"):
            return ()
        if not self._accept("by"):
            raise not_well_formed("Expected BY")
        return tuple(self._comma_list(self._sort_key))

    def _sort_key(self) -> Order:
        key = self._expression()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        return Order(key, descending)

    def _alias(self) -> None:
        if self._accept("as") or self._accept("at"):
            if self._head.kind not in IDENTIFIERS:
                raise not_well_formed("Expected identifier for AS-alias")
        elif self._head.kind not in IDENTIFIERS:
            return
        self._take()
        self._refuse_later(aliasing())
