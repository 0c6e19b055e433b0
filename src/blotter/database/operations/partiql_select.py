"""SELECT in ExecuteStatement: a page of a table or an index, read in slices over one snapshot.

The WHERE clause gives the key ranges that are read one after the other, or none for a scan; all of it filters what
is read. A page ends as a page of a Query does: at Limit items read, at 1 MB, or at the end. The NextToken then
says in which range and behind which key to go on, and for which statement, parameters and table; the client may
send another Limit or ConsistentRead with it. A secondary index filters on what it holds itself, a local one
fetches what else is selected from its table, once for every entry read.
Sources, recorded from the service in 2026: nubo-db/dynamodb-conformance, tests/tier2/partiql/
indexQualifier.test.ts; paritysuite/dynamodb-conformance, tests/tier2/partiql/executeStatementIndex.test.ts;
Floci's DynamoDbPartiQLEdgeCaseIntegrationTest and DynamoDbPartiQLDocumentedSyntaxIntegrationTest.
"""

from __future__ import annotations

import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Generator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from blotter.database.expressions import ResolvedKeyCondition
from blotter.database.expressions.partiql import SelectStatement
from blotter.database.model.capacity import ConsumedCapacity, read_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import resume_after, table_key
from blotter.database.model.table import Index, Table, is_over
from blotter.database.model.values import AttributeValue, Item
from blotter.database.operations.answers import Result, answer, encoded
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.reading import (
    PAGE_BYTES,
    SLICE_BYTES,
    SLICE_ITEMS,
    KeyRange,
    Slices,
    held_names,
    last_evaluated_key,
    query_range,
)
from blotter.database.storage.protocol import ReadTransaction
from blotter.database.validation.keys import check_key_length

_BINDING_BYTES = 16
_NUMBER_BYTES = 2


class Select(NamedTuple):
    statement: SelectStatement
    text: str
    parameters: Sequence[AttributeValue] | None
    consistent: bool
    limit: int | None
    next_token: str | None
    capacity: str | None


class Position(NamedTuple):
    """Where a page ended: in which of the ranges, behind which storage key."""

    number: int
    key: bytes


def select(plan: Select, tx: ReadTransaction, context: Context) -> Slices:
    statement = plan.statement
    table = open_table(tx, context, statement.table)
    index = _open_index(plan, table, context)
    keys = table.keys if index is None else index.keys
    ranges, reverse = statement.plan(keys)
    if index is not None:
        _check_projected(statement, table, index, keyed=ranges is not None)
    binding = _binding(plan, table)
    start = None if plan.next_token is None else _read_token(plan.next_token, binding)
    read = _Read(plan, table, index, tx)
    position = yield from _read_page(read, _key_ranges(ranges, table, index), start, reverse)
    token = None if position is None else _token(position, binding)
    return _answer(read, token)


def _open_index(plan: Select, table: Table, context: Context) -> Index | None:
    name = plan.statement.index
    if name is None:
        return None
    index = table.index(name)
    if index is None:
        raise validation_error("The table does not have the specified index")
    if not index.local:
        if plan.consistent:
            raise validation_error("Strongly consistent read is not supported on Global Secondary Indexes")
        if index.backfilling or not is_over(index.active_at, context.now):
            raise validation_error(f"Cannot read from backfilling global secondary index: {index.name}")
    return index


def _check_projected(statement: SelectStatement, table: Table, index: Index, *, keyed: bool) -> None:
    """A global index cannot return what it does not hold; no index that is read by key can filter on it."""
    if index.projection == "ALL":
        return
    held = held_names(table, index)
    if statement.columns is not None and not index.local:
        statement.columns.refuse_unprojected(index.name, held)
    if keyed and statement.where is not None:
        statement.where.refuse_unprojected(index.keys, index.name, held)


def _key_ranges(
    ranges: Sequence[ResolvedKeyCondition] | None, table: Table, index: Index | None
) -> list[tuple[KeyRange, bool]]:
    """The ranges as storage keys, each with whether it can hold only one item. Raises ValidationException for a
    key that is longer than any item's may be."""
    if ranges is None:
        return [((b"", None), False)]
    keys = table.keys if index is None else index.keys
    found = []
    for condition in ranges:
        equal = [clause.operands[0] for clause in condition.sort if clause.operator == "="]
        check_key_length(condition.partition[0], partition=True)
        for value in equal:
            check_key_length(value, partition=False)
        single = index is None and len(equal) == len(keys.sort)
        found.append((query_range(keys, index, condition), single))
    return found


