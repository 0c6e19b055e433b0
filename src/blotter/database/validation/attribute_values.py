"""Validates attribute values: after that a value is well-formed, canonical and measured, and is not checked again.

One fast pass validates and measures an item and makes its numbers canonical, in place, in the dicts the decoder
just made. It only notices that something is wrong; which of several faults AWS names, and with which message, is
found by `_explain`, which reads the value again in AWS's order: undecodable base64, attribute names, nesting,
then the values themselves, depth first. So an item that is right pays nothing for the exactness of errors.
Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html and
.../ServiceQuotas.html; messages: conformance suite nubo-db/dynamodb-conformance (tier3/error-messages,
tier3/limits).
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from blotter.database.model.errors import (
    DynamoDBError,
    item_too_large,
    nesting_error,
    parameter_error,
    serialization_error,
    validation_error,
)
from blotter.database.model.numbers import canonical_number, number_size
from blotter.database.model.size import DOCUMENT_OVERHEAD, MAX_DEPTH, MAX_ITEM_SIZE, MEMBER_OVERHEAD
from blotter.database.model.values import TYPES, AttributeValue, Item, in_set_order
from blotter.database.wire.base64 import base64_problem
from blotter.database.work_thread import give_way

MAX_NAME_BYTES = 65535

_STRETCH = 4096
"""Members of an item, list, map or set that are validated without giving way to others: compiled code does not by
itself."""


class _Refused(Exception):
    """Something is wrong with a value; `_explain` finds what."""


def validate_item(item: Item) -> tuple[Item, int]:
    """The item with canonical numbers and sorted sets (the same object, modified in place) and its size in bytes.

    Raises SerializationException or ValidationException with AWS's message, in both wordings (`wire.layers`). The
    400 KB limit is `check_item_size`.
    """
    try:
        return item, _validate_members(item, 1)
    except (_Refused, DynamoDBError, KeyError, ValueError, AttributeError, TypeError):
        raise _explain(item) from None


def validate_value(value: AttributeValue, depth: int = 1) -> int:
    """Validates one attribute value, in place, and returns its size; raises like `validate_item`. `depth` is the
    level at which it stands, of the 32 that there may be."""
    try:
        return _validate(value, depth)
    except (_Refused, DynamoDBError, KeyError, ValueError, AttributeError, TypeError):
        raise _explain_value(value, depth) from None


def check_attribute_names(names: Iterable[str]) -> None:
    """Raises ValidationException for a name that no attribute can have; items are checked by `validate_item`."""
    for name in names:
        if not name or len(name) > MAX_NAME_BYTES // 4:  # otherwise its UTF-8 cannot be too long
            for problem in _name_problems((name,)):
                raise problem


def check_item_size(size: int, *, update: bool = False) -> None:
    """Raises ValidationException when an item of `size` bytes is over 400 KB; `update` for an update's message."""
    if size > MAX_ITEM_SIZE:
        raise item_too_large(update=update)


def _validate_members(members: Item, depth: int) -> int:
    """The size of names and values of an item or map."""
    if len(members) > _STRETCH:
        return _validate_many_members(members, depth)
    size = 0
    for name, value in members.items():
        # The two commonest types stand here, without a call.
        if len(value) == 1:
            if "S" in value:
                text = value["S"]
                size += len(text) if text.isascii() else len(text.encode())
            elif "N" in value:
                text = value["N"]
                number = canonical_number(text)
                if number is not text:
                    value["N"] = number
                size += number_size(number)
            else:
                size += _validate(value, depth)
        else:
            raise _Refused
        length = len(name) if name.isascii() else len(name.encode())
        if not 0 < length <= MAX_NAME_BYTES:
            raise _Refused
        size += length
    return size


def _validate_many_members(members: Item, depth: int) -> int:
    names = list(members)
    size = 0
    for start in range(0, len(names), _STRETCH):
        give_way()
        size += _validate_members({name: members[name] for name in names[start : start + _STRETCH]}, depth)
    return size


def _validate(value: AttributeValue, depth: int) -> int:
    ((type_, content),) = value.items()
    return _VALIDATORS[type_](value, content, depth)


