"""What can be wrong with a statement, with DynamoDB's messages.

What the parser cannot read gets the envelope "Statement wasn't well formed, can't be processed: " and, except for
what has no tokens, a detail from the PartiQL parser. What can be parsed but not executed has messages of its
own, often with a position, line:column:length from 1. None of it mentions a parameter, unlike an expression.
Sources: paritysuite/dynamodb-conformance, tests/tier3/error-messages/partiqlGrammar.test.ts and
partiqlFunctions.test.ts, recorded in October 2026; partiql/partiql-lang-kotlin for details not recorded there.
"""

from __future__ import annotations

from typing import NamedTuple

from blotter.database.expressions.problems import Problem
from blotter.database.model.errors import DynamoDBError, validation_error

__all__ = ["Position", "Problem"]


class Position(NamedTuple):
    """Where a token stands, as messages show it."""

    line: int
    column: int
    length: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}:{self.length}"


def not_well_formed(detail: str = "") -> Problem:
    return Problem(f"Statement wasn't well formed, can't be processed: {detail}")


def unsupported_operation(name: str) -> Problem:
    return Problem(f"Unsupported operation: {name}")


def unsupported_clause(clause: str, position: Position) -> Problem:
    return Problem(f"Unsupported clause: {clause} at {position}")


def unexpected_path_component(position: Position) -> Problem:
    return Problem(f"Unexpected path component at {position}")


def index_out_of_range(index: int, position: Position) -> Problem:
    return Problem(f"List index is not within the allowable range; index: [{index}] at {position}")


def unrecognized_function(name: str, position: Position) -> Problem:
    return Problem(f"Unrecognized function: {name.lower()} at {position}")


def unsupported_value(name: str, path: str, position: Position) -> Problem:
    return Problem(f"Unsupported data type: {name} under key {path} at {position}")


def aliasing() -> Problem:
    return Problem("Aliasing is not supported")


def parameters_missing() -> DynamoDBError:
    return validation_error("Number of parameters in request and statement don't match.")


class KeyMismatch(DynamoDBError):
    """A WHERE clause that does not fit the table's key, which a transaction reports with another message."""

    __slots__ = ()

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


def key_not_given() -> DynamoDBError:
    return KeyMismatch("Where clause does not contain a mandatory equality on all key attributes")


def multiple_conditions(attribute: str) -> DynamoDBError:
    return KeyMismatch(
        f"Multiple conditions on same key {attribute}. Only single item Update/Insert/Delete are supported"
    )


def too_many_reads() -> DynamoDBError:
    return validation_error("Too many decomposed read operations for a given query.")


def select_needs_key(operation: str) -> DynamoDBError:
    return validation_error(
        f"Select statements within {operation} must specify the primary key in the where clause."
    )


def exists_out_of_place() -> DynamoDBError:
    return validation_error("EXISTS can only be used in ExecuteTransaction write requests.")


def exists_needs_condition() -> DynamoDBError:
    return validation_error("EXISTS() must contain a single item read with additional condition")


def key_type(attribute: str) -> DynamoDBError:
    return KeyMismatch(f"Key attribute's data type should match its data type in table's schema: Key {attribute}")


def overlapping_ranges() -> DynamoDBError:
    return validation_error("Overlapping conditions with range keys are not supported in where clause")


def multiple_key_attributes() -> DynamoDBError:
    return validation_error(
        "PartiQL statements cannot be executed on tables with multi-attribute HASH keys "
        "or multi-attribute RANGE keys."
    )


def empty_path_component() -> Problem:
    return Problem("Path component cannot be an empty string")
