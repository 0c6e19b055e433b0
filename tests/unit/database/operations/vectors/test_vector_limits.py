"""Refusals at the limits of vector indexes that no golden script reaches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.vectors.search import _streamed
from blotter.database.storage.protocol import SnapshotTooOld
from tests.in_process import InProcessDatabase
from tests.unit.database.operations.vectors.vector_table import VectorTable, definitions, item, vector_index

INVALID = "One or more parameter values were invalid: "


@pytest.fixture
def table(tmp_path: Path) -> Iterator[VectorTable]:
    database = InProcessDatabase(tmp_path / "data")
    yield VectorTable([database])
    database.close()


def refusal(table: VectorTable, operation: str, **request: Any) -> str:
    status, body = table.send(operation, {"TableName": table.name, **request})
    assert status == 400, body
    return str(body["message"])


def test_an_item_at_the_limits_of_the_search_schema(table: VectorTable) -> None:
    table.put(item("largest", (0.0, 1.0), tenant="t" * 2048, color="c" * 10_240))
    assert refusal(table, "PutItem", Item=item("a", (0.0, 1.0), tenant="t" * 2049)) == (
        f"{INVALID}Aggregate size for HASH key attributes exceeds the maximum of 2048 bytes"
    )
    assert refusal(table, "PutItem", Item=item("a", (0.0, 1.0), tenant="t", color="c" * 10_241)) == (
        f"{INVALID}Size limit exceeded for SearchSchema attribute 'color': maximum 10240 bytes"
    )


def test_a_search_condition_of_more_attributes_than_a_schema_can_have(table: VectorTable) -> None:
    names = [f"a{number}" for number in range(22)]
    message = refusal(
        table,
        "SearchVectors",
        **{
            **table.searching((0.0, 1.0)),
            "SearchConditionExpression": " AND ".join(f"{name} = :v" for name in names),
            "ExpressionAttributeValues": {":v": {"S": "x"}},
        },
    )
    assert message.endswith(
        "SearchConditionExpression cannot have more than 1 partition key and more than 20 inline filter key "
        "attributes"
    )


def test_updates_that_no_table_can_have(table: VectorTable) -> None:
    assert refusal(table, "UpdateTable", VectorIndexUpdates=[], BillingMode="PAY_PER_REQUEST") == (
        f"{INVALID}List of VectorIndexUpdates is empty"
    )
    for number in range(4):
        table.call(
            "UpdateTable",
            AttributeDefinitions=definitions(),
            VectorIndexUpdates=[{"Create": vector_index(2, name=f"more-{number}")}],
        )
        table.call("ListTables")
    sixth = {"Create": vector_index(2, name="sixth")}
    assert (
        refusal(table, "UpdateTable", AttributeDefinitions=definitions(), VectorIndexUpdates=[sixth])
        == "Subscriber limit exceeded: Number of vector secondary indexes exceeds per-table limit of 5"
    )


def test_a_new_index_has_not_the_name_of_one_that_is_being_created(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    database = InProcessDatabase(tmp_path / "data", clock=lambda: now[0], table_delay=10.0)
    table = VectorTable([database], indexed=False)
    now[0] += 10.0
    change: dict[str, Any] = {
        "AttributeDefinitions": definitions(),
        "VectorIndexUpdates": [{"Create": vector_index(2)}],
    }
    table.call("UpdateTable", **change)
    assert refusal(table, "UpdateTable", **change) == (
        "Attempt to change a resource which is still in use: Index is being created.  "
        f"Table: {table.name} Index: vix"
    )
    database.close()


def test_an_index_that_outlives_every_snapshot_is_refused() -> None:
    class Old:
        vector = ""

        def are_last(self, _: list[Any]) -> bool:
            return False

        def rows(self, *_: Any) -> list[Any]:
            raise SnapshotTooOld

    search = SimpleNamespace(found=[])
    work = _streamed(cast("Any", None), cast("Any", Old()), cast("Any", search), [(b"", 1)], cast("Any", ()))
    next(work)
    with pytest.raises(DynamoDBError) as refused:
        next(work)
    assert refused.value.message == (
        "The vector index is too large to be searched without a copy in memory; the server's setting "
        "--vector-memory is what copies may take"
    )
