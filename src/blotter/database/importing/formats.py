"""The formats of a source: how the content of an object becomes records, and a record becomes an item.

A format first separates records, which is cheap, so that records that an earlier run has dealt with can be
skipped; then it parses those that are wanted. Two kinds of faults, as AWS tells them apart: `MalformedObject` when
a record shows that the object is not in this format (the rest of the object is skipped), `DynamoDBError` when it
is, but makes no item (the next record is read).
Formats: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Format.html; which fault is
which: ScyllaDB's tests of imports and ack-api-quirks, DDB-IMPORT-013, both run on AWS in 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import orjson

from blotter.database.importing.compression import MalformedObject
from blotter.database.importing.lines import lines
from blotter.database.model.errors import validation_error

if TYPE_CHECKING:
    from blotter.database.model.values import AttributeValue
else:
    from blotter.database.wire.requests import AttributeValue  # with the types that the decoder checks

InputFormat = Literal["CSV", "DYNAMODB_JSON", "ION"]


class Put(msgspec.Struct, frozen=True):
    """One record: an item, and on what condition it is written. Members are named as in the files."""

    Item: dict[str, AttributeValue]
    ConditionExpression: str | None = None
    ExpressionAttributeNames: dict[str, str] | None = None
    ExpressionAttributeValues: dict[str, AttributeValue] | None = None


class Format(Protocol):
    """How objects of one format are read. It keeps no state: objects can be read side by side."""

    def records(self, pieces: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
        """The records of an object, each with the number of its first line, from 1. Raises MalformedObject after
        the last one that could be separated."""

    def parse(self, record: Any) -> Put:
        """What a record says. Raises MalformedObject or DynamoDBError."""


class DynamoDBJson:
    """One JSON object on each line, with the member `Item`; lines of nothing but white space are skipped."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(Put).decode

    def records(self, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(lines(pieces), 1):
            if line and not line.isspace():
                yield number, line

    def parse(self, record: bytes) -> Put:
        try:
            return self._decode(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise _json_fault(record, error) from None


def _json_fault(line: bytes, error: Exception) -> Exception:
    """What is wrong with a line that is not read: the object's format, or only this item."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return MalformedObject("The line is not valid JSON")
    if not isinstance(value, dict) or not isinstance(value.get("Item"), dict):
        return MalformedObject("The line has no member Item with an item")
    return validation_error(f"The item cannot be converted: {error}")


def format_of(
    name: InputFormat,
    delimiter: str = ",",
    header: list[str] | None = None,
    key_types: dict[str, str] | None = None,
) -> Format:
    """The format of a request. CSV only: what separates columns; the names of columns, None if the first line of
    every object has them; and the types of those that are no strings, by name."""
    if name == "CSV":
        from blotter.database.importing.csv_format import Csv

        return Csv(delimiter, header, key_types or {})
    if name == "ION":
        from blotter.database.importing.ion_format import Ion

        return Ion()
    return DynamoDBJson()
