"""Properties: what is printed is read back; conditions and updates agree with a plain model.

The model in this file works on trees directly, without compiling, sharing or caching anything.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.expressions import ExpressionAttributes, problems, syntax
from blotter.database.expressions.evaluator import FEW_LINEAR
from blotter.database.expressions.lexer import tokenize
from blotter.database.expressions.parser import parse
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.values import values_equal
from tests.examples import examples

NAMES = ("a", "b", "cd", "e_1", "#x", "#y")
PLACEHOLDERS = {"#x": "a", "#y": "and"}


def path_steps() -> st.SearchStrategy[tuple[str | int, ...]]:
    more = st.lists(st.sampled_from(NAMES) | st.integers(0, 3), max_size=3)
    return st.builds(lambda first, rest: (first, *rest), st.sampled_from(NAMES), more)


paths = path_steps().map(syntax.Path)
values = st.sampled_from((":v", ":w", ":0")).map(syntax.Value)
operands = paths | values | st.builds(lambda path: syntax.Call("size", (path,)), paths)
exists = st.builds(lambda path: syntax.Call("attribute_exists", (path,)), paths)
contains = st.builds(lambda a, b: syntax.Call("contains", (a, b)), operands, operands)
leaves = (
    st.builds(syntax.Comparison, st.sampled_from(("=", "<>", "<", "<=", ">", ">=")), operands, operands)
    | st.builds(syntax.Between, operands, operands, operands)
    | st.builds(syntax.In, operands, st.lists(operands, min_size=1, max_size=3).map(tuple))
    | exists
    | contains
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(syntax.Not, inner)
        | st.builds(syntax.And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(syntax.Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


# Printing


def printed_operand(operand: syntax.Operand | syntax.Arithmetic, brackets: bool = False) -> str:
    if isinstance(operand, syntax.Path):
        text = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in operand.steps)[1:]
    elif isinstance(operand, syntax.Value):
        text = operand.name
    elif isinstance(operand, syntax.Arithmetic):
        text = f"{printed_operand(operand.left)}{operand.operator} {printed_operand(operand.right)}"
    else:
        text = f"{operand.function}({', '.join(map(printed_operand, operand.arguments))})"
    return f"({text})" if brackets else text


def printed(tree: syntax.ConditionTree, brackets: bool = False) -> str:
    """A condition as text; `brackets` puts every operand of a comparison in parentheses."""
    if isinstance(tree, syntax.And):
        return " AND ".join(
            f"({printed(c, brackets)})" if isinstance(c, (syntax.And, syntax.Or)) else printed(c, brackets)
            for c in tree.conditions
        )
    if isinstance(tree, syntax.Or):
        return " or ".join(
            f"({printed(c, brackets)})" if isinstance(c, syntax.Or) else printed(c, brackets)
            for c in tree.conditions
        )
    if isinstance(tree, syntax.Not):
        inner = printed(tree.condition, brackets)
        return f"NOT ({inner})" if isinstance(tree.condition, (syntax.And, syntax.Or)) else f"NOT {inner}"
    if isinstance(tree, syntax.Comparison):
        left, right = (printed_operand(operand, brackets) for operand in (tree.left, tree.right))
        return f"{left} {tree.operator}{right}"
    if isinstance(tree, syntax.Between):
        parts = [printed_operand(operand, brackets) for operand in (tree.operand, tree.lower, tree.upper)]
        return f"{parts[0]} Between {parts[1]} AND {parts[2]}"
    if isinstance(tree, syntax.In):
        candidates = ",".join(printed_operand(operand, brackets) for operand in tree.candidates)
        return f"{printed_operand(tree.operand, brackets)} IN ({candidates})"
    return printed_operand(tree)


@given(conditions, st.booleans())
@settings(max_examples=examples(150), deadline=None)
def test_a_printed_condition_is_read_back(tree: syntax.ConditionTree, brackets: bool) -> None:
    assert parse("condition", printed(tree, brackets)).tree == tree
    assert parse("condition", f"( {printed(tree, brackets)} )").tree == tree


@given(st.text(alphabet="ab#:0 ()[].,=<>+-'\"ANDORT!é", max_size=40))
@settings(max_examples=examples(300), deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(token.text for token in tokens[:-1]) == "".join(text.split(" ")) or '"' in text or "'" in text
    for grammar in ("condition", "update", "projection"):
        try:
            parse(grammar, text)
        except problems.Problem as problem:
            assert str(problem)  # noqa: PT017 - either way out is right


# Items


numbers = st.integers(-3, 3).map(lambda n: {"N": str(n)})
strings = st.sampled_from(("", "a", "ab", "b")).map(lambda s: {"S": s})
sets = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(lambda m: {"SS": sorted(m)})
plain = numbers | strings | sets | st.booleans().map(lambda b: {"BOOL": b}) | st.just({"NULL": True})
attribute_values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: {"L": members})
        | st.dictionaries(st.sampled_from(("a", "b", "and")), inner, max_size=3).map(
            lambda members: {"M": members}
        )
    ),
    max_leaves=6,
)
items = st.dictionaries(st.sampled_from(("a", "b", "cd", "and")), attribute_values, max_size=4)
request_values = st.fixed_dictionaries({":v": numbers | strings, ":w": attribute_values, ":0": numbers})


def model_read(operand: syntax.Operand, item: Any, given_values: Any) -> Any:
    if isinstance(operand, syntax.Value):
        return given_values[operand.name]
    if isinstance(operand, syntax.Call):
        value = model_read(operand.arguments[0], item, given_values)
        ((type_, content),) = (value or {"": None}).items()
        return {"N": str(len(content))} if type_ in ("S", "SS", "L", "M") else None
    value = {"M": item}
    for step in operand.steps:
        step = PLACEHOLDERS.get(step, step) if isinstance(step, str) else step
        members = (value or {}).get("L" if isinstance(step, int) else "M")
        if members is None or not (step < len(members) if isinstance(step, int) else step in members):
            return None
        value = members[step]
    return value


def model_order(a: Any, b: Any) -> int | None:
    if a is None or b is None or a.keys() != b.keys() or next(iter(a)) not in ("S", "N"):
        return None
    x, y = (Decimal(v["N"]) if "N" in v else v["S"].encode() for v in (a, b))
    return (x > y) - (x < y)


def model_holds(tree: syntax.ConditionTree, item: Any, given_values: Any) -> bool:
    def read(operand: syntax.Operand) -> Any:
        return model_read(operand, item, given_values)

    if isinstance(tree, syntax.And):
        return all(model_holds(c, item, given_values) for c in tree.conditions)
    if isinstance(tree, syntax.Or):
        return any(model_holds(c, item, given_values) for c in tree.conditions)
    if isinstance(tree, syntax.Not):
        return not model_holds(tree.condition, item, given_values)
    if isinstance(tree, syntax.Between):
        low, high = (model_order(read(tree.operand), read(bound)) for bound in (tree.lower, tree.upper))
        return low is not None and high is not None and low >= 0 and high <= 0
    if isinstance(tree, syntax.In):
        value = read(tree.operand)
        return value is not None and any(
            (c := read(candidate)) is not None and values_equal(value, c) for candidate in tree.candidates
        )
    if isinstance(tree, syntax.Call):
        first = read(tree.arguments[0])
        if tree.function == "attribute_exists":
            return first is not None
        second = read(tree.arguments[1])
        ((type_, content),) = (first or {"": None}).items()
        if type_ == "L":
            return second is not None and any(values_equal(member, second) for member in content)
        return type_ in ("S", "SS") and second is not None and "S" in second and second["S"] in content
    a, b = read(tree.left), read(tree.right)
    if tree.operator in ("=", "<>"):
        return (a is not None and b is not None and values_equal(a, b)) is (tree.operator == "=")
    order = model_order(a, b)
    if order is None:
        return False
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[tree.operator]


def used(text: str, placeholders: dict[str, Any]) -> dict[str, Any]:
    tokens = {token.text for token in tokenize(text)}
    return {name: value for name, value in placeholders.items() if name in tokens}


@given(conditions, items, request_values)
@settings(max_examples=examples(300), deadline=None)
def test_conditions_agree_with_the_model(tree: syntax.ConditionTree, item: Any, given_values: Any) -> None:
    text = printed(tree)
    attributes = ExpressionAttributes(used(text, PLACEHOLDERS), used(text, given_values))
    try:
        condition = attributes.condition("FilterExpression", text)
        attributes.finish()
    except DynamoDBError as error:
        assert error.message.startswith("Invalid FilterExpression: ")  # noqa: PT017 - many random trees are wrong
        return
    before = copy.deepcopy(item)
    assert condition.matches(item) is model_holds(tree, item, given_values)
    assert item == before


@given(conditions, items, request_values)
@settings(max_examples=examples(200), deadline=None)
def test_a_repeated_condition_holds_when_it_holds_once(
    tree: syntax.ConditionTree, item: Any, given_values: Any
) -> None:
    """Repeated often enough to be evaluated over a `MemoItem`."""
    text = printed(syntax.And((tree,) * (FEW_LINEAR + 1)))
    attributes = ExpressionAttributes(used(text, PLACEHOLDERS), used(text, given_values))
    try:
        condition = attributes.condition("FilterExpression", text)
    except DynamoDBError as error:
        assert error.message.startswith("Invalid FilterExpression: ")  # noqa: PT017 - many random trees are wrong
        return
    before = copy.deepcopy(item)
    assert condition.matches(item) is model_holds(tree, item, given_values)
    assert item == before


# Updates


targets = st.lists(
    st.sampled_from(
        (("a",), ("b",), ("b", "a"), ("b", "b"), ("cd", 0), ("cd", 1), ("cd", 4), ("cd", 2, "a"), ("fresh",))
    ),
    min_size=1,
    max_size=4,
    unique=True,
).filter(lambda chosen: not {("b",), ("b", "a")} <= set(chosen) and not {("b",), ("b", "b")} <= set(chosen))


@st.composite
def updates(draw: st.DrawFn) -> syntax.UpdateTree:
    sections: dict[str, list[syntax.Action]] = {}
    for target in draw(targets):
        path = syntax.Path(target)
        keyword: Any = draw(st.sampled_from(("SET", "SET", "REMOVE", "ADD", "DELETE")))
        value: Any = None
        if keyword == "SET":
            value = draw(
                operands_of_set
                | st.builds(syntax.Arithmetic, st.sampled_from(("+", "-")), operands_of_set, operands_of_set)
            )
        elif keyword != "REMOVE":
            value = draw(st.sampled_from((":set", ":0") if keyword == "ADD" else (":set",)).map(syntax.Value))
        sections.setdefault(keyword, []).append(syntax.Action(keyword, path, value))
    return syntax.UpdateTree(tuple(syntax.Section(k, tuple(a)) for k, a in sections.items()))  # type: ignore[arg-type]


# Items in which most of what the updates read is there, in a type that fits.
shaped_items = st.fixed_dictionaries(
    {
        "a": numbers | numbers | sets,
        "b": st.fixed_dictionaries({}, optional={"a": numbers, "b": numbers | sets | strings}).map(
            lambda m: {"M": m}
        ),
        "cd": st.lists(numbers | sets | st.builds(lambda: {"M": {"a": {"N": "1"}}}), max_size=4).map(
            lambda m: {"L": m}
        ),
    }
)
simple = st.sampled_from((("a",), ("b", "a"), ("cd",), ("cd", 0))).map(syntax.Path) | st.sampled_from(
    (":0", ":list", ":v")
).map(syntax.Value)
operands_of_set = (
    simple
    | st.builds(lambda p, d: syntax.Call("if_not_exists", (p, d)), st.just(syntax.Path(("b", "b"))), simple)
    | st.builds(lambda a, b: syntax.Call("list_append", (a, b)), simple, simple)
)


def printed_update(tree: syntax.UpdateTree) -> str:
    def action(a: syntax.Action) -> str:
        equals = " = " if a.keyword == "SET" else " "
        return printed_operand(a.path) + ("" if a.value is None else equals + printed_operand(a.value))

    return " ".join(f"{s.keyword} {', '.join(map(action, s.actions))}" for s in tree.sections)


class Refused(Exception):
    """The model refuses an update."""


def model_assigned(value: Any, item: Any, given_values: Any) -> Any:
    if isinstance(value, syntax.Arithmetic):
        a, b = (model_assigned(v, item, given_values) for v in (value.left, value.right))
        if "N" not in a or "N" not in b:
            raise Refused
        return {"N": str(int(a["N"]) + (1 if value.operator == "+" else -1) * int(b["N"]))}
    if isinstance(value, syntax.Call) and value.function == "if_not_exists":
        current = model_read(value.arguments[0], item, given_values)
        return model_assigned(value.arguments[1], item, given_values) if current is None else current
    if isinstance(value, syntax.Call):
        a, b = (model_assigned(v, item, given_values) for v in value.arguments)
        if "L" not in a or "L" not in b:
            raise Refused
        return {"L": a["L"] + b["L"]}
    result = model_read(value, item, given_values)
    if result is None:
        raise Refused
    return result


def model_result(action: syntax.Action, item: Any, given_values: Any) -> Any:
    if action.keyword == "SET":
        return model_assigned(action.value, item, given_values)
    if action.keyword == "REMOVE" or not isinstance(action.value, syntax.Value):
        return None
    current = model_read(action.path, item, given_values)
    ((type_, content),) = given_values[action.value.name].items()
    if current is None:
        return {type_: content} if action.keyword == "ADD" else None
    if type_ not in current:
        raise Refused
    if type_ == "N":
        return {"N": str(int(current["N"]) + int(content))}
    if action.keyword == "ADD":
        return {type_: sorted({*current[type_], *content})}
    return {type_: left} if (left := [member for member in current[type_] if member not in content]) else None


def model_apply(tree: syntax.UpdateTree, item: Any, given_values: Any) -> Any:
    results = [(action.path.steps, model_result(action, item, given_values)) for action in tree.actions]
    after = {"M": copy.deepcopy(item)}
    appended: list[tuple[int, Any, Any]] = []
    gone: list[tuple[Any, int]] = []
    for steps, result in results:
        parent = after if len(steps) == 1 else model_read(syntax.Path(steps[:-1]), after["M"], {})
        step = steps[-1]
        if parent is None or ("L" if isinstance(step, int) else "M") not in parent:
            raise Refused
        if isinstance(step, str):
            parent["M"].pop(step, None)
            if result is not None:
                parent["M"][step] = result
        elif step < len(parent["L"]):
            if result is None:
                gone.append((parent["L"], step))
            else:
                parent["L"][step] = result
        elif result is not None:
            appended.append((step, parent["L"], result))
    for elements, index in sorted(gone, key=lambda pair: -pair[1]):
        del elements[index]
    for _, elements, result in sorted(appended, key=lambda triple: triple[0]):
        elements.append(result)
    return after["M"]


@given(updates(), shaped_items | shaped_items | items, request_values)
@settings(max_examples=examples(400), deadline=None)
def test_updates_agree_with_the_model(tree: syntax.UpdateTree, item: Any, given_values: Any) -> None:
    given_values = {**given_values, ":set": {"SS": ["a", "z"]}, ":list": {"L": [{"N": "1"}]}}
    text = printed_update(tree)
    assert parse("update", text).tree == tree
    attributes = ExpressionAttributes(None, used(text, given_values))
    try:
        update = attributes.update(text)
        attributes.finish()
    except DynamoDBError as error:
        assert error.message.startswith("Invalid UpdateExpression: ")  # noqa: PT017
        return
    before = copy.deepcopy(item)
    try:
        expected = model_apply(tree, item, given_values)
    except Refused:
        expected = None
    try:
        after = update.apply(item)
    except DynamoDBError:
        after = None
    assert after == expected
    assert item == before