class _Read:
    """A SELECT under way and what its page has gathered so far."""

    __slots__ = ("bodies", "fetched", "index", "last", "plan", "scanned", "size", "space", "table", "tx", "units")

    def __init__(self, plan: Select, table: Table, index: Index | None, tx: ReadTransaction) -> None:
        self.plan = plan
        self.table = table
        self.index = index
        self.tx = tx
        self.space = table.space if index is None else index.space
        self.bodies: list[bytes] = []
        self.scanned = 0
        self.size = 0
        self.units = 0.0
        self.fetched = 0.0
        self.last: bytes | None = None

    def row(self) -> Callable[[bytes], bytes | None] | None:
        """What turns a stored item's body into a row, or into None when the WHERE clause refuses it; None where
        the stored bytes are the row."""
        columns, where = self.plan.statement.columns, self.plan.statement.where
        condition = None if where is None else where.condition
        if columns is None and condition is None:
            return None
        fetching = self._fetches()

        def row(body: bytes) -> bytes | None:
            item: Item = orjson.loads(body)
            matches = condition is None or condition.matches(item)
            if fetching:
                whole = self.tx.get(self.table.space, table_key(self.table.keys, item))
                if whole is None:
                    return None
                self.fetched += read_units(whole.size, self.plan.consistent)
                if matches:
                    item = orjson.loads(whole.body)
            if not matches:
                return None
            return body if columns is None else orjson.dumps(columns.project(item))

        return row

    def _fetches(self) -> bool:
        """Whether rows need what only the table holds; a global index was refused before."""
        index, columns = self.index, self.plan.statement.columns
        if index is None or index.projection == "ALL" or columns is None:
            return False
        held = held_names(self.table, index)
        return any(name not in held for name in columns.top_level_names)

    def end_range(self, size: int) -> None:
        """Each range is a read of its own, rounded by itself."""
        self.units += read_units(size, self.plan.consistent)


def _read_page(
    read: _Read, ranges: list[tuple[KeyRange, bool]], start: Position | None, reverse: bool
) -> Generator[None, None, Position | None]:
    """Reads a page; returns where it ended, or None at the end of all ranges."""
    row = read.row()
    limit = read.plan.limit or sys.maxsize
    slice_items, slice_bytes = SLICE_ITEMS, SLICE_BYTES  # what is left of the slice
    first = 0 if start is None else start.number
    if first >= len(ranges):
        raise _invalid_token()
    for number, ((begin, end), single) in enumerate(ranges[first:], first):
        if start is not None and number == first:
            begin, end = resume_after(begin, end, start.key, reverse=reverse)
        size_before = read.size
        ended = False
        while not ended:
            items, size = min(slice_items, limit - read.scanned), min(slice_bytes, PAGE_BYTES - read.size)
            rows = read.tx.items(read.space, begin, end, items, size, reverse=reverse)
            read_bytes = sum([each[1] for each in rows])
            read.scanned += len(rows)
            read.size += read_bytes
            bodies = [each[2] for each in rows]
            read.bodies += bodies if row is None else [body for body in map(row, bodies) if body is not None]
            if read.scanned == limit or read.size >= PAGE_BYTES:
                read.end_range(read.size - size_before)
                if single and number == len(ranges) - 1:
                    return None
                read.last = bodies[-1]
                return Position(number, rows[-1][0])
            ended = len(rows) < items and read_bytes < size
            if not ended:
                begin, end = (begin, rows[-1][0]) if reverse else (rows[-1][0] + b"\x00", end)
            slice_items -= len(rows)
            slice_bytes -= read_bytes
            if slice_items <= 0 or slice_bytes <= 0:
                slice_items, slice_bytes = SLICE_ITEMS, SLICE_BYTES
                yield
        read.end_range(read.size - size_before)
    return None


def _answer(read: _Read, token: str | None) -> Result:
    consumed = ConsumedCapacity(read.table.name, False)
    last_key = None
    if read.index is None:
        consumed.add_table(read.units)
    else:
        consumed.add_table(read.fetched)
        consumed.add_index(read.index.name, read.units, local=read.index.local)
    if read.last is not None:
        last_key = last_evaluated_key(read.table, read.index, read.last)
    body = answer(
        (b"ConsumedCapacity", encoded(consumed.render(read.plan.capacity))),
        (b"Items", b"[" + b",".join(read.bodies) + b"]"),
        (b"LastEvaluatedKey", encoded(last_key)),
        (b"NextToken", encoded(token)),
    )
    return Result(body, (consumed,))


# NextToken


def _binding(plan: Select, table: Table) -> bytes:
    """What a token holds for. The table's id: a table of the same name made later is another one."""
    request = orjson.dumps([table.id, plan.text, plan.parameters])
    return blake2b(request, digest_size=_BINDING_BYTES).digest()


def _token(position: Position, binding: bytes) -> str:
    return urlsafe_b64encode(binding + position.number.to_bytes(_NUMBER_BYTES) + position.key).decode()


def _read_token(token: str, binding: bytes) -> Position:
    try:
        content = urlsafe_b64decode(token)
    except ValueError:
        raise _invalid_token() from None
    if len(content) <= _BINDING_BYTES + _NUMBER_BYTES:
        raise _invalid_token()
    if content[:_BINDING_BYTES] != binding:
        raise validation_error("NextToken does not match request")
    number, key = content[_BINDING_BYTES:][:_NUMBER_BYTES], content[_BINDING_BYTES + _NUMBER_BYTES :]
    return Position(int.from_bytes(number), key)


def _invalid_token() -> DynamoDBError:
    return validation_error("Invalid NextToken")
