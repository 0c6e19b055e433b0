"""Checks of parameters that many operations share: expressions and the parameters beside them.

An operation takes either expressions or the legacy parameters, never both; names and values for expressions
only with an expression that can use them, never empty, each under a well-formed key. What stands inside an
expression is the parser's business, which comes after these checks.
Messages and order: conformance suite nubo-db/dynamodb-conformance (tier3/error-messages) and dynalite's recorded
tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.model.values import AttributeValue
from blotter.database.validation.attribute_values import check_attribute_names, validate_value

_PLACEHOLDER = {
    "ExpressionAttributeNames": re.compile("#[0-9a-zA-Z_]+", re.ASCII),
    "ExpressionAttributeValues": re.compile(":[0-9a-zA-Z_]+", re.ASCII),
}


class Parameters:
    """The expression parameters and the legacy parameters of an operation, in the order in which AWS lists them;
    `with_values` are the expressions that can use ExpressionAttributeValues."""

    __slots__ = ("expressions", "legacy", "nothing", "read", "right", "with_values")

    def __init__(
        self, expressions: tuple[str, ...], legacy: tuple[str, ...], with_values: tuple[str, ...] = ()
    ) -> None:
        self.expressions = expressions
        self.legacy = legacy
        self.with_values = with_values
        names = (*expressions, *legacy, "ExpressionAttributeNames")
        if with_values:
            names = (*names, "ExpressionAttributeValues")
        self.read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
        """Everything that `check_parameters` looks at, in one go; `nothing` when nothing was given."""
        self.nothing = (None,) * len(names)
        self.right: set[tuple[bool, ...]] = set()
        """Which of them were found right to be given together: a few of all combinations."""


PROJECTION = Parameters(("ProjectionExpression",), ("AttributesToGet",))


def check_parameters(request: Any, parameters: Parameters) -> None:
    """Raises ValidationException when expressions and legacy parameters are mixed, or when names or values stand
    without an expression."""
    values = parameters.read(request)
    if values == parameters.nothing:
        return
    combination = tuple([value is not None for value in values])
    if combination not in parameters.right:
        _check_combination(request, parameters)
        parameters.right.add(combination)


def _check_combination(request: Any, parameters: Parameters) -> None:
    given = [name for name in parameters.expressions if getattr(request, name) is not None]
    if given:
        legacy = [name for name in parameters.legacy if getattr(request, name) is not None]
        # A filter expression may stand beside KeyConditions, as long as the key has no expression.
        if "KeyConditions" in legacy and "KeyConditionExpression" not in given:
            legacy.remove("KeyConditions")
        if legacy:
            raise mixed_parameters_error(legacy, given)
    elif request.ExpressionAttributeNames is not None:
        raise validation_error("ExpressionAttributeNames can only be specified when using expressions")
    if not parameters.with_values or request.ExpressionAttributeValues is None:
        return
    if not any(name in parameters.with_values for name in given):
        are = "is" if len(parameters.with_values) == 1 else "are"
        message = "ExpressionAttributeValues can only be specified when using expressions"
        raise validation_error(f"{message}: {' and '.join(parameters.with_values)} {are} null", current=message)


def mixed_parameters_error(legacy: Sequence[str], expressions: Sequence[str]) -> DynamoDBError:
    return validation_error(
        "Can not use both expression and non-expression parameters in the same request: "
        f"Non-expression parameters: {{{', '.join(legacy)}}} Expression parameters: {{{', '.join(expressions)}}}"
    )


def check_names_and_values(
    names: dict[str, str] | None, values: dict[str, AttributeValue] | None, depth: int = 1
) -> None:
    """Checks ExpressionAttributeNames and ExpressionAttributeValues, and validates the values in place; `depth` as
    for `validate_value`."""
    if names is not None:
        _check_placeholders("ExpressionAttributeNames", names)
        for key, name in names.items():
            try:
                check_attribute_names((name,))
            except DynamoDBError as error:
                raise validation_error(
                    f"ExpressionAttributeNames contains invalid value: {error.message} for key {key}"
                ) from None
    if values is not None:
        _check_placeholders("ExpressionAttributeValues", values)
        for key, value in values.items():
            try:
                validate_value(value, depth)
            except DynamoDBError as error:
                if error.code != "ValidationException":
                    raise
                raise _invalid_value(key, error) from None


def _invalid_value(key: str, error: DynamoDBError) -> DynamoDBError:
    """The older layer says which value is wrong, the new one does not."""
    return validation_error(
        f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}",
        current=error.message if error.current is None else error.current,
    )


def check_attributes_to_get(names: Sequence[str] | None) -> None:
    """Raises ValidationException when AttributesToGet holds what is no attribute's name, or a name twice."""
    if names is None:
        return
    check_attribute_names(names)
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise parameter_error(f"Duplicate value in attribute name: {name}")
        seen.add(name)


def _check_placeholders(parameter: str, entries: dict[str, Any]) -> None:
    if not entries:
        raise validation_error(f"{parameter} must not be empty")
    matches = _PLACEHOLDER[parameter].fullmatch
    for key in entries:
        if matches(key) is None:
            raise validation_error(f'{parameter} contains invalid key: Syntax error; key: "{key}"')
