"""Values of statements: what literals make, and what parameters have to be.

A literal's number is validated like any number; the message ends with the path inside its value; `<<…>>` is a set.
Parameters are looked at in the order of the document, nesting and numbers alike; everything else about them is for
the validation of attribute values.
Source: paritysuite/dynamodb-conformance, tests/tier3/error-messages/partiqlParameterNumbers.test.ts and
partiqlGrammar.test.ts, recorded in October 2026; Floci's DynamoDbPartiQLEdgeCaseIntegrationTest, captured from the
service in September 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from blotter.database.expressions.partiql.problems import Problem, unsupported_value
from blotter.database.expressions.partiql.syntax import (
    Bag,
    Call,
    ListOf,
    Literal,
    Node,
    Parameter,
    Path,
    StructOf,
)
from blotter.database.model.errors import DynamoDBError, nesting_error
from blotter.database.model.numbers import canonical_number
from blotter.database.model.values import AttributeValue, Item, in_set_order

MAX_DEPTH = 32

Parameters = Sequence[AttributeValue]


# Literals


def is_value(node: Node) -> bool:
    return isinstance(node, (Literal, Parameter, ListOf, Bag, StructOf))


def value_of(node: Node, parameters: Parameters, path: str = "root", depth: int = 1) -> AttributeValue:
    """The attribute value a literal stands for. Raises `Problem` or ValidationException."""
    if depth > MAX_DEPTH:
        raise Problem(f"Nesting Levels have exceeded supported limits under {path}")
    build = _BUILDERS.get(type(node))
    if build is None:
        raise unsupported_value(_name_of(node).lower(), path, node.position)
    value: AttributeValue = build(node, parameters, path, depth)
    return value


def item_of(node: StructOf, parameters: Parameters) -> Item:
    """The item of an INSERT; each attribute is the root of its own value."""
    return _members(node, parameters, lambda _: "root", "root", 1)


def _name_of(node: Node) -> str:
    if isinstance(node, Call):
        return node.name
    if isinstance(node, Path):
        return str(node.steps[0])
    return type(node).__name__


def _literal(node: Literal, _: Parameters, path: str, __: int) -> AttributeValue:
    if node.type == "N":
        try:
            return {"N": canonical_number(str(node.content))}
        except DynamoDBError as error:
            raise Problem(f"{error.current or error.message} under {path}") from None
    if node.type == "MISSING":
        raise unsupported_value("missing", path, node.position)
    return {node.type: node.content}


def _parameter(node: Parameter, parameters: Parameters, path: str, depth: int) -> AttributeValue:
    """A parameter is a whole value, never a part of one."""
    if depth > 1:
        raise unsupported_value("Parameter", path, node.position)
    return parameters[node.index]


def _list(node: ListOf, parameters: Parameters, path: str, depth: int) -> AttributeValue:
    return {
        "L": [
            value_of(element, parameters, f"{path}[{index}]", depth + 1)
            for index, element in enumerate(node.elements)
        ]
    }


def _struct(node: StructOf, parameters: Parameters, path: str, depth: int) -> AttributeValue:
    return {"M": _members(node, parameters, lambda name: f"{path}.{name}", path, depth + 1)}


def _members(
    node: StructOf, parameters: Parameters, path_of: Callable[[str], str], path: str, depth: int
) -> dict[str, AttributeValue]:
    members: dict[str, AttributeValue] = {}
    for key, member in node.members:
        if not isinstance(key, Literal) or key.type != "S":
            raise unsupported_value(_name_of(key).lower(), path, key.position)
        name = str(key.content)
        if not name:
            raise Problem("Empty attribute name")
        if name in members:
            raise Problem(f"Duplicate keys in tuple. Key: {name} under {path}")
        members[name] = value_of(member, parameters, path_of(name), depth)
    return members


def _bag(node: Bag, _: Parameters, path: str, __: int) -> AttributeValue:
    if not node.elements:
        raise Problem("Empty bags are not supported")
    types = {element.type if isinstance(element, Literal) else None for element in node.elements}
    if types != {"S"} and types != {"N"}:
        raise Problem("Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags")
    (type_,) = types
    members = [
        value_of(element, (), f"{path}[{index}]")[str(type_)] for index, element in enumerate(node.elements)
    ]
    if len(set(members)) < len(members):
        written = ", ".join(str(element.content) for element in node.elements if isinstance(element, Literal))
        raise Problem(
            f"One or more parameter values were invalid: Input collection [{written}] contains duplicates"
            + ("." if type_ == "S" else f"! under {path}")
        )
    return {f"{type_}S": in_set_order(f"{type_}S", members)}


_BUILDERS: dict[type, Callable[..., AttributeValue]] = {
    Literal: _literal,
    Parameter: _parameter,
    ListOf: _list,
    StructOf: _struct,
    Bag: _bag,
}


# Parameters


def check_parameters(parameters: Iterable[AttributeValue]) -> None:
    """Raises ValidationException for the first document that is too deep or number that is none."""
    for parameter in parameters:
        _check(parameter, 1)


def _check(value: AttributeValue, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise nesting_error()
    for type_, content in value.items():
        if type_ == "N":
            canonical_number(content)
        elif type_ == "NS":
            for number in content:
                canonical_number(number)
        elif type_ == "L":
            for element in content:
                _check(element, depth + 1)
        elif type_ == "M":
            for member in content.values():
                _check(member, depth + 1)