def _string(value: AttributeValue, content: str, depth: int) -> int:  # noqa: ARG001
    return len(content) if content.isascii() else len(content.encode())


def _number(value: AttributeValue, content: str, depth: int) -> int:  # noqa: ARG001
    number = value["N"] = canonical_number(content)
    return number_size(number)


def _binary(value: AttributeValue, content: str, depth: int) -> int:  # noqa: ARG001
    return _binary_size(content)


def _binary_size(content: str) -> int:
    decoded = a2b_base64(content)
    # One comparison finds foreign characters, missing padding and bits that no byte uses.
    if b2a_base64(decoded, newline=False) != content.encode():
        raise _Refused
    return len(decoded)


def _boolean(value: AttributeValue, content: bool, depth: int) -> int:  # noqa: ARG001
    if content is True or content is False:
        return 1
    raise _Refused


def _null(value: AttributeValue, content: bool, depth: int) -> int:  # noqa: ARG001
    if content is True:
        return 1
    raise _Refused


def _map(value: AttributeValue, content: Item, depth: int) -> int:  # noqa: ARG001
    if depth >= MAX_DEPTH and content:
        raise _Refused
    give_way()  # There may be very many small ones.
    return DOCUMENT_OVERHEAD + MEMBER_OVERHEAD * len(content) + _validate_members(content, depth + 1)


def _list(value: AttributeValue, content: list[AttributeValue], depth: int) -> int:  # noqa: ARG001
    if depth >= MAX_DEPTH and content:
        raise _Refused
    give_way()
    size = DOCUMENT_OVERHEAD + MEMBER_OVERHEAD * len(content)
    if len(content) <= _STRETCH:
        for member in content:
            size += _validate(member, depth + 1)
        return size
    for stretch in _stretches(content):
        for member in stretch:
            size += _validate(member, depth + 1)
    return size


def _stretches(content: list[Any]) -> Iterator[list[Any]]:
    """The parts of a long list; gives way before each of them."""
    for start in range(0, len(content), _STRETCH):
        give_way()
        yield content[start : start + _STRETCH]


def _string_set(value: AttributeValue, content: list[str], depth: int) -> int:  # noqa: ARG001
    if not content or len(set(content)) != len(content):
        raise _Refused
    give_way()
    in_set_order("SS", content)
    give_way()
    return sum(len(text) if text.isascii() else len(text.encode()) for text in content)


def _number_set(value: AttributeValue, content: list[str], depth: int) -> int:  # noqa: ARG001
    numbers = value["NS"] = (
        [canonical_number(text) for text in content]
        if len(content) <= _STRETCH
        else [canonical_number(text) for stretch in _stretches(content) for text in stretch]
    )
    if not numbers or len(set(numbers)) != len(numbers):
        raise _Refused
    give_way()
    in_set_order("NS", numbers)
    give_way()
    return sum(map(number_size, numbers))


def _binary_set(value: AttributeValue, content: list[str], depth: int) -> int:  # noqa: ARG001
    if not content or len(set(content)) != len(content):
        raise _Refused
    size = sum(map(_binary_size, content))
    give_way()
    in_set_order("BS", content)
    return size


_VALIDATORS: dict[str, Callable[[AttributeValue, Any, int], int]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "M": _map,
    "L": _list,
    "SS": _string_set,
    "NS": _number_set,
    "BS": _binary_set,
}


# ---- AWS's messages -----------------------------------------------------------------------------------------


def _explain(item: Item) -> DynamoDBError:
    """The error AWS answers an item with that `validate_item` refused."""
    for problem in _item_problems(item):
        return problem
    raise AssertionError("an item was refused without a reason")


def _explain_value(value: AttributeValue, depth: int) -> DynamoDBError:
    for problem in (*_base64_problems(value), *_nesting_problems(value, depth), *_value_problems(value)):
        return problem
    raise AssertionError("a value was refused without a reason")


def _item_problems(item: Item) -> Iterator[DynamoDBError]:
    values = list(item.values())
    for value in values:
        yield from _base64_problems(value)
    yield from _name_problems(item)
    for value in values:
        yield from _nesting_problems(value, 1)
    for value in values:
        yield from _value_problems(value)


