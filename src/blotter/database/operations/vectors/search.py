"""SearchVectors: the items of a vector index whose vectors are nearest to one.

A search is exact: every vector of the index, or of the partition that the condition names, is compared. A small
partition is read for each search; a larger one is kept in memory (`copies`). Comparing and building the response
is work for the thread of long reads. Items come from the table, in the snapshot in which the index was searched:

    {"ConsumedCapacity":{"VectorSearchRequestBytes":1024.0},
     "SearchResults":[{"Item":{"id":{"S":"a"}},"Score":0.25}]}

Order and messages: Parity Suite, tests/tier3/error-messages/searchVectors, tests/tier2/vectorSearch; nubo-db/
dynoxide, src/actions/search_vectors.rs and tests/search_vectors.rs (eu-west-2 and us-east-1, August 2026).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from blotter.database.expressions import Projection, SearchClause, refuse_nested_keys
from blotter.database.model.capacity import VECTOR_SEARCHES, ConsumedCapacity
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.numbers import canonical_number
from blotter.database.model.table import Index, Table, VectorSettings, is_over
from blotter.database.model.values import AttributeValue, Item, canonical_bytes, type_of
from blotter.database.model.vectors import (
    NotAVector,
    partition_of,
    projected_beside,
    projects_vector,
    vector_bytes,
    vector_of,
)
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.operation import Slices
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.touches import Touch
from blotter.database.operations.vectors.copies import COPIES, Partition, Work, current_copy
from blotter.database.operations.vectors.entries import MIN_REQUEST_BYTES
from blotter.database.storage.protocol import ReadTransaction, Row, SnapshotTooOld
from blotter.database.validation.key_errors import empty_key_error
from blotter.database.wire import requests as wire

if TYPE_CHECKING:
    from blotter.database.operations.vectors.matrix import Filters
    from blotter.database.operations.vectors.scoring import Neighbor, Search

MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/VectorSearch.Requirements.html"""
_ITEM_BYTES: Final = 256 * 1024
"""Items that are read at once."""


class SearchPlan(msgspec.Struct, frozen=True, gc=False):
    """`vector` is None when an element of the request's is no 32-bit float, `dimensions` how many it has."""

    table: str
    index: str
    vector: bytes | None
    dimensions: int
    count: int
    clauses: tuple[SearchClause, ...] | None
    projection: Projection | None
    capacity: str | None

    def touches(self) -> tuple[Touch]:
        return (Touch("dynamodb:SearchVectors", self.table, index=self.index),)


def prepare_search(request: wire.SearchVectorsInput) -> SearchPlan:
    """Raises ValidationException for a wrong condition, a wrong projection, then for placeholders that nothing
    uses."""
    attributes = expression_attributes(request)
    clauses = None
    if request.SearchConditionExpression is not None:
        clauses = attributes.search_condition(request.SearchConditionExpression)
    projection = None
    if request.ProjectionExpression is not None:
        projection = attributes.projection(request.ProjectionExpression)
    attributes.finish()
    return SearchPlan(
        request.TableName,
        request.IndexName,
        _search_vector(request.SearchVector),
        len(request.SearchVector),
        request.TopK,
        clauses,
        projection,
        request.ReturnConsumedCapacity,
    )


def _search_vector(elements: Sequence[AttributeValue]) -> bytes | None:
    try:
        return vector_bytes([{"N": canonical_number(_number(element))} for element in elements])
    except (NotAVector, DynamoDBError):
        return None


def _number(element: AttributeValue) -> str:
    if len(element) != 1 or "N" not in element:
        raise NotAVector
    text: str = element["N"]
    return text


