"""Converts a statement into the syntax trees of expressions.

A WHERE clause becomes a condition and SET and REMOVE become an update, so that one evaluator and one updater serve
both languages. Attribute names become `#` placeholders, because here they may be any text; literals and
parameters become `:` placeholders. What PartiQL can express and DynamoDB cannot do is refused here; operand types
and the like are checked with the values, by `checks`. Sources: paritysuite/dynamodb-conformance,
tests/tier3/error-messages/partiqlFunctions.test.ts and tests/tier2/partiql/whereFunctions.test.ts, recorded in
October 2026; Floci's DynamoDbPartiQLEdgeCaseIntegrationTest and …DocumentedSyntaxIntegrationTest, captured from
the service in September 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from blotter.database.expressions import syntax
from blotter.database.expressions.checks import CONDITION_FUNCTIONS, OPERAND_FUNCTIONS, UPDATE_FUNCTIONS
from blotter.database.expressions.partiql.keywords import ATTRIBUTE_TYPES
from blotter.database.expressions.partiql.problems import (
    Problem,
    empty_path_component,
    unexpected_path_component,
    unrecognized_function,
    unsupported_operation,
)
from blotter.database.expressions.partiql.syntax import (
    Assignment,
    Bag,
    Between,
    Binary,
    Call,
    In,
    Is,
    ListOf,
    Literal,
    Logical,
    Node,
    Parameter,
    Path,
    Select,
    StructOf,
    Unary,
)
from blotter.database.expressions.partiql.values import Parameters, is_value, value_of
from blotter.database.expressions.problems import ResolvedPath, operand_type
from blotter.database.model.values import TYPES, AttributeValue

_OPERATION_NAMES: dict[str, str] = {
    "+": "Plus",
    "-": "Minus",
    "*": "Times",
    "/": "Divide",
    "%": "Modulo",
    "||": "Concat",
    "like": "Like",
    "=": "Eq",
    "<>": "Ne",
    "<": "Lt",
    "<=": "Lte",
    ">": "Gt",
    ">=": "Gte",
    "and": "And",
    "or": "Or",
    "not": "Not",
}
_NODE_NAMES: dict[type, str] = {
    Literal: "Lit",
    Parameter: "Parameter",
    ListOf: "List",
    Bag: "Bag",
    StructOf: "Struct",
    Path: "Id",
    Call: "Call",
    Between: "Between",
    In: "InCollection",
    Is: "IsType",
    Select: "Select",
}
_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
_SET_FUNCTIONS = {"set_add": "ADD", "set_delete": "DELETE"}
_SET_TYPES = frozenset(("SS", "NS", "BS"))


def operation_name(node: Any) -> str:
    """What the PartiQL parser calls a kind of expression."""
    if isinstance(node, (Binary, Logical, Unary)):
        return _OPERATION_NAMES.get(node.operator, node.operator.capitalize())
    return _NODE_NAMES.get(type(node), type(node).__name__)


def attribute_path(node: Node) -> ResolvedPath:
    """The document path of a path that names one; raises `Problem` for anything else, and for an empty name."""
    steps = path_steps(node)
    if "" in steps:
        raise empty_path_component()
    return steps


def path_steps(node: Node) -> ResolvedPath:
    """The steps of a path without a wildcard, whatever they are; raises `Problem` for anything else."""
    if not isinstance(node, Path):
        raise unexpected_path_component(node.position)
    steps = tuple(step for step in node.steps if step is not None)
    if len(steps) < len(node.steps):
        raise unexpected_path_component(node.position)
    return steps


class Converter:
    """The trees of one statement and the placeholders they share."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """Attribute names by placeholder."""
        self.constants: dict[str, AttributeValue] = {}
        """Values without parameters by placeholder."""
        self.sets: list[tuple[str, Problem]] = []
        """Placeholders whose value has to be a set, and the message when it is not."""
        self._by_name: dict[str, str] = {}
        self._doubled = False

    def values(self, parameters: Parameters) -> dict[str, AttributeValue]:
        """The values of the placeholders in one request."""
        values = dict(self.constants)
        for index, parameter in enumerate(parameters):
            values[f":{index}"] = parameter
        for placeholder, problem in self.sets:
            if _SET_TYPES.isdisjoint(values[placeholder]):
                raise problem
        return values

    # Conditions

    def condition(self, node: Node) -> syntax.ConditionTree:
        convert = _CONDITIONS.get(type(node))
        if convert is None:
            raise unsupported_operation(operation_name(node))
        return convert(self, node)

    def _logical(self, node: Logical) -> syntax.ConditionTree:
        conditions = tuple(self.condition(operand) for operand in node.operands)
        return syntax.And(conditions) if node.operator == "and" else syntax.Or(conditions)

    def _not(self, node: Unary) -> syntax.ConditionTree:
        if node.operator != "not":
            raise unsupported_operation(operation_name(node))
        return syntax.Not(self.condition(node.operand))

    def _comparison(self, node: Binary) -> syntax.ConditionTree:
        if node.operator not in _COMPARISONS:
            raise unsupported_operation(operation_name(node))
        operator: Any = node.operator
        if not (_is_condition(node.left) or _is_condition(node.right)):
            return syntax.Comparison(operator, self.operand(node.left), self.operand(node.right))
        if operator not in ("=", "<>"):
            raise operand_type(operator, "BOOL")
        equal = self._truth(node)
        return equal if operator == "=" else syntax.Not(equal)

    def _truth(self, node: Binary) -> syntax.ConditionTree:
        """A condition's truth against that of another one, or against a value."""
        one, other = (node.left, node.right) if _is_condition(node.left) else (node.right, node.left)
        if isinstance(other, Literal) and other.type == "BOOL":
            condition = self.condition(one)
            return condition if other.content else syntax.Not(condition)
        with self._doubling(node):
            condition = self.condition(one)
            if _is_condition(other):
                is_true: syntax.ConditionTree = self.condition(other)
                is_false: syntax.ConditionTree = syntax.Not(is_true)
            else:
                operand = self.operand(other)
                is_true = syntax.Comparison("=", operand, self._constant({"BOOL": True}))
                is_false = syntax.Comparison("=", operand, self._constant({"BOOL": False}))
        return syntax.Or((syntax.And((condition, is_true)), syntax.And((syntax.Not(condition), is_false))))

    def _truth_in(self, node: In, candidates: tuple[Node, ...]) -> syntax.ConditionTree:
        """A condition's truth among literals."""
        if not all(isinstance(candidate, Literal) and candidate.type == "BOOL" for candidate in candidates):
            raise unsupported_operation(operation_name(node))
        with self._doubling(node):
            condition = self.condition(node.operand)
        truths = {bool(candidate.content) for candidate in candidates if isinstance(candidate, Literal)}
        if truths == {True, False}:
            return syntax.Or((condition, syntax.Not(condition)))
        return condition if truths == {True} else syntax.Not(condition)

    @contextmanager
    def _doubling(self, node: Node) -> Iterator[None]:
        """What is read here stands twice in the tree; once more within it, and the tree would grow without end."""
        if self._doubled:
            raise unsupported_operation(operation_name(node))
        self._doubled = True
        yield
        self._doubled = False

    def _between(self, node: Between) -> syntax.ConditionTree:
        return syntax.Between(self.operand(node.operand), self.operand(node.lower), self.operand(node.upper))

    def _in(self, node: In) -> syntax.ConditionTree:
        if not isinstance(node.candidates, (ListOf, Bag)):
            raise unsupported_operation(operation_name(node))
        if _is_condition(node.operand):
            return self._truth_in(node, node.candidates.elements)
        return syntax.In(
            self.operand(node.operand), tuple(self.operand(element) for element in node.candidates.elements)
        )

    def _is(self, node: Is) -> syntax.ConditionTree:
        path = self._path(node.operand)
        if node.type_name == "missing":
            return syntax.Call("attribute_not_exists", (path,))
        type_ = ATTRIBUTE_TYPES.get(node.type_name)
        if type_ is None:
            raise Problem(
                f"Unsupported data type for IS operator: {node.type_name.upper()}. Supported data types are "
                "[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]"
            )
        return syntax.Call("attribute_type", (path, self._constant({"S": type_})))

    def _function(self, node: Call) -> syntax.Call:
        name = node.name.lower()
        if name not in CONDITION_FUNCTIONS:
            if name in OPERAND_FUNCTIONS:
                raise Problem(
                    f"The function is not allowed to be used this way in an expression; function: {name}"
                )
            raise unrecognized_function(name, node.position)
        if name == "attribute_type" and len(node.arguments) == 2:
            _check_type_name(node.arguments[1])
        return syntax.Call(name, tuple(self.operand(argument) for argument in node.arguments))

    # Operands

    def operand(self, node: Node) -> syntax.Operand:
        return self._operand(node, OPERAND_FUNCTIONS)

    def _operand(self, node: Node, functions: Collection[str]) -> syntax.Operand:
        if isinstance(node, Path):
            return self._path(node)
        if isinstance(node, Call):
            name = node.name.lower()
            if name not in functions:
                raise unrecognized_function(name, node.position)
            return syntax.Call(name, tuple(self._operand(argument, functions) for argument in node.arguments))
        return self._value(node)

    def _path(self, node: Node) -> syntax.Path:
        return syntax.Path(
            tuple(self._name(step) if isinstance(step, str) else step for step in attribute_path(node))
        )

    def _name(self, name: str) -> str:
        placeholder = self._by_name.get(name)
        if placeholder is None:
            placeholder = self._by_name[name] = f"#{len(self._by_name)}"
            self.names[placeholder] = name
        return placeholder

    def _value(self, node: Node) -> syntax.Value:
        if isinstance(node, Parameter):
            return syntax.Value(f":{node.index}")
        if not is_value(node):
            raise unsupported_operation(operation_name(node))
        return self._constant(value_of(node, ()))

    def _constant(self, value: AttributeValue) -> syntax.Value:
        placeholder = f":c{len(self.constants)}"
        self.constants[placeholder] = value
        return syntax.Value(placeholder)

    # Updates

    def update(self, assignments: tuple[Assignment, ...]) -> syntax.UpdateTree:
        actions = [self._action(assignment) for assignment in assignments]
        return syntax.UpdateTree(tuple(syntax.Section(action.keyword, (action,)) for action in actions))

    def _action(self, assignment: Assignment) -> syntax.Action:
        path, value = self._path(assignment.path), assignment.value
        if value is None:
            return syntax.Action("REMOVE", path)
        if isinstance(value, Call) and value.name.lower() in _SET_FUNCTIONS:
            return self._set_change(assignment.path, path, value)
        return syntax.Action("SET", path, self._assigned(value))

    def _set_change(self, target: Path, path: syntax.Path, call: Call) -> syntax.Action:
        name = call.name.upper()
        if len(call.arguments) != 2:
            raise Problem(f"{name} must have exactly two arguments at {call.position}")
        first, second = call.arguments
        if not isinstance(first, Path) or first.steps != target.steps:
            raise Problem(f"The first argument to {name} must equal the assignment value at {call.position}")
        no_set = Problem(f"The second argument to {name} must be a value with type SET at {first.position}")
        if not isinstance(second, (Bag, Parameter)):
            raise no_set
        value = self._value(second)
        self.sets.append((value.name, no_set))
        keyword: Any = _SET_FUNCTIONS[call.name.lower()]
        return syntax.Action(keyword, path, value)

    def _assigned(self, node: Node) -> syntax.Operand | syntax.Arithmetic:
        if isinstance(node, Binary) and (node.operator == "+" or node.operator == "-"):
            operator: Any = node.operator
            left, right = (self._operand(side, UPDATE_FUNCTIONS) for side in (node.left, node.right))
            return syntax.Arithmetic(operator, left, right)
        return self._operand(node, UPDATE_FUNCTIONS)


def _is_condition(node: Node) -> bool:
    """Whether it is true or false."""
    if isinstance(node, Call):
        return node.name.lower() in CONDITION_FUNCTIONS
    if isinstance(node, Unary):
        return node.operator == "not"
    if isinstance(node, Binary):
        return node.operator in _COMPARISONS
    return isinstance(node, (Logical, Between, In, Is))


def _check_type_name(node: Node) -> None:
    """The names come in another order than in expressions."""
    if isinstance(node, Literal) and node.type == "S" and node.content not in TYPES:
        raise Problem(
            f"Invalid attribute type name found; type: {node.content}, "
            "valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}"
        )


_CONDITIONS: dict[type, Callable[[Converter, Any], syntax.ConditionTree]] = {
    Logical: Converter._logical,
    Unary: Converter._not,
    Binary: Converter._comparison,
    Between: Converter._between,
    In: Converter._in,
    Is: Converter._is,
    Call: Converter._function,
}
