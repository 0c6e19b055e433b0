"""Statements ready to be executed: parsed once, bound to a request's parameters, fitted to a table's keys.

`read` keeps parsed statements by their text, and under them what was compiled for each combination of parameter
types. `Prepared.bind` makes the statement of one request. What needs the table comes last: `plan` of a SELECT and
`target` of everything else. An operation calls them in this order, as DynamoDB checks: `read`, `check_parameters`
and the validation of the parameters, `bind`, the table's existence, then `plan` or `target`.

An UPDATE is no upsert: its condition is the whole WHERE clause, key included, which a missing item never meets. A
DELETE of a missing item succeeds, whatever else its clause requires.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html; for ORDER BY, Floci's
DynamoDbPartiQLDocumentedSyntaxIntegrationTest and …EdgeCaseIntegrationTest, captured from the service in
September 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from typing import NamedTuple, TypeAlias

import msgspec

from blotter.database.expressions import checks, syntax
from blotter.database.expressions.key_condition import ResolvedKeyCondition
from blotter.database.expressions.partiql import problems
from blotter.database.expressions.partiql.columns import Columns
from blotter.database.expressions.partiql.conversion import Converter, attribute_path, operation_name, path_steps
from blotter.database.expressions.partiql.parser import parse
from blotter.database.expressions.partiql.problems import Problem
from blotter.database.expressions.partiql.syntax import (
    Call,
    Delete,
    Insert,
    Node,
    Order,
    ReturnValues,
    Select,
    StructOf,
    Tree,
    Update,
)
from blotter.database.expressions.partiql.values import item_of
from blotter.database.expressions.partiql.where import CompiledClause, Target, Where, compile_clause
from blotter.database.expressions.update import Update as BoundUpdate
from blotter.database.expressions.update import UpdateProgram, compile_update
from blotter.database.model.byte_cache import ByteCache
from blotter.database.model.errors import validation_error
from blotter.database.model.table import KeySchema
from blotter.database.model.values import AttributeValue, Item, compare_values, type_of

CACHE_BYTES = 16 * 1024 * 1024
"""What parsed and compiled statements may take in each worker."""
MAX_MEANINGS = 16
"""Compiled forms of one statement: they differ in the types of its parameters."""


class OrderTerm(NamedTuple):
    attribute: str
    descending: bool


class SelectPlan(NamedTuple):
    """`ranges` to read one after the other, each in descending order when `reverse`; None is a scan. The items
    have to pass the statement's `where` all the same."""

    ranges: tuple[ResolvedKeyCondition, ...] | None
    reverse: bool


class SelectStatement(msgspec.Struct, frozen=True):
    """`columns` None is `*`, `where` None is every item. `problem` is what is wrong with the columns of a read of
    an index: AWS says it after it refused the index."""

    table: str
    index: str | None
    columns: Columns | None
    where: Where | None
    order: tuple[OrderTerm, ...]
    problem: str | None = None

    def plan(self, keys: KeySchema) -> SelectPlan:
        """How to read a table or, with its keys, an index."""
        refuse_multiple_key_attributes(keys)
        self._check_columns()
        ranges = self.where.ranges(keys) if self.where is not None else None
        if not self.order:
            return SelectPlan(ranges, reverse=False)
        _check_order(self, keys, ranges)
        terms = {term.attribute: term.descending for term in self.order}
        partition = keys.partition[0].name
        # Recorded: without a term of its own the sort key descends.
        reverse = terms.get(keys.sort[0].name, True) if keys.sort else False
        ordered = sorted(ranges or (), key=_PARTITION_ORDER, reverse=terms.get(partition, False))
        return SelectPlan(tuple(_runs_reversed(ordered) if reverse else ordered), reverse)

    def _check_columns(self) -> None:
        if self.problem is not None:
            raise validation_error(self.problem)

    def key(self, keys: KeySchema, operation: str) -> Item:
        """The one item a SELECT within `operation`, BatchExecuteStatement or ExecuteTransaction, reads: nothing
        but equalities for the whole key of the table may stand in its WHERE clause."""
        self._check_columns()
        if self.index is None and self.where is not None:
            key = self.where.only_key(keys)
            if key is not None:
                return key
            self.where.ranges(keys)  # May raise a more exact message.
        raise problems.select_needs_key(operation)


class InsertStatement(msgspec.Struct, frozen=True):
    """An item that must not exist yet. Not yet measured: its size is for the operation to check."""

    table: str
    item: Item


class UpdateStatement(msgspec.Struct, frozen=True):
    table: str
    where: Where | None
    update: BoundUpdate
    returning: ReturnValues | None

    def target(self, keys: KeySchema) -> Target:
        """The item, and the condition that it exists and matches the WHERE clause."""
        if self.where is None:
            raise problems.key_not_given()
        return Target(self.where.key(keys), self.where.condition)


