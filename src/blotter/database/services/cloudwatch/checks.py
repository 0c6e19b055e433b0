"""The inputs of the operations on metrics against the model, with the messages that these have of their own.

    The parameter MetricData.member.1.MetricName is required.
    The parameter MetricData.member.1.Dimensions.member.2.Value must be shorter than 1025 characters.

Every problem is on a line of its own; what is missing is told before what is wrong. The operations on alarms have
the words of most services instead (`services.constraints`). Source: AWS's messages in public issues
(amazon-cloudwatch-agent 240, prometheus-to-cloudwatch 14, collectd-cloudwatch 46, cloud-custodian 2559).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from blotter.database.services.cloudwatch.errors import invalid, joined, missing, validation
from blotter.database.services.errors import shortened
from blotter.database.services.model import Model, Shape

_NAMES = frozenset({"DimensionName", "DimensionValue", "MetricName", "Namespace"})
"""Shapes that hold ASCII characters only, one of which is not blank."""


def check_metric_input(model: Model, operation: str, arguments: Mapping[str, Any], *, one_code: bool) -> None:
    """Raises an error for what violates the model: MissingParameter, else InvalidParameterValue; with `one_code`
    ValidationError for both, as GetMetricData has it."""
    shape = model.shapes[model.operations[operation].input]
    absent = list(_absent(model, shape, arguments, ""))
    if absent:
        raise validation(joined(absent)) if one_code else missing(joined(absent))
    wrong = list(_wrong_members(model, shape, arguments, ""))
    if wrong:
        raise validation(joined(wrong)) if one_code else invalid(joined(wrong))


def _absent(model: Model, shape: Shape, value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, of in shape.members.items():
        path = f"{prefix}{name}"
        if name in value:
            for inner, each, where in _structures(model, of, value[name], path):
                yield from _absent(model, inner, each, f"{where}.")
        elif name in shape.required:
            yield f"The parameter {path} is required."


def _structures(model: Model, of: str, value: Any, path: str) -> Iterator[tuple[Shape, Mapping[str, Any], str]]:
    """The structures in a member: itself, or the elements of a list."""
    shape = model.shapes[of]
    if shape.type == "structure":
        yield shape, value, path
    elif shape.type == "list" and model.shapes[shape.member].type == "structure":
        for number, each in enumerate(value, 1):
            yield model.shapes[shape.member], each, f"{path}.member.{number}"


def _wrong_members(model: Model, shape: Shape, value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, of in shape.members.items():
        if name in value:
            yield from _wrong(model, of, value[name], f"{prefix}{name}")


def _wrong(model: Model, of: str, value: Any, path: str) -> Iterator[str]:
    shape = model.shapes[of]
    if shape.type == "structure":
        yield from _wrong_members(model, shape, value, f"{path}.")
    elif shape.type == "list":
        yield from _wrong_list(model, shape, value, path)
    elif shape.type == "string":
        yield from _wrong_text(of, shape, value, path)
    elif shape.type == "integer" and shape.min is not None and value < shape.min:
        yield f"The parameter {path} must be greater than or equal to {shape.min}."


def _wrong_list(model: Model, shape: Shape, value: list[Any], path: str) -> Iterator[str]:
    if shape.max is not None and len(value) > shape.max:
        yield f"The collection {path} must not have a size greater than {shape.max}."
    elif shape.min is not None and len(value) < shape.min:
        yield f"The collection {path} must not have a size less than {shape.min}."
    else:
        for number, each in enumerate(value, 1):
            yield from _wrong(model, shape.member, each, f"{path}.member.{number}")


def _wrong_text(of: str, shape: Shape, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"The parameter {path} must be a value in the set [ {', '.join(shape.enum)} ]."
        return
    if of in _NAMES and not value.isascii():
        yield f"The value for parameter {path} contains non-ASCII characters."
    if shape.max is not None and len(value) > shape.max:
        yield f"The parameter {path} must be shorter than {shape.max + 1} characters."
    elif shape.min and len(value) < shape.min:
        yield f"The parameter {path} must be longer than {shape.min - 1} characters."
    elif of in _NAMES and (value.isspace() or (of in ("Namespace", "DimensionName") and value[0] == ":")):
        yield f"The value {shortened(value)} for parameter {path} is invalid."
