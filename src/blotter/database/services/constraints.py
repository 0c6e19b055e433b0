"""The constraints of a service's model, checked on the input of an operation; violations as AWS words them.

    1 validation error detected: Value at 'tags.1.member.key' failed to satisfy constraint: Member must have length
    less than or equal to 128

IAM leaves the values out, STS shows them, and IAM words some violations otherwise (`Wording.own`). What a list's
plain elements violate is reported once, with all that they have to satisfy. Source: answers of AWS as recorded in
LocalStack's tests (tests/aws/services/iam/*.snapshot.json, 2026-02; tests/aws/services/sts, 2025-07).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from blotter.database.services.errors import ServiceError, shortened
from blotter.database.services.model import Model, Shape

# \p{Z} of Java's patterns, inside a class.
_SEPARATORS = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

_ENUMERATION = "Member must satisfy enum value set"


def _no_own_words(shape: str, name: str) -> str | None:  # noqa: ARG001
    return None


class Wording(msgspec.Struct, frozen=True):
    """How a service words violations. `own(shape, member)` is its message for a value that does not match the
    pattern of a shape, if it has one of its own; `code` is that of the error."""

    shows_values: bool = True
    own: Callable[[str, str], str | None] = _no_own_words
    lists_enumerations: bool = False
    code: str = "ValidationError"


def check_constraints(model: Model, operation: str, arguments: Mapping[str, Any], wording: Wording) -> None:
    """Raises the error with everything that violates the model."""
    shape = model.operations[operation].input
    found = list(_of_structure(model, model.shapes[shape], arguments, "", wording)) if shape else []
    if not found:
        return
    if len(found) == 1 and not found[0].startswith("Value "):
        raise ServiceError(wording.code, found[0])
    count = "1 validation error" if len(found) == 1 else f"{len(found)} validation errors"
    raise ServiceError(wording.code, f"{count} detected: {'; '.join(found)}")


def _of_structure(
    model: Model, shape: Shape, value: Mapping[str, Any], prefix: str, wording: Wording
) -> Iterator[str]:
    for name, of in shape.members.items():
        path = f"{prefix}{name[:1].lower()}{name[1:]}"
        if name in value:
            yield from _of_value(model, of, value[name], path, wording)
        elif name in shape.required:
            shown = "Value null" if wording.shows_values else "Value"
            yield f"{shown} at '{path}' failed to satisfy constraint: Member must not be null"


def _of_value(model: Model, name: str, value: Any, path: str, wording: Wording) -> Iterator[str]:
    shape = model.shapes[name]
    if shape.type == "structure":
        yield from _of_structure(model, shape, value, f"{path}.", wording)
        return
    shown = f"Value '{_text(value)}'" if wording.shows_values or shape.type == "integer" else "Value"
    for violated, is_pattern in _violated(shape, value):
        own = wording.own(name, path) if is_pattern else None
        if wording.lists_enumerations and violated == _ENUMERATION:
            violated = f"{violated}: [{', '.join(shape.enum)}]"
        yield own or f"{shown} at '{path}' failed to satisfy constraint: {violated}"
    if shape.type == "list":
        yield from _of_elements(model, shape, value, path, wording)


def _of_elements(model: Model, shape: Shape, elements: list[Any], path: str, wording: Wording) -> Iterator[str]:
    element = model.shapes[shape.member]
    if element.type in ("structure", "list"):
        for number, value in enumerate(elements, 1):
            yield from _of_value(model, shape.member, value, f"{path}.{number}.member", wording)
    elif any(True for value in elements for _ in _violated(element, value)):
        shown = f"Value '{_text(elements)}'" if wording.shows_values else "Value"
        demands = ", ".join([*(text for text, _ in _demands(element)), "Member must not be null"])
        yield f"{shown} at '{path}' failed to satisfy constraint: Member must satisfy constraint: [{demands}]"


def _violated(shape: Shape, value: Any) -> Iterator[tuple[str, bool]]:
    """What a value violates of its own shape, and whether that is a pattern."""
    for text, satisfied in _demands(shape):
        if not satisfied(value):
            yield text, "pattern" in text


def _demands(shape: Shape) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    """The constraints of a shape, in the order in which AWS lists them, each with its check."""
    low, high = shape.min, shape.max
    if shape.type in ("string", "list"):
        if high is not None:
            yield f"Member must have length less than or equal to {high}", lambda value: len(value) <= high
        if low:
            yield f"Member must have length greater than or equal to {low}", lambda value: len(value) >= low
    elif shape.type in ("integer", "long"):
        if high is not None:
            yield f"Member must have value less than or equal to {high}", lambda value: value <= high
        if low is not None:
            yield f"Member must have value greater than or equal to {low}", lambda value: value >= low
    if shape.pattern:
        matches = _compiled(shape.pattern).fullmatch
        yield (
            f"Member must satisfy regular expression pattern: {shape.pattern}",
            lambda value: bool(matches(value)),
        )
    if shape.enum:
        yield _ENUMERATION, lambda value: value in shape.enum


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """One of the model's patterns, which are Java's."""
    translated = pattern.replace(r"\p{L}\p{Z}\p{N}", rf"\w{_SEPARATORS}")
    if translated != pattern:
        return re.compile(translated)
    # Ranges above the first 65,536 characters are written with five digits, or as pairs of surrogates.
    for java in (r"\u10000-\u10FFFF", r"\uD800\uDC00-\uDBFF\uDFFF"):
        pattern = pattern.replace(java, "\U00010000-\U0010ffff")
    return re.compile(pattern.replace(r"\p{Print}", r"[\x20-\x7e]"), re.ASCII)


def _text(value: Any) -> str:
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else shortened(str(value))
