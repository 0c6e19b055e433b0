"""SELECT in ExecuteStatement: a page of a table or an index.

The WHERE clause gives the key ranges that are read one after the other, or none for a scan; all of it filters what
is read. A page ends as a page of a Query does (`pages`). The NextToken then holds in which range and after which
key to go on, and for which statement, parameters and table; the client may send another Limit or ConsistentRead
with it. A secondary index filters on what it holds itself, a local one fetches what else is selected from its
table, once for every entry read. Sources, recorded from the service in 2026: nubo-db/dynamodb-conformance,
tests/tier2/partiql/indexQualifier.test.ts; paritysuite/dynamodb-conformance,
tests/tier2/partiql/executeStatementIndex.test.ts; Floci's DynamoDbPartiQLEdgeCaseIntegrationTest and
DynamoDbPartiQLDocumentedSyntaxIntegrationTest.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from blotter.database.expressions import ResolvedKeyCondition
from blotter.database.expressions.partiql import SelectStatement
from blotter.database.model.capacity import read_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import resume_after
from blotter.database.model.table import Index, Table, is_over
from blotter.database.model.values import AttributeValue
from blotter.database.operations.answers import Result, Returned, answer, encoded, encoded_capacity
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.operation import Slices
from blotter.database.operations.pages import KeyRange, PageReader, Selecting, held_names
from blotter.database.operations.partiql.touches import touch_of
from blotter.database.operations.reading import query_range
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction
from blotter.database.validation.keys import check_key_length

_BINDING_BYTES = 16
_NUMBER_BYTES = 2


class StatementReadPlan(NamedTuple):
    """An ExecuteStatement that reads: the statement, its text, and the request's parameters."""

    statement: SelectStatement
    text: str
    parameters: Sequence[AttributeValue] | None
    consistent: bool
    limit: int | None
    next_token: str | None
    capacity: str | None

    def touches(self) -> tuple[Touch]:
        return (touch_of(self.statement),)


class PageEnd(NamedTuple):
    """Where a page ended: in which of the ranges, after which storage key."""

    number: int
    key: bytes


def select(plan: StatementReadPlan, tx: ReadTransaction, context: Context) -> Slices:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for the index, for a
    WHERE or ORDER BY clause that does not fit, for attributes that the index does not hold, for the token, for
    keys that are too long."""
    statement = plan.statement
    table = open_table(tx, context, statement.table)
    index = _open_index(plan, table, context)
    keys = table.keys if index is None else index.keys
    ranges, reverse = statement.plan(keys)
    if index is not None:
        _check_projected(statement, table, index, keyed=ranges is not None)
    binding = _binding(plan, table)
    start = None if plan.next_token is None else _read_token(plan.next_token, binding)
    page = PageReader(
        tx,
        table,
        index,
        limit=plan.limit,
        consistent=plan.consistent,
        condition=None if statement.where is None else statement.where.condition,
        projection=statement.columns,
        fetch=_fetches(statement, table, index),
    )
    read = yield from _read_page(page, plan, _key_ranges(ranges, table, index), start, reverse)
    return _result(page, plan, read, binding)


def _open_index(plan: StatementReadPlan, table: Table, context: Context) -> Index | None:
    name = plan.statement.index
    if name is None:
        return None
    index = table.index(name)
    if index is None:
        raise validation_error("The table does not have the specified index")
    if not index.local:
        if plan.consistent:
            raise validation_error("Strongly consistent read is not supported on Global Secondary Indexes")
        if index.vector is not None:
            raise validation_error("Scan operation not supported on this index type")
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


def _fetches(statement: SelectStatement, table: Table, index: Index | None) -> bool:
    """Whether rows need what only the table holds; a global index was refused before."""
    if index is None or index.projection == "ALL" or statement.columns is None:
        return False
    held = held_names(table, index)
    return any(name not in held for name in statement.columns.top_level_names)


class _Read(NamedTuple):
    """A page that was read: the units to read its ranges, and where it ended; None at the end of all ranges."""

    units: float
    position: PageEnd | None


def _read_page(
    page: PageReader,
    plan: StatementReadPlan,
    ranges: list[tuple[KeyRange, bool]],
    start: PageEnd | None,
    reverse: bool,
) -> Generator[Selecting, None, _Read]:
    """Reads the ranges one after the other. Each is a read of its own, rounded by itself."""
    first = 0 if start is None else start.number
    if first >= len(ranges):
        raise _invalid_token()
    units = 0.0
    last_number = first
    for number, (key_range, single) in enumerate(ranges[first:], first):
        if start is not None and number == first:
            key_range = resume_after(*key_range, start.key, reverse=reverse)
        size, scanned = page.size, page.scanned
        complete = yield from page.read(key_range, reverse=reverse)
        units += read_units(page.size - size, plan.consistent)
        if page.scanned > scanned:
            last_number = number
        if complete:
            if single and last_number == len(ranges) - 1:
                break
            assert page.last is not None
            return _Read(units, PageEnd(last_number, page.last[0]))
    return _Read(units, None)


def _result(page: PageReader, plan: StatementReadPlan, read: _Read, binding: bytes) -> Result:
    consumed = page.consumed(read.units)
    body = answer(
        (b"ConsumedCapacity", encoded_capacity(consumed, plan.capacity)),
        (b"Items", b"[" + b",".join(page.bodies) + b"]"),
        (b"LastEvaluatedKey", encoded(None if read.position is None else page.last_evaluated_key())),
        (b"NextToken", encoded(None if read.position is None else _token(read.position, binding))),
    )
    return Result(body, (consumed,), Returned(len(page.bodies)))


# NextToken


def _binding(plan: StatementReadPlan, table: Table) -> bytes:
    """What a token is valid for: statement, parameters, and the table's id, because a table of the same name made
    later is another one."""
    request = orjson.dumps([table.id, plan.text, plan.parameters])
    return blake2b(request, digest_size=_BINDING_BYTES).digest()


def _token(position: PageEnd, binding: bytes) -> str:
    return urlsafe_b64encode(binding + position.number.to_bytes(_NUMBER_BYTES) + position.key).decode()


def _read_token(token: str, binding: bytes) -> PageEnd:
    try:
        content = urlsafe_b64decode(token)
    except ValueError:
        raise _invalid_token() from None
    if len(content) <= _BINDING_BYTES + _NUMBER_BYTES:
        raise _invalid_token()
    if content[:_BINDING_BYTES] != binding:
        raise validation_error("NextToken does not match request")
    number, key = content[_BINDING_BYTES:][:_NUMBER_BYTES], content[_BINDING_BYTES + _NUMBER_BYTES :]
    return PageEnd(int.from_bytes(number), key)


def _invalid_token() -> DynamoDBError:
    return validation_error("Invalid NextToken")