def _base64_problems(value: AttributeValue) -> Iterator[DynamoDBError]:
    """A body with such text never becomes a request, so this comes first."""
    for text in (*([value["B"]] if "B" in value else []), *value.get("BS", [])):
        problem = base64_problem(text)
        if problem is not None:
            yield serialization_error(problem)
    for member in (*value.get("L", []), *value.get("M", {}).values()):
        yield from _base64_problems(member)


def _name_problems(members: Iterable[str]) -> Iterator[DynamoDBError]:
    for name in members:
        if not name:
            yield validation_error("Empty attribute name")
        elif len(name.encode()) > MAX_NAME_BYTES:
            yield parameter_error(f"Attribute name is too large, must be less than {MAX_NAME_BYTES + 1} bytes")


def _nesting_problems(value: AttributeValue, depth: int) -> Iterator[DynamoDBError]:
    members = [*value.get("L", []), *value.get("M", {}).values()]
    if members and depth >= MAX_DEPTH:
        yield nesting_error()
        return
    for member in members:
        yield from _nesting_problems(member, depth + 1)


def _value_problems(value: AttributeValue) -> Iterator[DynamoDBError]:
    known = {type_: content for type_, content in value.items() if type_ in TYPES}
    if not known:
        yield validation_error(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
    for type_, content in known.items():
        yield from _PROBLEMS.get(type_, _no_problems)(content)
    if len(known) > 1:
        yield validation_error(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )


def _number_problems(text: str) -> Iterator[DynamoDBError]:
    try:
        canonical_number(text)
    except DynamoDBError as error:
        yield error


def _null_problems(content: bool) -> Iterator[DynamoDBError]:
    if content is not True:
        yield parameter_error("Null attribute value types must have the value of true")


def _string_set_problems(content: list[str]) -> Iterator[DynamoDBError]:
    if not content:
        yield parameter_error("An string set  may not be empty")
    if len(set(content)) != len(content):
        shown = ", ".join([f'"{text}"' for text in _until_repeat("SS", content)])
        yield parameter_error(
            f"Input collection [{', '.join(content)}] contains duplicates.",
            current=f"Input collection [{shown}] contains duplicates.",
        )


def _number_set_problems(content: list[str]) -> Iterator[DynamoDBError]:
    if not content:
        yield parameter_error("An number set  may not be empty")
    for text in content:
        yield from _number_problems(text)
    if len({canonical_number(text) for text in content}) != len(content):
        yield validation_error(
            "Input collection contains duplicates",
            current="One or more parameter values were invalid: Input collection contains duplicates.",
        )


def _binary_set_problems(content: list[str]) -> Iterator[DynamoDBError]:
    if not content:
        yield parameter_error("Binary sets should not be empty")
    if len(set(content)) != len(content):
        shown = ",".join([f'"{text}"' for text in _until_repeat("BS", content)])
        yield parameter_error(
            f"Input collection [{', '.join(content)}]of type BS contains duplicates.",
            current=f"Input collection [{shown}]of type BS contains duplicates.",
        )


def _until_repeat(type_: str, members: list[str]) -> list[str]:
    """The members of a set with duplicates as the new layer lists them: sorted up to the first repeat, then as
    sent."""
    seen: set[str] = set()
    for number, member in enumerate(members):
        if member in seen:
            return in_set_order(type_, members[:number]) + members[number:]
        seen.add(member)
    raise AssertionError("a set without duplicates")


def _map_problems(content: Item) -> Iterator[DynamoDBError]:
    yield from _name_problems(content)
    for member in content.values():
        yield from _value_problems(member)


def _list_problems(content: list[AttributeValue]) -> Iterator[DynamoDBError]:
    for member in content:
        yield from _value_problems(member)


def _no_problems(content: Any) -> Iterator[DynamoDBError]:  # noqa: ARG001
    return iter(())


_PROBLEMS: dict[str, Callable[[Any], Iterator[DynamoDBError]]] = {
    "N": _number_problems,
    "NULL": _null_problems,
    "SS": _string_set_problems,
    "NS": _number_set_problems,
    "BS": _binary_set_problems,
    "M": _map_problems,
    "L": _list_problems,
}
