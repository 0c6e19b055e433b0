"""Keys of items, Key parameters and start keys against a table's schema.

Messages: conformance suite nubo-db/dynamodb-conformance (tests/tier3/error-messages: putItem, deleteItem,
batchWriteItem, transactWriteItems) and dynalite's recorded tests.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.keys import index_key, table_key
from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table
from blotter.database.model.values import Item
from blotter.database.validation.keys import check_index_keys, check_item_keys, check_key, check_start_key

PK, SK = KeyAttribute("pk", "S"), KeyAttribute("sk", "B")
GLOBAL = Index("gsi1", 2, False, KeySchema((KeyAttribute("g", "S"),), (KeyAttribute("n", "N"),)), "ALL")
LOCAL = Index("lsi1", 3, True, KeySchema((PK,), (KeyAttribute("l", "S"),)), "ALL")
TABLE = Table(
    account="000000000000",
    region="us-east-1",
    name="t",
    id="i",
    space=1,
    keys=KeySchema((PK,), (SK,)),
    created_at=0.0,
    active_at=0.0,
    indexes=(LOCAL, GLOBAL),
)
KEY: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"B": "AA=="}}

INVALID = "One or more parameter values were invalid: "
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
)
EMPTY_INDEX_KEY = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty string value. "
)
MISMATCH = "The provided key element does not match the schema"


def binary(length: int) -> dict[str, str]:
    return {"B": b64encode(bytes(length)).decode()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pk": None}, INVALID + "Missing the key pk in the item"),
        ({"sk": None}, INVALID + "Missing the key sk in the item"),
        ({"pk": {"N": "5"}}, INVALID + "Type mismatch for key pk expected: S actual: N"),
        ({"sk": {"L": []}}, INVALID + "Type mismatch for key sk expected: B actual: L"),
        ({"pk": {"S": ""}}, EMPTY_KEY + "string value. Key: pk"),
        ({"sk": {"B": ""}}, EMPTY_KEY + "binary value. Key: sk"),
        ({"pk": {"S": "a" * 2049}}, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ({"pk": {"S": "é" * 1025}}, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        (
            {"sk": binary(1025)},
            INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ),
        ({"g": {"N": "1"}}, INVALID + "Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi1"),
        (
            {"l": {"BOOL": True}},
            INVALID + "Type mismatch for Index Key l Expected: S Actual: BOOL IndexName: lsi1",
        ),
        ({"g": {"S": ""}}, EMPTY_INDEX_KEY + "IndexName: gsi1, IndexKey: g"),
        ({"l": {"S": ""}}, EMPTY_INDEX_KEY + "IndexName: lsi1, IndexKey: l"),
        ({"g": {"S": "a" * 2049}}, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        (
            {"l": {"S": "a" * 1025}},
            INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ),
        # Of several faults the table's key is named first, then global indexes.
        ({"g": {"N": "1"}, "l": {"N": "1"}, "sk": None}, INVALID + "Missing the key sk in the item"),
        (
            {"g": {"N": "1"}, "l": {"N": "1"}},
            INVALID + "Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi1",
        ),
    ],
)
def test_items(changes: dict[str, Any], message: str) -> None:
    item: Item = {name: value for name, value in {**KEY, **changes}.items() if value is not None}
    with pytest.raises(DynamoDBError) as refused:
        check_item_keys(TABLE, item)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


def test_items_that_fit() -> None:
    check_item_keys(TABLE, KEY)
    check_item_keys(TABLE, {**KEY, "g": {"S": "a"}, "n": {"N": "1"}, "l": {"S": "x"}})
    check_item_keys(TABLE, {"pk": {"S": "é" * 1024}, "sk": binary(1024)})
    check_index_keys(TABLE, {"other": {"S": ""}})


@pytest.mark.parametrize("changes", [{"pk": None}, {"pk": {"N": "5"}}, {"sk": {"L": []}}])
def test_a_batch_words_a_bad_table_key_like_a_key_parameter(changes: dict[str, Any]) -> None:
    item: Item = {name: value for name, value in {**KEY, **changes}.items() if value is not None}
    with pytest.raises(DynamoDBError, match=f"^ValidationException: {MISMATCH}$"):
        check_item_keys(TABLE, item, batch=True)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, MISMATCH),
        ({"pk": {"S": "a"}}, MISMATCH),
        ({**KEY, "x": {"S": "a"}}, MISMATCH),
        ({"pk": {"S": "a"}, "x": {"B": "AA=="}}, MISMATCH),
        ({**KEY, "pk": {"N": "1"}}, MISMATCH),
        ({**KEY, "pk": {"S": ""}}, EMPTY_KEY + "string value. Key: pk"),
        ({**KEY, "sk": {"B": ""}}, EMPTY_KEY + "binary value. Key: sk"),
        (
            {**KEY, "pk": {"S": "a" * 2049}},
            INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
    ],
)
def test_key_parameters(key: Item, message: str) -> None:
    with pytest.raises(DynamoDBError) as refused:
        check_key(TABLE, key)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


def test_start_keys() -> None:
    check_key(TABLE, KEY)
    base = table_key(TABLE.keys, KEY)
    assert check_start_key(TABLE, None, KEY) == base
    assert check_start_key(TABLE, GLOBAL, INDEX_KEY, query=True) == index_key(GLOBAL, INDEX_KEY, base)


INDEX_KEY: dict[str, Any] = {**KEY, "g": {"S": "g"}, "n": {"N": "1"}}
STARTING = "The provided starting key is invalid"


@pytest.mark.parametrize(
    ("index", "key", "scanning", "querying"),
    [
        (None, {"pk": {"S": "a"}}, f"{STARTING}: {MISMATCH}", STARTING),
        (None, {**KEY, "x": {"S": "a"}}, f"{STARTING}: {MISMATCH}", STARTING),
        (None, {"pk": {"S": "a"}, "x": {"S": "a"}}, f"{STARTING}: {MISMATCH}", STARTING),
        (None, {**KEY, "pk": {"N": "1"}}, f"{STARTING}: {MISMATCH}", MISMATCH),
        (
            None,
            {**KEY, "pk": {"S": ""}},
            f"{STARTING}: {EMPTY_KEY}string value. Key: pk",
            EMPTY_KEY + "string value. Key: pk",
        ),
        (GLOBAL, KEY, STARTING, STARTING),
        (GLOBAL, {**INDEX_KEY, "x": {"S": "a"}}, STARTING, STARTING),
        (GLOBAL, {**KEY, "g": {"S": "g"}, "x": {"N": "1"}}, STARTING, STARTING),
        (GLOBAL, {**INDEX_KEY, "n": {"S": "1"}}, MISMATCH, MISMATCH),
        (GLOBAL, {**INDEX_KEY, "sk": {"S": "1"}}, f"{STARTING}: {MISMATCH}", f"{STARTING}: {MISMATCH}"),
        (LOCAL, {**KEY, "l": {"N": "1"}}, MISMATCH, MISMATCH),
        # Attribute by attribute: the first one's type comes before the second one's absence.
        (LOCAL, {"pk": {"N": "1"}, "sk": {"B": "AA=="}, "x": {"S": "1"}}, MISMATCH, MISMATCH),
        (LOCAL, {**KEY, "x": {"S": "1"}}, STARTING, STARTING),
    ],
)
def test_start_keys_that_do_not_fit(index: Index | None, key: Item, scanning: str, querying: str) -> None:
    for query, message in ((False, scanning), (True, querying)):
        with pytest.raises(DynamoDBError) as refused:
            check_start_key(TABLE, index, key, query=query)
        assert refused.value.message == message
