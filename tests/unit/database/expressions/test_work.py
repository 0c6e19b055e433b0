"""The work of an expression is bounded by the size of its operands, not by that times the length of its text.

Work is counted in members looked at, not in time.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from blotter.database.expressions import Condition, ExpressionAttributes, Update, memo
from blotter.database.expressions.evaluator import compile_condition
from blotter.database.expressions.syntax import In, Path, Value
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.size import LimitExceeded, limited_item_size
from blotter.database.model.values import canonical_bytes, values_equal

MANY = 2_000
TOO_LARGE = "Item size to update has exceeded the maximum allowed size"


class Counted(list[Any]):
    """A list that counts how often it is read from one end to the other."""

    def __init__(self, members: Any) -> None:
        super().__init__(members)
        self.passes = 0

    def __iter__(self) -> Any:
        self.passes += 1
        return super().__iter__()

    def __contains__(self, value: object) -> bool:
        self.passes += 1
        return super().__contains__(value)


def condition(text: str, values: dict[str, Any]) -> Condition:
    return ExpressionAttributes(None, values).condition("ConditionExpression", text)


def update(text: str, values: dict[str, Any]) -> Update:
    return ExpressionAttributes(None, values).update(text)


def test_elements_of_a_list_are_hashed_once_for_many_contains() -> None:
    elements = Counted({"N": str(n)} for n in range(MANY))
    text = " OR ".join(f"contains(l, :v{n})" for n in range(100))
    values = {f":v{n}": {"N": str(MANY + n)} for n in range(100)}
    assert not condition(text, values).matches({"l": {"L": elements}})
    assert elements.passes == 1
    values[":v99"] = {"N": str(MANY - 1)}
    assert condition(text, values).matches({"l": {"L": elements}})


def test_elements_of_a_long_list_are_hashed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(memo, "give_way", lambda: calls.append(None))
    text = " OR ".join(f"contains(l, :v{n})" for n in range(100))
    values = {f":v{n}": {"N": str(n)} for n in range(100)}
    assert not condition(text, values).matches({"l": {"L": [{"BOOL": True}] * 50_000}})
    assert len(calls) >= 50_000 // 10_000


@pytest.mark.parametrize(("set_type", "type_"), [("SS", "S"), ("NS", "N"), ("BS", "B")])
def test_members_of_a_set_are_hashed_once_for_many_contains(set_type: str, type_: str) -> None:
    members = Counted(str(n).zfill(4) for n in range(MANY))
    text = " OR ".join(f"contains(s, :v{n})" for n in range(100))
    values = {f":v{n}": {type_: f"x{n}"} for n in range(100)}
    assert not condition(text, values).matches({"s": {set_type: members}})
    assert members.passes == 1


def test_equality_of_large_operands_is_judged_on_bytes_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def counting(value: Any) -> bytes:
        made.append(value)
        return canonical_bytes(value)

    monkeypatch.setattr(memo, "canonical_bytes", counting)
    item = {name: {"NS": [str(n) for n in range(MANY)]} for name in "abcdefgh"}
    values = {f":v{n}": {"NS": [str(m) for m in range(1, MANY)] + [str(MANY + n)]} for n in range(60)}
    candidates = ", ".join(values)
    assert not condition(f"a IN ({candidates}) OR a IN ({candidates}, b.x, c[1])", values).matches(item)
    assert len(made) == 1 + len(values)
    text = " AND ".join(f"{x} = {y}" for x in "abcdefgh" for y in "abcdefgh" if x != y)
    made.clear()
    assert condition(text, {}).matches(item)
    assert len(made) == 8


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SET " + ", ".join(f"a{n} = l" for n in range(300)), {}),
        ("SET " + ", ".join(f"a{n} = list_append(l, l)" for n in range(100)), {}),
        ("SET " + ", ".join(f"m.a{n} = l" for n in range(300)), {}),
        ("ADD " + ", ".join(f"a{n} :s" for n in range(300)), {":s": {"NS": [str(n) for n in range(MANY)]}}),
        ("SET " + ", ".join(f"a{n} = if_not_exists(a{n}, m)" for n in range(100)), {}),
    ],
)
def test_an_update_stops_at_the_size_of_an_item(text: str, values: dict[str, Any]) -> None:
    elements = Counted({"BOOL": True} for _ in range(150_000))
    item = {"l": {"L": elements}, "m": {"M": {str(n): {"BOOL": True} for n in range(20_000)}}}
    if ":s" in values:
        values = {":s": {"NS": [str(n) for n in range(100_000)]}}
    with pytest.raises(DynamoDBError, match=TOO_LARGE):
        update(text, values).apply(item)
    assert elements.passes <= 8


def test_a_wrong_operand_is_named_before_the_size() -> None:
    text = "SET x = n + l, " + ", ".join(f"a{n} = list_append(l, l)" for n in range(50))
    item = {"n": {"N": "1"}, "l": {"L": [{"BOOL": True}] * 1_000}}
    with pytest.raises(DynamoDBError, match="An operand in the update expression has an incorrect data type"):
        update(text, {}).apply(item)


def test_deleting_one_set_from_many_hashes_it_once() -> None:
    members = Counted(str(n) for n in range(MANY))
    text = "DELETE " + ", ".join(f"s{n} :s" for n in range(100))
    item = {f"s{n}": {"SS": ["1", "x"]} for n in range(100)}
    after = update(text, {":s": {"SS": members}}).apply(item)
    assert after == {f"s{n}": {"SS": ["x"]} for n in range(100)}
    assert members.passes == 1


def test_shared_parts_are_measured_up_to_the_limit() -> None:
    inner = {"L": Counted({"BOOL": True} for _ in range(100_000))}
    with pytest.raises(LimitExceeded):
        limited_item_size({"m": {"M": {str(n): inner for n in range(1_000)}}})
    assert inner["L"].passes <= 3
    with pytest.raises(LimitExceeded) as refused:
        limited_item_size({"a": nested(33)})
    assert refused.value.deep
    assert limited_item_size({"a": nested(32)}) == 1 + 31 * 4 + 3


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"L": []}
    for _ in range(levels - 1):
        value = {"L": [value]}
    return value


def test_a_prefix_of_a_binary_is_decoded_as_far_as_it_is_compared() -> None:
    for length in range(7):
        for start in range(length + 1):
            whole, prefix = bytes(range(length)), bytes(range(start))
            values = {":p": {"B": b64encode(prefix).decode()}}
            item = {"b": {"B": b64encode(whole).decode()}}
            assert condition("begins_with(b, :p)", values).matches(item)
            values = {":p": {"B": b64encode(prefix + b"x").decode()}}
            assert not condition("begins_with(b, :p)", values).matches(item)


def test_canonical_bytes_tell_sets_from_texts_that_look_like_sets() -> None:
    a = {"M": {"SS": {"S": '"SS":["b","a"]'}, "x": {"L": [{"SS": ["b", "a"]}]}}}
    b = {"M": {"x": {"L": [{"SS": ["a", "b"]}]}, "SS": {"S": '"SS":["b","a"]'}}}
    c = {"M": {"x": {"L": [{"SS": ["a", "b"]}]}, "SS": {"S": '"SS":["a","b"]'}}}
    assert (canonical_bytes(a) == canonical_bytes(b)) is values_equal(a, b) is True
    assert (canonical_bytes(a) == canonical_bytes(c)) is values_equal(a, c) is False


def test_a_requests_values_are_looked_at_once_for_many_items() -> None:
    members = Counted(str(n) for n in range(MANY))
    text = " OR ".join(["a = :v"] * 10)
    test = condition(text, {":v": {"L": [{"NS": members}]}})
    passes = members.passes
    for _ in range(100):
        assert not test.matches({"a": {"L": [{"NS": ["1"]}]}})
    assert passes == members.passes <= 2
    assert test.matches({"a": {"L": [{"NS": [*reversed(members)]}]}})


def test_members_of_nested_documents_are_compared_once_at_every_level() -> None:
    class Member(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Member.compared += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    def document(last: str) -> dict[str, Any]:
        value: dict[str, Any] = {"L": [*({"S": Member("x")} for _ in range(100)), {"S": last}]}
        for _ in range(29):
            value = {"L": [value]}
        return value

    assert not values_equal(document("y"), document("z"))
    assert Member.compared <= 200
    assert values_equal(document("y"), document("y"))


def test_many_values_of_one_in_are_looked_up_in_a_set() -> None:
    names = {f":v{n}": {"S": f"x{n}"} for n in range(MANY)}
    text = f"a IN ({', '.join(list(names)[:100])})"
    assert condition(text, dict(list(names.items())[:100])).matches({"a": {"S": "x99"}})
    tree = In(Path(("a",)), tuple(Value(name) for name in names))
    values = {**names, ":n": {"N": "1"}, ":s": {"SS": ["q"]}}
    types = {name: next(iter(value)) for name, value in values.items()}
    tree = In(tree.operand, (*tree.candidates, Value(":n"), Value(":s"), Path(("b",))))
    test = Condition(compile_condition(tree, {}, types), values, (), "Filter Expression")
    for wanted in ({"S": "x0"}, {"S": f"x{MANY - 1}"}, {"N": "1"}, {"SS": ["q"]}):
        assert test.matches({"a": wanted})
    for unwanted in ({"S": "1"}, {"N": "2"}, {"SS": ["x0"]}, {"B": "x0"}):
        assert not test.matches({"a": unwanted})
    assert test.matches({"a": {"S": "other"}, "b": {"S": "other"}})
    assert not test.matches({})
