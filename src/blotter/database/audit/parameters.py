"""What is recorded of a request's parameters and of its response.

Members are spelled with a small first letter ("tableName", "sSESpecification"), moments as CloudTrail shows them.
Of items, only the attributes of the table's key are recorded with their values; of all others, the names. Values
of expressions are left out, expressions themselves are not: values are never in them. Statements lose their
literals (`statements`). Secrets are hidden.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/understanding-ddb-log-entries.html; where
its examples are not consistent (some have members with a capital), all are spelled alike here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from blotter.database.audit.statements import redacted_statement
from blotter.database.audit.times import shown

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"

_SECRETS = frozenset({"secretAccessKey", "sessionToken", "password", "newPassword", "oldPassword", "secret"})
_MOMENTS = ("DateTime", "Date", "Expiration", "Timestamp", "LastUsed")
_DEEPEST = 32

KeyNames = Callable[[str], tuple[str, ...]]
"""The names of the key's attributes of a table, by its name or ARN; empty when there is none."""


def elements(value: Any, depth: int = 0) -> Any:
    """Parameters or elements that hold no items: spelled and formatted as CloudTrail does."""
    if isinstance(value, Mapping):
        return {_spelled(name): _member(name, member, depth) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return None if depth > _DEEPEST else [elements(each, depth + 1) for each in value]
    if isinstance(value, datetime):
        return shown(value.timestamp())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def data_parameters(operation: str, body: Mapping[str, Any], key_names: KeyNames) -> Any:
    """The parameters of an operation on items. `body` is the request as it was decoded, whatever is in it."""
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return _rest(body, "RequestItems") | {"requestItems": _batch(body.get("RequestItems"), key_names)}
    if operation in ("TransactWriteItems", "TransactGetItems"):
        return _rest(body, "TransactItems", "ClientRequestToken") | {
            "requestItems": _actions(body.get("TransactItems"), key_names)
        }
    if operation in ("BatchExecuteStatement", "ExecuteTransaction"):
        name = "Statements" if operation == "BatchExecuteStatement" else "TransactStatements"
        return _rest(body, name, "ClientRequestToken") | {
            "requestItems": [_statement(each, key_names) for each in _list(body.get(name))]
        }
    if operation == "ExecuteStatement":
        return _statement(body, key_names)
    return _single(body, key_names)


def _single(request: Mapping[str, Any], key_names: KeyNames) -> dict[str, Any]:
    """One access to a table: its key, the names of what is written, expressions."""
    names = key_names(_text(request.get("TableName")))
    found: dict[str, Any] = {}
    for member, value in request.items():
        if member in ("Key", "ExclusiveStartKey"):
            found[_spelled(member)] = _key(value, names)
        elif member == "Item":
            found["key"] = _key(value, names)
            found["item"] = sorted(_mapping(value))
        elif member in _NAMES_ONLY:
            found[_spelled(member)] = sorted(_mapping(value))
        elif member in _KEPT:
            found[_spelled(member)] = elements(value)
    return found


# Members whose names are recorded and whose values hold values of attributes.
_NAMES_ONLY = ("AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter")
# Everything else that requests on items have and that holds no value of an attribute.
_KEPT = frozenset(
    {
        "AttributesToGet",
        "ConditionExpression",
        "ConditionalOperator",
        "ConsistentRead",
        "ExpressionAttributeNames",
        "FilterExpression",
        "IndexName",
        "KeyConditionExpression",
        "Limit",
        "ProjectionExpression",
        "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics",
        "ReturnValues",
        "ReturnValuesOnConditionCheckFailure",
        "ScanIndexForward",
        "Segment",
        "Select",
        "ShardIterator",
        "ShardIteratorType",
        "ShardId",
        "SequenceNumber",
        "StreamArn",
        "TableName",
        "TotalSegments",
        "UpdateExpression",
    }
)


def _batch(tables: Any, key_names: KeyNames) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table, requests in _mapping(tables).items():
        names = key_names(_text(table))
        if isinstance(requests, Mapping):
            keys = [_key(key, names) for key in _list(requests.get("Keys"))]
            found[table] = _single({**requests, "TableName": ""}, lambda _: ()) | {"keys": keys}
            del found[table]["tableName"]
        else:
            found[table] = [_write(each, names) for each in _list(requests)]
    return found


def _write(request: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """One PutRequest or DeleteRequest of a batch."""
    found: dict[str, Any] = {}
    for kind, value in _mapping(request).items():
        if kind == "PutRequest":
            item = _mapping(value).get("Item")
            found["putRequest"] = {"key": _key(item, names), "items": sorted(_mapping(item))}
        elif kind == "DeleteRequest":
            found["deleteRequest"] = {"key": _key(_mapping(value).get("Key"), names)}
    return found


def _actions(actions: Any, key_names: KeyNames) -> list[dict[str, Any]]:
    found = []
    for entry in _list(actions):
        for kind, action in _mapping(entry).items():
            shown = {"operation": _text(kind)} | _single(_mapping(action), key_names)
            if "item" in shown:
                shown["items"] = shown.pop("item")
            found.append(shown)
    return found


def _statement(request: Any, key_names: KeyNames) -> dict[str, Any]:
    """One statement, without its parameters."""
    found = _mapping(request)
    return _rest(found, "Statement", "Parameters", "NextToken") | {
        "statement": redacted_statement(_text(found.get("Statement")), key_names)
    }


def _rest(request: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    return {_spelled(name): elements(request[name]) for name in request if name in _KEPT and name not in left_out}


def _key(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The key's attributes of a key or an item, without their types; binary as base64, as it came."""
    found = {}
    for name, typed in _mapping(value).items():
        if name in names and isinstance(typed, Mapping) and len(typed) == 1:
            found[name] = next(iter(typed.values()))
    return found


def _member(name: Any, value: Any, depth: int) -> Any:
    spelled = _spelled(name)
    if spelled in _SECRETS:
        return HIDDEN
    if isinstance(value, (int, float)) and not isinstance(value, bool) and str(name).endswith(_MOMENTS):
        return shown(value)
    return None if depth > _DEEPEST else elements(value, depth + 1)


def _spelled(name: Any) -> str:
    text = str(name)
    return text[:1].lower() + text[1:]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
