"""Every check of an expression that needs no item, in AWS's order.

`check_form` needs the text alone: reserved words, indexes, which function may stand where, sections used twice;
it runs once for a text. `check_condition`, `check_update` and `check_projection` need the placeholders as well:
they walk in the order of the text (an update from its last action to its first) and stop at the first
fault, an undefined placeholder or an operand of the wrong type. What a path holds is not known here, so it
passes.

The fast path does not come here: `attributes` remembers for which types of values an expression was found right.
Sources: recorded messages and their order in dynalite's tests (scan.js, query.js, updateItem.js) and in
paritysuite/dynamodb-conformance, tests/tier3/validation-ordering; DynamoDB's published limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from blotter.database.expressions import problems
from blotter.database.expressions.paths import refuse_meeting, resolve
from blotter.database.expressions.problems import Problem, ResolvedPath
from blotter.database.expressions.reserved_words import is_reserved
from blotter.database.expressions.syntax import (
    Action,
    And,
    Arithmetic,
    Between,
    Call,
    Comparison,
    ConditionTree,
    In,
    Not,
    Operand,
    Or,
    Path,
    ProjectionTree,
    Section,
    Tree,
    UpdateTree,
    Value,
)
from blotter.database.model.values import ORDERED_TYPES, SET_TYPES, TYPES, AttributeValue, compare_values, type_of

Names = Mapping[str, str]
Values = Mapping[str, AttributeValue]

MAX_INDEX = 2**31 - 1
MAX_CANDIDATES = 100

CONDITION_FUNCTIONS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
OPERAND_FUNCTIONS = {"size": 1}
UPDATE_FUNCTIONS = {"if_not_exists": 2, "list_append": 2}
_OPERAND_COUNTS = {**CONDITION_FUNCTIONS, **OPERAND_FUNCTIONS, **UPDATE_FUNCTIONS}

_PATH_FIRST = frozenset(("attribute_exists", "attribute_not_exists", "if_not_exists"))
_DISTINCT_OPERANDS = frozenset(("attribute_type", "begins_with", "contains", "if_not_exists"))
_ARGUMENT_TYPES = {
    "size": frozenset(("S", "B", "SS", "NS", "BS", "L", "M")),
    "begins_with": frozenset(("S", "B")),
    "list_append": frozenset(("L",)),
}
_NUMBER = frozenset(("N",))
_ADDED_TYPES = {"ADD": SET_TYPES | _NUMBER, "DELETE": SET_TYPES}
_LONG_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
    "L": "LIST",
    "M": "MAP",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
}
_ANY_TYPE = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
_TYPE_NAMES = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"


# By the text alone


def check_form(tree: Tree) -> None:
    """Raises `Problem` for the first thing wrong with the form of an expression, in the order of the text."""
    if isinstance(tree, UpdateTree):
        _check_update_form(tree)
    elif isinstance(tree, ProjectionTree):
        for path in tree.paths:
            _check_path_form(path)
    else:
        _check_condition_form(tree)


def _check_path_form(path: Path) -> None:
    for step in path.steps:
        if isinstance(step, int):
            if step > MAX_INDEX:
                raise Problem(f"List index is not within the allowable range; index: [{step}]")
        elif step[0] != "#" and is_reserved(step):
            raise problems.reserved_word(step)


def _check_condition_form(tree: ConditionTree) -> None:
    if isinstance(tree, (And, Or)):
        for condition in tree.conditions:
            _check_condition_form(condition)
    elif isinstance(tree, Not):
        _check_condition_form(tree.condition)
    elif isinstance(tree, Call):
        _check_condition_function(tree, CONDITION_FUNCTIONS)
    else:
        for operand in _operands(tree):
            _check_operand_form(operand)


def _check_operand_form(operand: Operand) -> None:
    if isinstance(operand, Path):
        _check_path_form(operand)
    elif isinstance(operand, Call):
        _check_condition_function(operand, OPERAND_FUNCTIONS)


def _check_condition_function(call: Call, allowed: Mapping[str, int]) -> None:
    if call.function not in _OPERAND_COUNTS:
        raise Problem(f"Invalid function name; function: {call.function}")
    if call.function in UPDATE_FUNCTIONS:
        raise Problem(f"The function is not allowed in a condition expression; function: {call.function}")
    if call.function not in allowed:
        raise problems.misused_function(call.function)
    for argument in call.arguments:
        _check_operand_form(argument)


def _operands(tree: Comparison | Between | In) -> tuple[Operand, ...]:
    if isinstance(tree, Comparison):
        return (tree.left, tree.right)
    if isinstance(tree, Between):
        return (tree.operand, tree.lower, tree.upper)
    return (tree.operand, *tree.candidates)


def _check_update_form(tree: UpdateTree) -> None:
    """Sections are read one kind after the other, in the order in which the kinds first appear."""
    kinds: dict[str, list[Section]] = {}
    for section in tree.sections:
        kinds.setdefault(section.keyword, []).append(section)
    for keyword, sections in kinds.items():
        for section in sections:
            for action in section.actions:
                _check_path_form(action.path)
                if action.value is not None:
                    _check_assigned_form(action.value)
        if len(sections) > 1:
            raise Problem(f'The "{keyword}" section can only be used once in an update expression;')


def _check_assigned_form(value: Operand | Arithmetic) -> None:
    if isinstance(value, Path):
        _check_path_form(value)
    elif isinstance(value, Arithmetic):
        _check_assigned_form(value.left)
        _check_assigned_form(value.right)
    elif isinstance(value, Call):
        if value.function not in _OPERAND_COUNTS:
            raise Problem(f"Invalid function name; function: {value.function}")
        if value.function not in UPDATE_FUNCTIONS:
            raise Problem(f"The function is not allowed in an update expression; function: {value.function}")
        for argument in value.arguments:
            if (
                value.function == "list_append"
                and isinstance(argument, Call)
                and argument.function == "list_append"
            ):
                raise problems.misused_function("list_append")
            _check_assigned_form(argument)


# With the placeholders


def check_condition(tree: ConditionTree, names: Names, values: Values) -> None:
    if isinstance(tree, (And, Or)):
        for condition in tree.conditions:
            check_condition(condition, names, values)
    elif isinstance(tree, Not):
        check_condition(tree.condition, names, values)
    elif isinstance(tree, Comparison):
        _check_comparison(tree, names, values)
    elif isinstance(tree, Between):
        _check_between(tree, names, values)
    elif isinstance(tree, In):
        _check_in(tree, names, values)
    else:
        _check_operand(tree, names, values)


def check_projection(tree: ProjectionTree, names: Names) -> None:
    refuse_meeting([resolve(path, names) for path in tree.paths])


def check_update(tree: UpdateTree, names: Names, values: Values) -> None:
    """First the paths written to, then every name, then every value, the last two from the end of the text."""
    actions = tree.actions
    refuse_meeting([resolve(action.path, names) for action in actions])
    for action in reversed(actions):
        if action.value is not None:
            _check_names(action.value, names)
    for action in reversed(actions):
        _check_action(action, names, values)


def _check_names(value: Operand | Arithmetic, names: Names) -> None:
    if isinstance(value, Path):
        resolve(value, names)
    elif isinstance(value, Call):
        for argument in value.arguments:
            _check_names(argument, names)
    elif isinstance(value, Arithmetic):
        _check_names(value.left, names)
        _check_names(value.right, names)


def _check_action(action: Action, names: Names, values: Values) -> None:
    value = action.value
    if value is None:
        return
    if isinstance(value, Arithmetic):
        for operand in (value.left, value.right):
            _check_operand(operand, names, values)
        _check_types(value.operator, (value.left, value.right), _NUMBER, values)
        return
    _check_operand(value, names, values)
    if action.keyword in _ADDED_TYPES:
        type_ = _static_type(value, values)
        if type_ is not None and type_ not in _ADDED_TYPES[action.keyword]:
            raise Problem(
                "Incorrect operand type for operator or function; "
                f"operator: {action.keyword}, operand type: {_LONG_TYPE_NAMES[type_]}, "
                f"typeSet: ALLOWED_FOR_{action.keyword}_OPERAND"
            )


def _check_operand(operand: Operand, names: Names, values: Values) -> None:
    if isinstance(operand, Path):
        resolve(operand, names)
    elif isinstance(operand, Value):
        if operand.name not in values:
            raise problems.undefined_value(operand.name)
    else:
        _check_call(operand, names, values)


def _check_call(call: Call, names: Names, values: Values) -> None:
    function, arguments = call.function, call.arguments
    for argument in arguments:
        _check_operand(argument, names, values)
    if len(arguments) != _OPERAND_COUNTS[function]:
        raise problems.operand_count(function, len(arguments))
    if function in _PATH_FIRST and not isinstance(arguments[0], Path):
        raise problems.needs_path(function)
    if function in _DISTINCT_OPERANDS:
        _check_distinct(function, arguments[0], arguments[1:], names)
    if function == "attribute_type":
        _check_type_name(arguments[1], values)
    elif function in _ARGUMENT_TYPES:
        _check_types(function, arguments, _ARGUMENT_TYPES[function], values)


def _check_type_name(operand: Operand, values: Values) -> None:
    """The second operand of attribute_type: a value, a string, and the name of a type."""
    type_ = _static_type(operand, values)
    if type_ != "S" or not isinstance(operand, Value):
        raise problems.operand_type("attribute_type", type_ or _ANY_TYPE)
    name = values[operand.name]["S"]
    if name not in TYPES:
        raise Problem(f"Invalid attribute type name found; type: {name}, valid types: {_TYPE_NAMES}")


def _check_comparison(tree: Comparison, names: Names, values: Values) -> None:
    _check_operand(tree.left, names, values)
    _check_operand(tree.right, names, values)
    _check_distinct(tree.operator, tree.left, (tree.right,), names)
    if tree.operator not in ("=", "<>"):
        _check_types(tree.operator, (tree.left, tree.right), ORDERED_TYPES, values)


def _check_between(tree: Between, names: Names, values: Values) -> None:
    operands = _operands(tree)
    for operand in operands:
        _check_operand(operand, names, values)
    _check_distinct("BETWEEN", tree.operand, operands[1:], names)
    _check_types("BETWEEN", operands, ORDERED_TYPES, values)
    if isinstance(tree.lower, Value) and isinstance(tree.upper, Value):
        _check_bounds(values[tree.lower.name], values[tree.upper.name])


def _check_bounds(lower: AttributeValue, upper: AttributeValue) -> None:
    order = compare_values(lower, upper)
    if order is not None and order <= 0:
        return
    rule = (
        "The BETWEEN operator requires same data type for lower and upper bounds; "
        if order is None
        else "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
    )
    bounds = (
        f"lower bound operand: {problems.value_text(lower)}, upper bound operand: {problems.value_text(upper)}"
    )
    raise Problem(f"{rule}{bounds}")


def _check_in(tree: In, names: Names, values: Values) -> None:
    for operand in _operands(tree):
        _check_operand(operand, names, values)
    if len(tree.candidates) > MAX_CANDIDATES:
        raise Problem(
            f"The IN operator is provided with too many operands; number of operands: {len(tree.candidates)}"
        )
    _check_distinct("IN", tree.operand, tree.candidates, names)


def _check_distinct(operator: str, first: Operand, rest: Iterable[Operand], names: Names) -> None:
    if not isinstance(first, Path):
        return
    path: ResolvedPath = resolve(first, names)
    for operand in rest:
        if isinstance(operand, Path) and resolve(operand, names) == path:
            raise problems.not_distinct(operator, path)


def _check_types(operator: str, operands: Iterable[Operand], allowed: frozenset[str], values: Values) -> None:
    for operand in operands:
        type_ = _static_type(operand, values)
        if type_ is not None and type_ not in allowed:
            raise problems.operand_type(operator, type_)


def _static_type(operand: Operand, values: Values) -> str | None:
    """The type an operand has whatever the item; None when the item decides."""
    if isinstance(operand, Value):
        return type_of(values[operand.name])
    if isinstance(operand, Call) and operand.function == "size":
        return "N"
    return None


# By the values themselves


def value_checks(tree: Tree) -> Iterator[Callable[[Values], bool]]:
    """What depends on the values themselves, not only their types, as quick tests that hold for correct values:
    the bounds of BETWEEN and the type name of attribute_type."""
    if isinstance(tree, (And, Or)):
        for condition in tree.conditions:
            yield from value_checks(condition)
    elif isinstance(tree, Not):
        yield from value_checks(tree.condition)
    elif isinstance(tree, Between):
        if isinstance(tree.lower, Value) and isinstance(tree.upper, Value):
            yield _bounds_in_order(tree.lower.name, tree.upper.name)
    elif isinstance(tree, Call) and tree.function == "attribute_type":
        yield from (_names_a_type(operand.name) for operand in tree.arguments[1:] if isinstance(operand, Value))


def _bounds_in_order(lower: str, upper: str) -> Callable[[Values], bool]:
    def in_order(values: Values) -> bool:
        order = compare_values(values[lower], values[upper])
        return order is not None and order <= 0

    return in_order


def _names_a_type(placeholder: str) -> Callable[[Values], bool]:
    return lambda values: values[placeholder].get("S") in TYPES
