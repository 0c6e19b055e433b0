"""What can be wrong with an expression, with DynamoDB's messages.

The parsers and checks raise `Problem` and do not know in which parameter the text stood; `attributes` puts
"Invalid FilterExpression: " before it. Problems that only an item reveals are made here too, but they carry no
such prefix and are raised as DynamoDBError. Every message is as recorded from the service: the conformance suites
nubo-db/dynamodb-conformance and paritysuite/dynamodb-conformance, dynalite's tests, ScyllaDB Alternator's tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.values import AttributeValue

ResolvedPath: TypeAlias = tuple[str | int, ...]
"""A document path whose placeholders are replaced: attribute names and list indexes."""


class Problem(Exception):
    """Something wrong with an expression as written; its text lacks the name of the parameter. `older` is the text
    in AWS's older validation layer, where that is another."""

    def __init__(self, text: str, older: str | None = None) -> None:
        super().__init__(text)
        self.older = older


def too_long(size: int, *, update: bool) -> Problem:
    """An expression over 4 KB, of `size` bytes. In a transaction (the older layer) an update's has no number:
    paritysuite/dynamodb-conformance, tests/tier3/validation-ordering/deepRequests.test.ts, October 2026."""
    message = "Expression size has exceeded the maximum allowed size;"
    return Problem(f"{message} expression size: {size}", older=message if update else None)


def syntax(token: str, near: str) -> Problem:
    return Problem(f'Syntax error; token: "{token}", near: "{near}"')


def redundant_parentheses() -> Problem:
    return Problem("The expression has redundant parentheses;")


def reserved_word(name: str) -> Problem:
    return Problem(f"Attribute name is a reserved keyword; reserved keyword: {name}")


def misused_function(function: str) -> Problem:
    return Problem(f"The function is not allowed to be used this way in an expression; function: {function}")


def undefined_name(placeholder: str) -> Problem:
    return Problem(
        f"An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
    )


def undefined_value(placeholder: str) -> Problem:
    return Problem(
        f"An expression attribute value used in expression is not defined; attribute value: {placeholder}"
    )


def operand_type(operator: str, type_: str) -> Problem:
    return Problem(
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {type_}"
    )


def operand_count(function: str, count: int) -> Problem:
    return Problem(
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


def needs_path(function: str) -> Problem:
    return Problem(f"Operator or function requires a document path; operator or function: {function}")


def not_distinct(operator: str, path: ResolvedPath) -> Problem:
    return Problem(
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {path_text(path)}"
    )


def overlapping_paths(one: ResolvedPath, two: ResolvedPath) -> Problem:
    return _two_paths("overlap", one, two)


def conflicting_paths(one: ResolvedPath, two: ResolvedPath) -> Problem:
    return _two_paths("conflict", one, two)


def _two_paths(relation: str, one: ResolvedPath, two: ResolvedPath) -> Problem:
    return Problem(
        f"Two document paths {relation} with each other; must remove or rewrite one of these paths; "
        f"path one: {path_text(one)}, path two: {path_text(two)}"
    )


def path_text(path: ResolvedPath) -> str:
    """A path as AWS writes it in messages: [a, [1], b]."""
    return f"[{', '.join(f'[{step}]' if isinstance(step, int) else step for step in path)}]"


def value_text(value: AttributeValue) -> str:
    """A scalar as AWS writes it in messages: AttributeValue: {S:a}."""
    ((type_, content),) = value.items()
    if type_ == "B":
        size = len(content) // 4 * 3 - content.count("=", -2)
        content = f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"
    return f"AttributeValue: {{{type_}:{content}}}"


def unused_placeholders(parameter: str, unused: Iterable[str]) -> DynamoDBError:
    return validation_error(f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(unused)}}}")


def missing_attribute() -> DynamoDBError:
    return validation_error("The provided expression refers to an attribute that does not exist in the item")


def wrong_operand_in_item() -> DynamoDBError:
    return validation_error("An operand in the update expression has an incorrect data type")


def invalid_update_path() -> DynamoDBError:
    return validation_error("The document path provided in the update expression is invalid for update")
