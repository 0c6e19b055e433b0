"""The limit on substitution variables: ExpressionAttributeNames and ExpressionAttributeValues of one expression
parameter together are at most 2 MB.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html ("The maximum length of
all substitution variables in an expression is 2 MB"). AWS's message is not publicly recorded. Only bodies that
are larger than the limit can break it, so nothing is added up for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from blotter.database.model.errors import validation_error

MAX_BYTES = 2 * 1024 * 1024


def check_substitution_variables(request: msgspec.Struct) -> None:
    """Raises ValidationException when the variables beside any expression of a decoded request are too long."""
    for variables in _variables(request):
        if _length(variables) > MAX_BYTES:
            raise validation_error(
                "The total size of ExpressionAttributeNames and ExpressionAttributeValues has exceeded the "
                f"maximum allowed size of {MAX_BYTES} bytes"
            )


def _variables(part: Any) -> Iterator[list[Any]]:
    """Names and values of a structure and of those in it, in transactions and batches; not what items hold."""
    if isinstance(part, msgspec.Struct):
        names = getattr(part, "ExpressionAttributeNames", None)
        values = getattr(part, "ExpressionAttributeValues", None)
        if names or values:
            yield [names, values]
        for member in ("TransactItems", "RequestItems", "Put", "Update", "Delete", "ConditionCheck", "Get"):
            yield from _variables(getattr(part, member, None))
    elif isinstance(part, list):
        for element in part:
            yield from _variables(element)
    elif isinstance(part, dict):
        for element in part.values():
            yield from _variables(element)


def _length(variables: list[Any]) -> int:
    """Bytes of all text in names and values. No recursion: their nesting is not checked yet."""
    total = 0
    left = variables
    while left:
        part = left.pop()
        if isinstance(part, str):
            total += len(part) if part.isascii() else len(part.encode(errors="surrogatepass"))
        elif isinstance(part, dict):
            left.extend(part.keys())
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return total
