"""Checks a deserialized input against the constraints of the service model, with AWS's messages in AWS's order.

All violations are reported together, ten at most: "N validation errors detected: Value '…' at '…' failed to
satisfy constraint: …". A bad table name is reported alone, unless another required member is missing; a missing
one has its own message where tables are managed. Paths begin with a lower-case letter and count list elements
from 1 ("keySchema.1.member.keyType"). Some operations have moved to a newer form, which keeps the published
case of members and leaves values out; `NEWER_FORM` and `NEWER_INPUTS` list them. The new validation layer
(`layers`) has messages and an order of its own for some members, unless a required one is missing. Source:
conformance suites nubo-db/dynamodb-conformance (tier3/error-messages, tier3/validation-ordering,
captures/2026-06-09-validation-rewording.json) and paritysuite/dynamodb-conformance (tier3/validation-ordering,
registry/splits.json), and dynalite's recorded tests for the order of members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import orjson

from blotter.database.model.errors import validation_error
from blotter.database.wire.layers import Layer, worded
from blotter.database.wire.service_model import Shape, shape

MAX_ERRORS = 10
MAX_SHOWN = 8192
"""Characters of an offending value in a message."""

_MAP_KEYS = "Map keys must satisfy constraint"

# (structure, member) whose violations are reported in the newer form.
NEWER_FORM = frozenset((("QueryInput", "Limit"), ("KeysAndAttributes", "Keys")))
# Inputs of which every member is.
NEWER_INPUTS = frozenset(("SearchVectorsInput",))

# Operations that check what they are about first, with their own message.
_CHECKED_FIRST = {
    f"{operation}Input": (member, message)
    for member, message, operations in (
        (
            "TableName",
            "The parameter 'TableName' is required but was not present in the request",
            (
                *("CreateTable", "DeleteTable", "DescribeTable", "UpdateTable"),
                *("DescribeTimeToLive", "DescribeContinuousBackups", "UpdateContinuousBackups"),
            ),
        ),
        ("ResourceArn", "Invalid TableArn", ("TagResource", "UntagResource", "ListTagsOfResource")),
    )
    for operation in operations
}

# (structure, member) whose offending value is shown as JSON, not as the service's own notation.
_SHOWN_AS_JSON = frozenset((("BatchGetItemInput", "RequestItems"),))


_ENUMERATION = "Failed to satisfy constraint: Member must satisfy enum value set: "

# The newer layer's message about a wrong member, instead of its name and value. The enumerations that it lists are
# not the allowed ones.
_NEWER_MESSAGES = {
    "returnValues": f"{_ENUMERATION}[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
    "returnItemCollectionMetrics": "ReturnItemCollectionMetrics can only be SIZE or NONE",
}
_CONDITIONAL_OPERATORS = ("AND", "OR")


class MemberPath(NamedTuple):
    """Where a value stands, in both forms."""

    older: str
    newer: str

    def member(self, name: str) -> MemberPath:
        lower = _lower(name)
        return MemberPath(
            f"{self.older}.{lower}" if self.older else lower, f"{self.newer}.{name}" if self.newer else name
        )

    def element(self, position: str) -> MemberPath:
        return MemberPath(f"{self.older}.{position}.member", f"{self.newer}.{position}.member")


class Violation(NamedTuple):
    path: MemberPath
    value: Any
    constraint: str
    shape: str = ""
    newer: bool = False

    def __str__(self) -> str:
        if self.newer:
            return f"Value at '{self.path.newer}' failed to satisfy constraint: {self.constraint}"
        shown = "null" if self.value is None else f"'{render(self.value, self.shape)}'"
        return f"Value {shown} at '{self.path.older}' failed to satisfy constraint: {self.constraint}"


def check_constraints(name: str, value: dict[str, Any], layer: Layer = Layer.OLDER) -> None:
    """Raises ValidationException when the deserialized input `name` violates the model; see the module."""
    first, message = _CHECKED_FIRST.get(name, ("", ""))
    if first and first not in value:
        raise validation_error(message)
    if any(member not in value for member in shape(name).required):
        layer = Layer.OLDER
    if layer is not Layer.OLDER:
        _check_alone(name, value, layer)
    _check_table_name(name, value)
    found = list(islice(_structure(name, value, MemberPath("", "")), MAX_ERRORS))
    if name == "BatchWriteItemInput":
        # Here the service looks at the names of tables only when all else is right.
        found = [violation for violation in found if not violation.constraint.startswith(_MAP_KEYS)] or found
    if name == "UpdateItemInput" and layer is Layer.NEWER:
        found = [violation for violation in found if violation.path.older == "returnValues"] or found
    if found:
        raise validation_error(_report(found, layer))


def _check_alone(name: str, value: dict[str, Any], layer: Layer) -> None:
    """What the new layer looks at first, and reports alone: an empty name of a table, which it finds before the
    pattern of names, and the operator that joins legacy conditions."""
    if layer is Layer.NEWER and value["TableName"] == "":
        empty = "Member must have length greater than or equal to 1"
        raise validation_error(_report([Violation(MemberPath("tableName", "TableName"), "", empty, newer=True)]))
    _check_table_name(name, value)
    if value.get("ConditionalOperator", "AND") not in _CONDITIONAL_OPERATORS:
        raise worded(validation_error(f"{_ENUMERATION}[ALL, OR]"), layer)


def _report(found: list[Violation], layer: Layer = Layer.OLDER) -> str:
    plural = "s" if len(found) > 1 else ""
    messages = _NEWER_MESSAGES if layer is Layer.NEWER else {}
    listed = [messages.get(violation.path.older) or str(violation) for violation in found]
    return f"{len(found)} validation error{plural} detected: {'; '.join(listed)}"


def _check_table_name(name: str, value: dict[str, Any]) -> None:
    expected = shape(name).members.get("TableName")
    table_name = value.get("TableName")
    if expected is None or table_name is None:
        return
    if any(member not in value for member in shape(name).required):
        return
    path, newer = MemberPath("tableName", "TableName"), name in NEWER_INPUTS
    problems = list(_table_name(shape(expected), table_name))
    if problems:
        # The newer form is only known to be sent with one.
        listed = problems[:1] if newer else problems
        raise validation_error(_report([Violation(path, table_name, problem, newer=newer) for problem in listed]))


def _structure(name: str, value: dict[str, Any], path: MemberPath) -> Iterator[Violation]:
    expected = shape(name)
    for member, member_shape in expected.members.items():
        content = value.get(member)
        where = path.member(member)
        newer = name in NEWER_INPUTS or (name, member) in NEWER_FORM
        if content is not None:
            as_json = (name, member) in _SHOWN_AS_JSON
            for violation in _value(member_shape, content, where):
                if violation.path == where:
                    yield violation._replace(newer=newer, shape="" if as_json else member_shape)
                else:
                    yield violation
        elif member in expected.required:
            yield Violation(where, None, "Member must not be null", newer=newer)


def _value(name: str, value: Any, path: MemberPath) -> Iterator[Violation]:
    if name == "AttributeValue":
        return
    expected = shape(name)
    if expected.type == "structure":
        yield from _structure(name, value, path)
        return
    if expected.type == "list":
        wrong = list(_sizes(expected, len(value), value, path))
        if wrong:  # The elements of a list of the wrong length are not looked at: there may be any number.
            yield from wrong
            return
        for position, element in enumerate(value, 1):
            yield from _value(expected.member, element, path.element(str(position)))
    elif expected.type == "map":
        wrong = list(_sizes(expected, len(value), value, path))
        if wrong:
            yield from wrong
            return
        yield from _map_keys(expected, value, path)
        yield from _map_values(expected, value, path)
        for key, element in value.items():
            yield from _value(expected.value, element, path.element(key))
    elif expected.type == "string":
        yield from (Violation(path, value, constraint) for constraint in _string(expected, value))
    elif expected.type in ("integer", "long", "double"):
        yield from _range(expected, value, path)


def _string(expected: Shape, value: str) -> Iterator[str]:
    if expected.enum:
        if value not in expected.enum:
            yield f"Member must satisfy enum value set: [{', '.join(expected.enum)}]"
        return
    if expected.arn:
        yield from _table_name(expected, value)
        return
    if expected.pattern is not None and not _matches(expected.pattern, value):
        yield _pattern_message(expected.pattern)
    yield from _lengths(expected, len(value))


def _table_name(expected: Shape, value: str) -> Iterator[str]:
    """Length first and then the pattern, to which an ARN is not held."""
    if expected.arn and value.startswith("arn:"):
        return
    if not value and expected.min_of_empty is not None:
        yield f"Member must have length greater than or equal to {expected.min_of_empty}"
        return
    yield from _lengths(expected, len(value))
    if expected.pattern is not None and not _matches(expected.pattern, value):
        yield _pattern_message(expected.pattern)


def _sizes(expected: Shape, length: int, value: Any, path: MemberPath) -> Iterator[Violation]:
    yield from (Violation(path, value, constraint) for constraint in _lengths(expected, length))


def _lengths(expected: Shape, length: int) -> Iterator[str]:
    if expected.min is not None and length < expected.min:
        yield f"Member must have length greater than or equal to {expected.min}"
    if expected.max is not None and length > expected.max:
        yield f"Member must have length less than or equal to {expected.max}"


def _range(expected: Shape, value: float, path: MemberPath) -> Iterator[Violation]:
    if expected.min is not None and value < expected.min:
        yield Violation(path, value, f"Member must have value greater than or equal to {expected.min}")
    if expected.max is not None and value > expected.max:
        yield Violation(path, value, f"Member must have value less than or equal to {expected.max}")


def _map_keys(expected: Shape, value: dict[str, Any], path: MemberPath) -> Iterator[Violation]:
    """Keys are checked together: one bad key makes the map bad, and all constraints on keys are listed."""
    keys = shape(expected.key)
    if keys.type != "string" or all(next(_string(keys, key), None) is None for key in value):
        return
    listed = [f"Member must have length less than or equal to {keys.max}"] if keys.max is not None else []
    if keys.min is not None:
        listed.append(f"Member must have length greater than or equal to {keys.min}")
    if keys.pattern is not None:
        listed.append(_pattern_message(keys.pattern))
    yield Violation(path, value, f"{_MAP_KEYS}: [{', '.join(listed)}]")


def _map_values(expected: Shape, value: dict[str, Any], path: MemberPath) -> Iterator[Violation]:
    bounds = expected.values
    if bounds is None or all(bounds.min <= len(element) <= bounds.max for element in value.values()):
        return
    listed = (
        f"Member must have length less than or equal to {bounds.max}, "
        f"Member must have length greater than or equal to {bounds.min}"
    )
    yield Violation(path, value, f"Map value must satisfy constraint: [{listed}]")


def _pattern_message(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Java's names for what Python writes otherwise.
    return re.compile(pattern.replace("\\p{Print}", "[\\x20-\\x7e]"), re.ASCII)


def _matches(pattern: str, value: str) -> bool:
    try:
        return _compiled(pattern).fullmatch(value) is not None
    except re.error:
        return True


_CLOSING = {"[": "]", "{": "}", "(": ")"}


def render(value: Any, name: str = "") -> str:
    """A value as the service shows it in a message: text as it is, lists in brackets, maps as {key=value}, and
    structures as Shape(member=value). Without a shape's name, documents are shown as JSON. No more than
    `MAX_SHOWN` characters are made of it, however large it is."""
    parts: list[str] = []
    left = MAX_SHOWN
    for part in _rendered(value, name):
        parts.append(part)
        left -= len(part)
        if left < 0:
            # Its end is kept, so that a list still looks like one.
            closing = "" if isinstance(value, str) else _CLOSING.get(parts[0][-1], "")
            return f"{''.join(parts)[:MAX_SHOWN]}...{closing}"
    return "".join(parts)


def _rendered(value: Any, name: str) -> Iterator[str]:
    """The parts of `render`, from left to right."""
    if isinstance(value, str):
        yield value[: MAX_SHOWN + 1]
        return
    if not isinstance(value, list | dict):
        yield str(value)
        return
    expected = shape(name) if name else None
    if isinstance(value, list):
        yield "["
        for position, element in enumerate(value):
            yield ", " if position else ""
            yield from _rendered(element, expected.member if expected else "")
        yield "]"
    elif expected is None or name == "AttributeValue":
        yield orjson.dumps(value)[: 4 * MAX_SHOWN + 4].decode(errors="ignore")
    elif expected.type == "map":
        yield "{"
        for position, (key, element) in enumerate(value.items()):
            yield f"{', ' if position else ''}{key[:MAX_SHOWN]}="
            yield from _rendered(element, expected.value)
        yield "}"
    else:
        yield f"{name}("
        for position, (member, of) in enumerate(expected.members.items()):
            yield f"{', ' if position else ''}{_lower(member)}="
            if member in value:
                yield from _rendered(value[member], of)
            else:
                yield "null"
        yield ")"


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
