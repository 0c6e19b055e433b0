"""What writes, reads and searches of a table with vector indexes are metered by.

The formulas are those measured in us-east-1 and eu-west-2 between August and October 2026: ExtendDB/extenddb,
crates/core/src/vector_capacity.rs; Parity Suite, tests/tier2/vectorSearch/consumedCapacity. A vector takes 4 bytes
for each dimension in what is billed on writes; in reads and for the limit of 400 KB it takes what its numbers
take.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.model.size import MAX_ITEM_SIZE, item_size
from tests.in_process import InProcessDatabase

DIMENSIONS = 100
LONG = "1234567890123456789012345678901234567.5"  # 38 digits, 20 bytes as a number


def index(name: str, projection: dict[str, Any], *, hashed: bool) -> dict[str, Any]:
    schema = [{"AttributeName": "tenant", "SearchSchemaElementType": "HASH"}] if hashed else []
    return {
        "IndexName": name,
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": DIMENSIONS,
        "DistanceFunction": "COSINE",
        "Projection": projection,
    } | ({"SearchSchema": schema} if schema else {})


TABLE = {
    "TableName": "docs",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "tenant")],
    "VectorIndexes": [
        index("everything", {"ProjectionType": "ALL"}, hashed=False),
        index("keys-only", {"ProjectionType": "KEYS_ONLY"}, hashed=True),
    ],
}
VECTOR = {"L": [{"N": LONG}] * DIMENSIONS}
KEY = {"id": {"S": "a"}}
ITEM = KEY | {"tenant": {"S": "t"}, "v": VECTOR}
KEY_BYTES, TENANT_BYTES, VECTOR_BYTES = 3, 7, 1 + 4 * DIMENSIONS
TEXT = {"text": {"S": "x" * 2000}}
TEXT_BYTES = 2004
MINIMUM = 1024.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    opened = InProcessDatabase(tmp_path / "data", store="memory")
    assert opened.call("CreateTable", TABLE)[0] == 200
    yield opened
    opened.close()


def consumed(database: InProcessDatabase, operation: str, detail: str = "INDEXES", **request: Any) -> Any:
    named = {} if "TransactItems" in request or "RequestItems" in request else {"TableName": "docs"}
    status, body = database.call(operation, {**named, **request, "ReturnConsumedCapacity": detail})
    assert status == 200, body
    return body.get("ConsumedCapacity")


def written(
    database: InProcessDatabase, operation: str = "PutItem", **request: Any
) -> tuple[float, dict[str, float]]:
    """Units of the table and bytes of each index."""
    found = consumed(database, operation, **request)
    found = found[0] if isinstance(found, list) else found
    vectors = found.get("VectorIndexes", {})
    return found["Table"]["CapacityUnits"], {
        name: each["VectorWriteRequestBytes"] for name, each in vectors.items()
    }


def both(everything: float, keys_only: float) -> dict[str, float]:
    return {"everything": everything, "keys-only": keys_only}


def test_a_new_entry_is_metered_by_its_size(database: InProcessDatabase) -> None:
    everything = float(KEY_BYTES + TENANT_BYTES + VECTOR_BYTES + TEXT_BYTES)
    units, entries = written(database, Item=ITEM | TEXT)
    assert (units, entries) == (3.0, both(everything, MINIMUM))


def test_only_details_of_indexes_show_vector_bytes(database: InProcessDatabase) -> None:
    assert consumed(database, "PutItem", "TOTAL", Item=ITEM) == {"TableName": "docs", "CapacityUnits": 1.0}
    shown = consumed(database, "PutItem", Item=ITEM | TEXT)
    assert shown["CapacityUnits"] == shown["Table"]["CapacityUnits"] == 3.0


def test_what_an_index_does_not_project_costs_it_nothing(database: InProcessDatabase) -> None:
    written(database, Item=ITEM)
    larger = float(KEY_BYTES + TENANT_BYTES + VECTOR_BYTES + TEXT_BYTES)
    assert written(database, Item=ITEM | TEXT)[1] == {"everything": larger}
    # Both images are compared, and the larger one counts.
    assert written(database, Item=ITEM)[1] == {"everything": larger}
    assert written(database, Item=ITEM)[1] == {}
    assert written(database, "DeleteItem", Key=KEY)[1] == both(MINIMUM, MINIMUM)
    assert written(database, "DeleteItem", Key=KEY)[1] == {}


def test_a_move_to_another_partition_is_metered_twice(database: InProcessDatabase) -> None:
    written(database, Item=ITEM)
    move = {"UpdateExpression": "SET tenant = :u", "ExpressionAttributeValues": {":u": {"S": "u"}}}
    assert written(database, "UpdateItem", Key=KEY, **move)[1] == both(MINIMUM, 2 * MINIMUM)


def test_an_item_without_a_vector_is_in_no_index(database: InProcessDatabase) -> None:
    assert written(database, Item=KEY | TEXT)[1] == {}
    assert written(database, Item=ITEM)[1] == both(MINIMUM, MINIMUM)
    assert written(database, Item=KEY)[1] == both(MINIMUM, MINIMUM)
    # Without a tenant it is in one of them.
    assert written(database, Item=KEY | {"v": VECTOR})[1] == {"everything": MINIMUM}


def test_transactions_batches_and_statements_are_metered_alike(database: InProcessDatabase) -> None:
    """Units double in a transaction, bytes do not."""
    put = {"Put": {"TableName": "docs", "Item": ITEM}}
    assert written(database, "TransactWriteItems", TransactItems=[put]) == (2.0, both(MINIMUM, MINIMUM))
    batch = {"docs": [{"PutRequest": {"Item": ITEM | {"id": {"S": key}}}} for key in "bc"]}
    assert written(database, "BatchWriteItem", RequestItems=batch) == (2.0, both(2 * MINIMUM, 2 * MINIMUM))
    status, body = database.call(
        "ExecuteStatement",
        {"Statement": "DELETE FROM docs WHERE id = 'b'", "ReturnConsumedCapacity": "INDEXES"},
    )
    assert status == 200, body
    assert set(body["ConsumedCapacity"]["VectorIndexes"]) == {"everything", "keys-only"}


@pytest.mark.parametrize(("rest", "units"), [(1024, 1.0), (1025, 2.0)])
def test_writes_count_a_vector_by_its_dimensions(database: InProcessDatabase, rest: int, units: float) -> None:
    """Its numbers take more than 2,000 bytes."""
    text = "x" * (rest - KEY_BYTES - TENANT_BYTES - VECTOR_BYTES - len("text"))
    assert written(database, Item=ITEM | {"text": {"S": text}})[0] == units
    assert written(database, "DeleteItem", Key=KEY)[0] == units


def test_reads_count_the_numbers(database: InProcessDatabase) -> None:
    written(database, Item=ITEM | {"more": {"L": [{"N": LONG}] * 100}})
    shown = consumed(database, "GetItem", "TOTAL", Key=KEY, ConsistentRead=True)
    assert shown == {"TableName": "docs", "CapacityUnits": 2.0}


def test_the_limit_of_an_item_counts_the_numbers(database: InProcessDatabase) -> None:
    room = MAX_ITEM_SIZE - item_size(ITEM) - len("text")
    fits = ITEM | {"text": {"S": "x" * room}}
    assert written(database, Item=fits)[0] == 399.0  # of 400 KB less what the numbers take and floats do not
    request = {"TableName": "docs", "Item": ITEM | {"text": {"S": "x" * (room + 1)}}}
    status, body = database.call("PutItem", request)
    assert (status, body["message"]) == (
        400,
        "1 validation error detected: Item size has exceeded the maximum allowed size",
    )


def test_sizes_that_are_described_are_the_metered_ones(database: InProcessDatabase) -> None:
    written(database, Item=ITEM | TEXT)
    written(database, Item=KEY | {"id": {"S": "plain"}, "tenant": {"S": "t"}})
    table = database.call("DescribeTable", {"TableName": "docs"})[1]["Table"]
    entry = KEY_BYTES + TENANT_BYTES + VECTOR_BYTES
    assert table["TableSizeBytes"] == entry + TEXT_BYTES + 7 + TENANT_BYTES
    assert [each["IndexSizeBytes"] for each in table["VectorIndexes"]] == [entry + TEXT_BYTES, entry]
    written(database, "DeleteItem", Key=KEY)
    table = database.call("DescribeTable", {"TableName": "docs"})[1]["Table"]
    assert table["TableSizeBytes"] == 7 + TENANT_BYTES
    assert [each["ItemCount"] for each in table["VectorIndexes"]] == [0, 0]


def test_a_response_has_sixteen_megabytes_at_most(database: InProcessDatabase) -> None:
    for number in range(45):
        written(database, Item=ITEM | {"id": {"S": f"{number}"}, "text": {"S": "x" * 380_000}})
    search: dict[str, Any] = {"TableName": "docs", "IndexName": "everything", "SearchVector": VECTOR["L"]}
    status, body = database.call("SearchVectors", search | {"TopK": 45})
    assert (status, body["message"]) == (
        400,
        "The response would have more than 16777216 bytes. Use a ProjectionExpression or a smaller TopK.",
    )
    assert len(database.call("SearchVectors", search | {"TopK": 44})[1]["SearchResults"]) == 44
    shown = database.call("SearchVectors", search | {"TopK": 45, "ProjectionExpression": "id"})[1]["SearchResults"]
    assert len(shown) == 45


def test_a_search_is_metered_by_what_it_examines(database: InProcessDatabase) -> None:
    search = {"IndexName": "everything", "SearchVector": [{"N": "1"}] * DIMENSIONS, "TopK": 1}
    assert consumed(database, "SearchVectors", **search) == {"VectorSearchRequestBytes": MINIMUM}
    for key in "abc":
        written(database, Item=ITEM | {"id": {"S": key}})
    examined = 3.0 * (KEY_BYTES + TENANT_BYTES + VECTOR_BYTES)
    for detail in ("TOTAL", "INDEXES"):
        assert consumed(database, "SearchVectors", detail, **search) == {"VectorSearchRequestBytes": examined}
    assert consumed(database, "SearchVectors", "NONE", **search) is None
