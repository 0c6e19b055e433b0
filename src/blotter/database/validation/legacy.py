"""Checks the parameters that expressions replaced: Expected, AttributeUpdates, KeyConditions, filters.

Each condition has a comparison operator that fixes how many values it takes and of which types; Expected may
instead state just that an attribute exists or not. Every value in them is validated, in place.
Messages and order: dynalite's recorded tests, conformance suite nubo-db/dynamodb-conformance (tier3/legacy-api);
rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import NamedTuple

from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.model.values import AttributeValue, compare_values, type_of
from blotter.database.validation.attribute_values import check_attribute_names, validate_value
from blotter.database.wire.requests import AttributeValueUpdate, Condition, ExpectedAttributeValue


class _Operator(NamedTuple):
    """How many values an operator takes and of which types; `most` None is any number, `types` empty any type."""

    least: int
    most: int | None
    types: tuple[str, ...] = ()


_EQUALITY_TYPES = ("S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M")
_ORDERED = ("S", "N", "B")
_OPERATORS = {
    "EQ": _Operator(1, 1, _EQUALITY_TYPES),
    "NE": _Operator(1, 1, _EQUALITY_TYPES),
    "LE": _Operator(1, 1, _ORDERED),
    "LT": _Operator(1, 1, _ORDERED),
    "GE": _Operator(1, 1, _ORDERED),
    "GT": _Operator(1, 1, _ORDERED),
    "NOT_NULL": _Operator(0, 0),
    "NULL": _Operator(0, 0),
    "CONTAINS": _Operator(1, 1, (*_ORDERED, "BOOL", "NULL")),
    "NOT_CONTAINS": _Operator(1, 1, (*_ORDERED, "BOOL", "NULL")),
    "BEGINS_WITH": _Operator(1, 1, ("S", "B")),
    "IN": _Operator(1, None, _ORDERED),
    "BETWEEN": _Operator(2, 2, _ORDERED),
}

# What an update may do with a value, by action.
_UPDATE_TYPES = {"DELETE": ("SS", "NS", "BS"), "ADD": ("N", "SS", "NS", "BS", "L")}


MAX_ENTRIES = 4096
"""Entries of a legacy parameter, and values of one of its conditions. AWS documents no limit of its own; without
one, a request could keep a worker busy for seconds. Expressions end at 300 operators."""


def check_count(name: str, entries: Sized | None) -> None:
    """Raises ValidationException for a legacy parameter with too many entries, before any of them is looked at."""
    if entries is not None and len(entries) > MAX_ENTRIES:
        raise parameter_error(f"{name} must not have more than {MAX_ENTRIES} entries")


def check_expected(expected: Mapping[str, ExpectedAttributeValue] | None) -> None:
    """Raises ValidationException for the first Expected entry that makes no condition."""
    check_count("Expected", expected)
    check_attribute_names(expected or ())
    for name, condition in (expected or {}).items():
        if condition.AttributeValueList is not None and condition.Value is not None:
            raise parameter_error(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
        if condition.ComparisonOperator is not None:
            _check_expected_comparison(name, condition, condition.ComparisonOperator)
        elif condition.AttributeValueList is not None:
            raise parameter_error(
                f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
            )
        else:
            _check_expected_existence(name, condition)


def check_conditions(conditions: Mapping[str, Condition] | None) -> None:
    """Raises ValidationException for the first malformed condition of KeyConditions, QueryFilter or ScanFilter."""
    check_count("A condition parameter", conditions)
    check_attribute_names(conditions or ())
    for condition in (conditions or {}).values():
        check_comparison(condition.ComparisonOperator, condition.AttributeValueList or [])


def check_comparison(operator: str, values: list[AttributeValue]) -> None:
    """Validates the values and raises ValidationException when they do not suit the operator."""
    check_count("AttributeValueList", values)
    for value in values:
        validate_value(value)
    rule = _OPERATORS[operator]
    if len(values) < rule.least or (rule.most is not None and len(values) > rule.most):
        raise parameter_error(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    types = [type_of(value) for value in values]
    if len(set(types)) > 1:
        raise parameter_error("AttributeValues inside AttributeValueList must be of same type")
    for type_ in types:
        if rule.types and type_ not in rule.types:
            raise parameter_error(f"ComparisonOperator {operator} is not valid for {type_} AttributeValue type")
    if operator == "BETWEEN" and compare_values(values[0], values[1]) == 1:
        raise validation_error(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )


def check_conditional_operator(
    operator: str | None, conditions: Mapping[str, object] | None, *, expression: bool = False
) -> None:
    """Raises ValidationException for a ConditionalOperator with fewer than two conditions to join."""
    if operator is None or expression:
        return
    if not conditions:
        raise validation_error("ConditionalOperator cannot be used without Filter or Expected")
    if len(conditions) < 2:
        raise validation_error(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        )


def check_attribute_updates(updates: Mapping[str, AttributeValueUpdate] | None) -> None:
    """Raises ValidationException for the first update whose action does not suit its value."""
    check_count("AttributeUpdates", updates)
    check_attribute_names(updates or ())
    for update in (updates or {}).values():
        if update.Value is None:
            if update.Action != "DELETE":
                raise parameter_error("Only DELETE action is allowed when no attribute value is specified")
            continue
        validate_value(update.Value)
        allowed = _UPDATE_TYPES.get(update.Action or "PUT")
        type_ = type_of(update.Value)
        if allowed is not None and type_ not in allowed:
            with_value = " with value" if update.Action == "DELETE" else ""
            raise parameter_error(f"{update.Action} action{with_value} is not supported for the type {type_}")


def _check_expected_comparison(name: str, condition: ExpectedAttributeValue, operator: str) -> None:
    if condition.Exists is not None:
        raise parameter_error(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
    values = condition.AttributeValueList
    if values is None:
        values = [condition.Value] if condition.Value is not None else []
        if not values and operator not in ("NULL", "NOT_NULL"):
            raise parameter_error(
                f"Value or AttributeValueList must be used with ComparisonOperator: {operator} "
                f"for Attribute: {name}"
            )
    check_comparison(operator, values)


def _check_expected_existence(name: str, condition: ExpectedAttributeValue) -> None:
    if condition.Exists is False:
        if condition.Value is not None:
            raise parameter_error(f"Value cannot be used when Exists is false for Attribute: {name}")
        return
    if condition.Value is None:
        exists = "null" if condition.Exists is None else "true"
        raise parameter_error(f"Value must be provided when Exists is {exists} for Attribute: {name}")
    validate_value(condition.Value)