def search_vectors(plan: SearchPlan, tx: ReadTransaction, context: Context) -> Slices:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for the index, the
    vector, an attribute that is not in the search schema, a HASH attribute that is missing, values of the wrong
    type, a projection that looks inside a key."""
    table = open_table(tx, context, plan.table)
    index, vector = _open(table, plan.index, context)
    wanted = _check_vector(plan, vector)
    clauses = _check_clauses(plan.clauses, vector)
    if plan.projection is not None:
        refuse_nested_keys(table, plan.projection)
    hash_values = {key.name: clauses[key.name] for key in index.keys.partition}
    prefix = partition_of(index, hash_values)
    filters = [
        (place, canonical_bytes(clauses[key.name]))
        for place, key in enumerate(vector.filters)
        if key.name in clauses
    ]
    neighbors: list[Neighbor] = []
    examined = 0
    if prefix is not None:
        partition = Partition(table, index, vector, prefix)
        neighbors, examined = yield from _nearest(tx, partition, plan, wanted, filters)
    response = _Response(table, index, plan.projection)
    yield from _fill(response, tx, len(prefix or b""), neighbors)
    return _result(plan, table, index, response.results, max(examined, MIN_REQUEST_BYTES))


# What is searched


def _open(table: Table, name: str, context: Context) -> tuple[Index, VectorSettings]:
    index = table.index(name)
    if index is None or index.vector is None or not is_over(index.active_at, context.now):
        # An index whose resources are still being allocated is not there yet.
        raise validation_error(f"The table does not have the specified index: {name}")
    if index.backfilling:
        raise validation_error(f"Cannot search backfilling vector index: {name}")
    return index, index.vector


def _check_vector(plan: SearchPlan, vector: VectorSettings) -> bytes:
    if plan.vector is None:
        raise validation_error(
            "Search vector contains invalid values. All values in the search vector must be a 32-bit "
            "floating-point number attribute"
        )
    if plan.dimensions != vector.dimensions:
        raise validation_error(
            f"Input search vector dimension {plan.dimensions} does not match vector index dimension "
            f"{vector.dimensions}"
        )
    return plan.vector


def _check_clauses(clauses: Sequence[SearchClause] | None, vector: VectorSettings) -> Item:
    """The values that the condition wants, by attribute."""
    schema = {element.attribute.name: element for element in vector.schema}
    for clause in clauses or ():
        if clause.attribute not in schema:
            raise validation_error(
                "SearchConditionExpression must not contain any attributes that is not in SearchSchema. Invalid "
                f"attribute: {clause.attribute}"
            )
    wanted = {clause.attribute: clause.value for clause in clauses or ()}
    for name, element in schema.items():
        if element.role == "HASH" and name not in wanted:
            raise validation_error("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    for name, value in wanted.items():
        attribute = schema[name].attribute
        if attribute.type not in value:
            raise validation_error(
                f"Type of '{name}' attribute in SearchConditionExpression ({type_of(value)}) does not match type "
                f"in search schema ({attribute.type})"
            )
        if schema[name].role == "HASH" and value[attribute.type] == "":
            raise empty_key_error(attribute)
    return wanted


# The nearest vectors


def _nearest(
    tx: ReadTransaction, partition: Partition, plan: SearchPlan, vector: bytes, filters: Filters
) -> Generator[Work, None, tuple[list[Neighbor], int]]:
    """The neighbors in order, and the bytes of all entries that were examined."""
    searches: list[Search] = []
    yield partial(_begin, searches, vector, partition.vector, plan.count)
    (search,) = searches
    rows: list[Row] = []
    if COPIES.find(partition) is None:
        rows = partition.rows(tx, None)
        if partition.are_last(rows):
            yield partial(_offer, search, rows, partition.vector, filters)
            return search.found, sum([row[1] for row in rows])
    copy = yield from current_copy(tx, partition)
    if copy is not None:
        held = copy.busy  # by this search, if at all
        examined = copy.matrix.examined
        step = copy.step
        offered: list[bool] = []

        def offer() -> None:
            offered.append(copy.step == step)
            if offered[0]:  # no other search has taken it further
                copy.matrix.offer_all(search, filters)

        try:
            yield offer
        finally:
            if held:
                copy.busy = False
        if offered[0]:
            return search.found, examined
    return (yield from _streamed(tx, partition, search, rows or partition.rows(tx, None), filters))


def _streamed(
    tx: ReadTransaction, partition: Partition, search: Search, rows: list[Row], filters: Filters
) -> Generator[Work, None, tuple[list[Neighbor], int]]:
    """Reads the partition entry by entry."""
    examined = 0
    while True:
        examined += sum([row[1] for row in rows])
        yield partial(_offer, search, rows, partition.vector, filters)
        if partition.are_last(rows):
            return search.found, examined
        try:
            rows = partition.rows(tx, rows[-1][0])
        except SnapshotTooOld:
            raise validation_error(
                "The vector index is too large to be searched without a copy in memory; the server's setting "
                "--vector-memory is what copies may take"
            ) from None


def _begin(searches: list[Search], vector: bytes, settings: VectorSettings, count: int) -> None:
    """On the thread: the first call imports numpy."""
    from blotter.database.operations.vectors.scoring import Search

    searches.append(Search(vector, settings.distance, count))


def _offer(search: Search, rows: list[Row], vector: VectorSettings, filters: Filters) -> None:
    from blotter.database.operations.vectors.matrix import offer_entries

    offer_entries(search, rows, vector, filters)


# The response


class _Response:
    """The results as they are made, from items that need not be kept."""

    __slots__ = ("_index", "_projection", "_size", "_table", "results")

    def __init__(self, table: Table, index: Index, projection: Projection | None) -> None:
        self._table = table
        self._index = index
        self._projection = projection
        self._size = 0
        self.results: list[bytes] = []

    def stored(self, tx: ReadTransaction, key: bytes) -> bytes:
        stored = tx.get(self._table.space, key)
        if stored is None:
            raise ValueError(f"an entry of {self._table.arn} has no item")
        return stored.body

    def add(self, found: Sequence[tuple[bytes, Neighbor]]) -> None:
        """On the thread. Raises ValidationException when the response becomes too large."""
        for body, neighbor in found:
            shown = orjson.dumps(self._shown(orjson.loads(body)))
            self.results.append(b'{"Item":%b,"Score":%b}' % (shown, orjson.dumps(neighbor.score)))
            self._size += len(self.results[-1])
            if self._size > MAX_RESPONSE_BYTES:
                raise validation_error(
                    f"The response would have more than {MAX_RESPONSE_BYTES} bytes. Use a ProjectionExpression "
                    "or a smaller TopK."
                )

    def _shown(self, item: Item) -> Item:
        shown = projected_beside(self._table, self._index, item)
        vector = self._index.vector
        if self._projection is None or vector is None:
            return shown
        if vector.attribute in _read(self._projection) and projects_vector(self._index):
            shown[vector.attribute] = _float_copy(item, vector)
        return self._projection.project(shown)


def _fill(
    response: _Response, tx: ReadTransaction, prefix_length: int, neighbors: Sequence[Neighbor]
) -> Generator[Work, None, None]:
    """Reads the items of neighbors, some at a time."""
    found: list[tuple[bytes, Neighbor]] = []
    size = 0
    for neighbor in neighbors:
        found.append((response.stored(tx, neighbor.key[prefix_length:]), neighbor))
        size += len(found[-1][0])
        if size > _ITEM_BYTES:
            yield partial(response.add, found)
            found, size = [], 0
    if found:
        yield partial(response.add, found)


def _read(projection: Projection) -> frozenset[str]:
    return projection.top_level_names


def _float_copy(item: Item, vector: VectorSettings) -> AttributeValue:
    """The vector as the index has it."""
    from blotter.database.operations.vectors.scoring import number_texts

    floats = vector_of(item[vector.attribute], vector.dimensions)
    return {"L": [{"N": text} for text in number_texts(floats)]}


def _result(plan: SearchPlan, table: Table, index: Index, results: list[bytes], examined: int) -> Result:
    consumed = ConsumedCapacity(table.name, False)
    consumed.count(VECTOR_SEARCHES, examined, index.name)
    pieces: list[Any] = [b"{"]
    if plan.capacity is not None and plan.capacity != "NONE":
        pieces.append(b'"ConsumedCapacity":{"VectorSearchRequestBytes":%b},' % orjson.dumps(float(examined)))
    pieces += b'"SearchResults":[', b",".join(results), b"]}"
    return Result(b"".join(pieces), (consumed,))