class DeleteStatement(msgspec.Struct, frozen=True):
    table: str
    where: Where | None
    returning: ReturnValues | None

    def target(self, keys: KeySchema) -> Target:
        """The item, and the condition on it if it exists."""
        if self.where is None:
            raise problems.key_not_given()
        return Target(self.where.key(keys), self.where.condition)


class ExistsStatement(msgspec.Struct, frozen=True):
    """EXISTS(SELECT ...): a condition of a transaction."""

    select: SelectStatement

    @property
    def table(self) -> str:
        return self.select.table

    def target(self, keys: KeySchema) -> Target:
        if self.select.where is not None and self.select.index is None:
            key = self.select.where.first_key(keys)
            if key is not None:
                return Target(key, self.select.where.condition)
        raise problems.exists_needs_condition()


Statement: TypeAlias = SelectStatement | InsertStatement | UpdateStatement | DeleteStatement | ExistsStatement


def read(text: str) -> Prepared:
    """The statement of a text, parsed once; raises ValidationException for what cannot be read or done."""
    try:
        return _prepared(text)
    except Problem as problem:
        raise validation_error(str(problem)) from None


# Bytes that a statement takes once parsed, and once compiled: as for expressions, measured on the largest forms.
_PARSED_BYTES, _PARSED_PER_BYTE = 2000, 70
_COMPILED_BYTES, _COMPILED_PER_BYTE = 1000, 60
_STATEMENTS = ByteCache(CACHE_BYTES)


def _prepared(text: str) -> Prepared:
    prepared: Prepared | None = _STATEMENTS.get(text)
    if prepared is None:
        prepared = Prepared(text, *parse(text))
        _STATEMENTS.put(text, prepared, _PARSED_BYTES + _PARSED_PER_BYTE * len(text))
    return prepared


def refuse_multiple_key_attributes(keys: KeySchema) -> None:
    """Raises ValidationException for an index whose partition or sort key has several attributes."""
    if len(keys.partition) > 1 or len(keys.sort) > 1:
        raise problems.multiple_key_attributes()


class Prepared:
    """A statement before its parameters."""

    __slots__ = (
        "_by_types",
        "_columns",
        "_compiled_bytes",
        "_converter",
        "_index",
        "_item",
        "_kind",
        "_order",
        "_problem",
        "_returning",
        "_table",
        "_text",
        "_update",
        "_values_matter",
        "_where",
        "parameter_count",
    )

    def __init__(self, text: str, tree: Tree, parameter_count: int) -> None:
        """Raises `Problem`."""
        self._text = text
        self._compiled_bytes = 0
        self.parameter_count = parameter_count
        self._converter = Converter()
        self._columns: Columns | None = None
        self._order: tuple[OrderTerm, ...] = ()
        self._index: str | None = None
        self._problem: str | None = None
        self._item: StructOf | None = None
        self._update: syntax.UpdateTree | None = None
        self._returning: ReturnValues | None = None
        self._where: syntax.ConditionTree | None = None
        self._by_types: dict[tuple[str, ...], tuple[CompiledClause | None, UpdateProgram | None]] = {}
        self._kind: type = type(tree)
        if isinstance(tree, Call) and tree.name.lower() == "exists" and len(tree.arguments) == 1:
            self._kind, (tree,) = Call, tree.arguments
            if not isinstance(tree, Select):
                raise problems.unsupported_operation(operation_name(tree))
        self._table = self._read(tree)
        # Whether the values themselves, and not only their types, decide whether the clause is right.
        self._values_matter = self._where is not None and any(checks.value_checks(self._where))

    def _read(self, tree: Tree) -> str:
        """Takes the statement apart and returns its table."""
        if isinstance(tree, Select):
            table, self._index = _source(tree.source)
            self._columns = self._read_columns(tree.columns)
            self._order = tuple(_order_term(order) for order in tree.order)
        elif isinstance(tree, (Insert, Update, Delete)):
            table, index = _source(tree.target)
            if index is not None:
                raise Problem(_INDEX_REFUSALS[type(tree)])
        else:
            raise problems.unsupported_operation(operation_name(tree))
        if isinstance(tree, Insert):
            self._item = _insert_item(tree.value)
            return table
        if isinstance(tree, Update):
            self._update = self._converter.update(tree.assignments)
        if isinstance(tree, (Update, Delete)):
            self._returning = tree.returning
        if tree.where is not None:
            self._where = self._converter.condition(tree.where)
        return table

    def _read_columns(self, columns: Sequence[Node] | None) -> Columns | None:
        if columns is None:
            return None
        try:
            return Columns(attribute_path(column) for column in columns)
        except Problem as problem:
            if self._index is None or self._kind is not Select:
                raise
            self._problem = str(problem)
            return None

    def bind(self, parameters: Sequence[AttributeValue] | None = None) -> Statement:
        """The statement with its parameters, which are validated already; those it has no use for are ignored."""
        parameters = parameters or ()
        if len(parameters) < self.parameter_count:
            raise problems.parameters_missing()
        parameters = parameters[: self.parameter_count]
        try:
            if self._item is not None:
                return InsertStatement(self._table, item_of(self._item, parameters))
            return self._bound(self._converter.values(parameters), tuple([type_of(p) for p in parameters]))
        except Problem as problem:
            raise validation_error(str(problem)) from None

    def _bound(self, values: dict[str, AttributeValue], types: tuple[str, ...]) -> Statement:
        compiled = self._by_types.get(types)
        if compiled is None:
            compiled = self._compiled(values)
            self._keep(types, compiled)
        elif self._where is not None and self._values_matter:
            checks.check_condition(self._where, self._converter.names, values)
        clause, program = compiled
        where = Where(clause, values) if clause is not None else None
        if program is not None:
            return UpdateStatement(self._table, where, BoundUpdate(program, values), self._returning)
        if self._kind is Delete:
            return DeleteStatement(self._table, where, self._returning)
        select = SelectStatement(self._table, self._index, self._columns, where, self._order, self._problem)
        return select if self._kind is Select else ExistsStatement(select)

    def _keep(self, types: tuple[str, ...], compiled: tuple[CompiledClause | None, UpdateProgram | None]) -> None:
        """Keeps a compiled form, and counts what it takes."""
        if len(self._by_types) >= MAX_MEANINGS:
            self._by_types.clear()
            _STATEMENTS.grow(self._text, self, -self._compiled_bytes)
            self._compiled_bytes = 0
        size = _COMPILED_BYTES + _COMPILED_PER_BYTE * len(self._text) + 8 * len(types)
        self._by_types[types] = compiled
        self._compiled_bytes += size
        _STATEMENTS.grow(self._text, self, size)

    def _compiled(self, values: dict[str, AttributeValue]) -> tuple[CompiledClause | None, UpdateProgram | None]:
        names = self._converter.names
        clause = program = None
        if self._update is not None:
            checks.check_update(self._update, names, values)
            program = compile_update(self._update, names)
        if self._where is not None:
            checks.check_condition(self._where, names, values)
            clause = compile_clause(self._where, names, values)
        return clause, program


