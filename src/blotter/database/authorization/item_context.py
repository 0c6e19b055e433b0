"""DynamoDB's own context keys of one touch: leading keys, attributes, the options of a request.

What depends on the table (which attributes are its key, its tags) is looked up only when a policy asks for it. A
table that cannot be found must not answer otherwise than one that is there, so for its leading keys all values of
the request's key are taken: whoever may not touch one of them is refused either way. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from blotter.database.expressions.partiql.problems import KeyMismatch
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import KeySchema, Table
from blotter.database.model.values import AttributeValue
from blotter.database.operations.touches import Touch
from blotter.database.security.request_context import Values, tag_values

FindTable = Callable[[], Table | None]

_RESOURCE_TAG: Final = "aws:resourcetag/"
_REQUEST_TAG: Final = "aws:requesttag/"
_PARTS: Final = {
    "dynamodb:leadingkeys": 0,
    "dynamodb:firstpartitionkeyvalues": 0,
    "dynamodb:secondpartitionkeyvalues": 1,
    "dynamodb:thirdpartitionkeyvalues": 2,
    "dynamodb:fourthpartitionkeyvalues": 3,
}
_TRANSACTIONS: Final = ("TransactGetItems", "TransactWriteItems", "ExecuteTransaction")


def is_about_touch(key: str) -> bool:
    """Whether a key, lower-cased, is one of those made here."""
    return key.startswith(("dynamodb:", _RESOURCE_TAG, _REQUEST_TAG)) or key == "aws:tagkeys"


def item_context(touch: Touch, operation: str, keys: Iterable[str], find_table: FindTable) -> dict[str, Values]:
    """The values of those of the keys, which are lower-cased, that are about a touch and that it has."""
    found: dict[str, Values] = {}
    for key in keys:
        values = _values(touch, operation, key, find_table)
        if values:
            found[key] = values
    return found


def _values(touch: Touch, operation: str, key: str, find_table: FindTable) -> Values:
    part = _PARTS.get(key)
    if part is not None:
        return _partition_values(touch, part, find_table)
    if key == "dynamodb:attributes":
        return tuple(sorted(touch.named_attributes)) if touch.select or touch.return_values else ()
    if key == "dynamodb:select":
        return (touch.select,) if touch.select else ()
    if key == "dynamodb:returnvalues":
        return (touch.return_values,) if touch.return_values else ()
    if key == "dynamodb:returnconsumedcapacity":
        return (touch.capacity or "NONE",) if touch.select or touch.return_values else ()
    if key == "dynamodb:enclosingoperation":
        return (operation,) if operation in _TRANSACTIONS else ()
    if key == "dynamodb:fulltablescan":
        return _full_scan(touch, find_table)
    if key == "aws:tagkeys":
        return tuple(name for name, _ in touch.tags)
    if key.startswith(_REQUEST_TAG):
        return tag_values(touch.tags, key.removeprefix(_REQUEST_TAG))
    if key.startswith(_RESOURCE_TAG):
        table = find_table()
        return () if table is None else tag_values(table.tags, key.removeprefix(_RESOURCE_TAG))
    return ()


def _partition_values(touch: Touch, part: int, find_table: FindTable) -> Values:
    if touch.key is None and touch.where is None:
        return ()
    keys = _keys(touch, find_table)
    if keys is None:
        return _texts((touch.key or {}).values())
    if part >= len(keys.partition):
        return ()
    if touch.where is not None and part == 0:
        try:
            return _texts(touch.where.partition_values(keys) or ())
        except (DynamoDBError, KeyMismatch):
            return _texts((touch.key or {}).values())  # The statement will be refused for this.
    value = (touch.key or {}).get(keys.partition[part].name)
    return () if value is None else _texts((value,))


def _full_scan(touch: Touch, find_table: FindTable) -> Values:
    """Whether a SELECT reads the whole table or index; True when that cannot be known."""
    if touch.action != "dynamodb:PartiQLSelect":
        return ()
    keys = _keys(touch, find_table) if touch.where is not None else None
    if touch.where is None or keys is None:
        return ("true",)
    try:
        return ("true",) if touch.where.partition_values(keys) is None else ("false",)
    except (DynamoDBError, KeyMismatch):
        return ("true",)


def _keys(touch: Touch, find_table: FindTable) -> KeySchema | None:
    """The keys of the table or index; None when there is no such thing."""
    table = find_table()
    if table is None:
        return None
    if touch.index is None:
        return table.keys
    index = table.index(touch.index)
    return None if index is None else index.keys


def _texts(values: Iterable[AttributeValue]) -> Values:
    """Strings, numbers and binary values (in base64) as texts; each once."""
    return tuple(dict.fromkeys(text for value in values if (text := _text(value)) is not None))


def _text(value: Mapping[str, object]) -> str | None:
    for type_ in ("S", "N", "B"):
        found = value.get(type_)
        if isinstance(found, str):
            return found
    return None
