"""Bodies of errors, byte by byte as the service makes them."""

from __future__ import annotations

from zlib import crc32

import orjson

from blotter.database.model.errors import (
    DynamoDBError,
    condition_failed,
    serialization_error,
    table_not_found,
    validation_error,
)
from blotter.database.wire.encode import encode_error


def test_the_message_is_spelled_as_the_service_spells_it() -> None:
    assert orjson.loads(encode_error(validation_error("x"))) == {
        "__type": "com.amazon.coral.validate#ValidationException",
        "message": "x",
    }
    assert orjson.loads(encode_error(table_not_found())) == {
        "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message": "Requested resource not found",
    }
    assert orjson.loads(encode_error(serialization_error("x"))) == {
        "__type": "com.amazon.coral.service#SerializationException",
        "Message": "x",
    }
    cancelled = DynamoDBError(
        "TransactionCanceledException", "x", members={"CancellationReasons": [{"Code": "None"}]}
    )
    assert orjson.loads(encode_error(cancelled)) == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "CancellationReasons": [{"Code": "None"}],
        "Message": "x",
    }


def test_an_error_without_words_has_no_message() -> None:
    assert encode_error(serialization_error("")) == b'{"__type":"com.amazon.coral.service#SerializationException"}'
    # The checksum of exactly this body, as recorded from the service (dynalite's tests, connection).
    assert crc32(encode_error(serialization_error(""))) == 3948637019


def test_a_failed_condition_carries_the_item() -> None:
    body = orjson.loads(encode_error(condition_failed({"pk": {"S": "a"}})))
    assert body["Item"] == {"pk": {"S": "a"}}
    assert body["message"] == "The conditional request failed"