_INDEX_REFUSALS: dict[type, str] = {
    Insert: "FROM clause may only contain a single table name",
    Update: "This operation is not supported on an index",
    Delete: "This operation is not supported on an index",
}


def _source(node: Node) -> tuple[str, str | None]:
    path = path_steps(node)
    if not all(isinstance(step, str) for step in path):
        raise problems.unexpected_path_component(node.position)
    if len(path) > 2:
        raise Problem("A path may contain at most 2 components in the FROM clause")
    if "" in path:
        raise problems.empty_path_component()
    return str(path[0]), str(path[1]) if len(path) == 2 else None


def _insert_item(value: Node) -> StructOf:
    if not isinstance(value, StructOf):
        raise Problem("Use struct format {...} to express item values for insert statement.")
    return value


def _order_term(order: Order) -> OrderTerm:
    path = attribute_path(order.key)
    if len(path) > 1:
        raise problems.unexpected_path_component(order.key.position)
    return OrderTerm(str(path[0]), order.descending)


def _check_order(
    statement: SelectStatement, keys: KeySchema, ranges: tuple[ResolvedKeyCondition, ...] | None
) -> None:
    if statement.where is None:
        raise validation_error("Must have WHERE clause in the statement when using ORDER BY clause.")
    for term in statement.order:
        if term.attribute not in keys.names:
            raise validation_error(
                f"Attribute {term.attribute} in ORDER BY clause must be part of the primary key"
            )
    if ranges is None:
        raise validation_error(
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
        )
    partition = keys.partition[0]
    partitions = {part.partition[0][partition.type] for part in ranges}
    if len(partitions) > 1 and all(term.attribute != partition.name for term in statement.order):
        raise validation_error(
            "Must have hash key in ORDER BY clause when more than one hash key condition specified in "
            "WHERE clause."
        )


def _compare_partitions(one: ResolvedKeyCondition, two: ResolvedKeyCondition) -> int:
    return compare_values(one.partition[0], two.partition[0]) or 0


_PARTITION_ORDER = cmp_to_key(_compare_partitions)


def _runs_reversed(ranges: Sequence[ResolvedKeyCondition]) -> list[ResolvedKeyCondition]:
    """Each partition's ranges in descending order, the partitions in theirs."""
    runs: dict[str, list[ResolvedKeyCondition]] = {}
    for part in ranges:
        runs.setdefault(str(part.partition[0]), []).insert(0, part)
    return [part for run in runs.values() for part in run]
