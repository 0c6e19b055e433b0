"""What updates make of an item, and what they refuse because of it.

architect/dynalite, test/updateItem.js; nubo-db/dynamodb-conformance, tests/tier1/updateItem; returned values:
scylladb/scylladb, test/alternator/test_returnvalues.py.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from blotter.database.expressions import ExpressionAttributes, Update
from blotter.database.model.errors import DynamoDBError

ITEM = {
    "a": {"S": "key"},
    "n": {"N": "10"},
    "m": {"M": {"x": {"N": "1"}, "y": {"S": "why"}, "child": {"M": {"deep": {"S": "d"}}}}},
    "l": {"L": [{"S": "0"}, {"S": "1"}, {"S": "2"}, {"M": {"q": {"N": "1"}}}]},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
}

MISSING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
INVALID_PATH = "The document path provided in the update expression is invalid for update"


def update(text: str, names: dict[str, str] | None = None, **values: Any) -> Update:
    attributes = ExpressionAttributes(names, {f":{name}": value for name, value in values.items()} or None)
    update = attributes.update(text)
    attributes.finish()
    return update


def changed(text: str, item: dict[str, Any] = ITEM, **values: Any) -> dict[str, Any]:
    """What differs after the update: new values, and None for what went."""
    before = copy.deepcopy(item)
    after = update(text, **values).apply(item)
    assert item == before, "the old item must stay as it is"
    difference = {name: after.get(name) for name in after.keys() | item.keys()}
    return {name: value for name, value in difference.items() if value != item.get(name)}


def refusal(text: str, item: dict[str, Any] = ITEM, **values: Any) -> str:
    with pytest.raises(DynamoDBError) as raised:
        update(text, **values).apply(item)
    assert raised.value.code == "ValidationException"
    return raised.value.message


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("SET b = :v", {"v": {"L": []}}, {"b": {"L": []}}),
        ("SET b = n, n = :v", {"v": {"S": "x"}}, {"b": {"N": "10"}, "n": {"S": "x"}}),
        ("SET n = n + :v", {"v": {"N": "5"}}, {"n": {"N": "15"}}),
        ("SET n = (n - :v)", {"v": {"N": "0.5"}}, {"n": {"N": "9.5"}}),
        ("SET n = :v - n", {"v": {"N": "1"}}, {"n": {"N": "-9"}}),
        ("SET m.x = m.x + m.x", {}, {"m": {"M": {**ITEM["m"]["M"], "x": {"N": "2"}}}}),  # type: ignore[dict-item]
        ("SET b = if_not_exists(b, :v)", {"v": {"N": "1"}}, {"b": {"N": "1"}}),
        ("SET n = if_not_exists(n, :v)", {"v": {"N": "1"}}, {}),
        ("SET c = if_not_exists(b, n)", {}, {"c": {"N": "10"}}),
        ("SET c = if_not_exists(b, if_not_exists(d, :v))", {"v": {"N": "7"}}, {"c": {"N": "7"}}),
        ("SET n = if_not_exists(n, :d) - :v", {"d": {"N": "0"}, "v": {"N": "3"}}, {"n": {"N": "7"}}),
        ("SET c = list_append(:v, l[3].z)", None, MISSING),
        (
            "SET c = list_append(if_not_exists(c, :e), :v)",
            {"e": {"L": []}, "v": {"L": [{"S": "x"}]}},
            {"c": {"L": [{"S": "x"}]}},
        ),
    ],
)
def test_set(text: str, values: dict[str, Any] | None, expected: Any) -> None:
    if values is None:
        assert refusal(text, v={"L": []}) == expected
    else:
        assert changed(text, **values) == expected


def test_list_append_keeps_the_order_of_its_operands() -> None:
    item = {"l": {"L": [{"S": "b"}]}}
    more = {"L": [{"S": "a"}]}
    assert changed("SET l = list_append(:v, l)", item, v=more) == {"l": {"L": [{"S": "a"}, {"S": "b"}]}}
    assert changed("SET l = list_append(l, :v)", item, v=more) == {"l": {"L": [{"S": "b"}, {"S": "a"}]}}


def texts(value: dict[str, Any]) -> list[str]:
    return [element["S"] for element in value["L"]]


LETTERS = {"l": {"L": [{"S": letter} for letter in "abcd"]}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET l[1] = :v", "aVcd"),
        ("SET l[9] = :v", "abcdV"),
        ("SET l[9] = :w, l[7] = :v, l[0] = :v", "VbcdVW"),
        ("SET l[4] = :v, l[5] = :w", "abcdVW"),
        ("REMOVE l[1]", "acd"),
        ("REMOVE l[3], l[0]", "bc"),
        ("REMOVE l[0], l[1], l[7]", "cd"),
        ("REMOVE l[1] SET l[2] = :v, l[8] = :w", "aVdW"),
    ],
)
def test_list_elements_keep_their_old_positions_until_the_end(text: str, expected: str) -> None:
    values = {name: {"S": name.upper()} for name in "vw" if f":{name}" in text}
    assert "".join(texts(changed(text, LETTERS, **values)["l"])) == expected


def test_an_empty_list_takes_its_first_element() -> None:
    assert changed("SET l[0] = :v", {"l": {"L": []}}, v={"N": "1"}) == {"l": {"L": [{"N": "1"}]}}


def test_nested_targets_leave_their_neighbours() -> None:
    after = update("SET m.child.deep = :v, m.fresh = :v REMOVE m.x, l[3].q", v={"S": "!"}).apply(ITEM)
    assert after["m"] == {"M": {"y": {"S": "why"}, "child": {"M": {"deep": {"S": "!"}}}, "fresh": {"S": "!"}}}
    assert after["l"]["L"][3] == {"M": {}}
    assert after["l"]["L"][:3] == ITEM["l"]["L"][:3]  # type: ignore[index]
    assert after["n"] is ITEM["n"]


@pytest.mark.parametrize("text", ["REMOVE gone", "REMOVE m.gone", "REMOVE l[8]", "DELETE gone :v"])
def test_removing_nothing_changes_nothing(text: str) -> None:
    values = {"v": {"SS": ["a"]}} if ":v" in text else {}
    assert changed(text, **values) == {}


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("ADD n :v", {"N": "-3"}, {"n": {"N": "7"}}),
        ("ADD tally :v", {"N": "4"}, {"tally": {"N": "4"}}),
        ("ADD ss :v", {"SS": ["b", "c"]}, {"ss": {"SS": ["a", "b", "c"]}}),
        ("ADD tags :v", {"SS": [""]}, {"tags": {"SS": [""]}}),
        ("ADD ns :v", {"NS": ["2"]}, {}),
        ("ADD m.x :v", {"N": "1"}, {"m": {"M": {**ITEM["m"]["M"], "x": {"N": "2"}}}}),  # type: ignore[dict-item]
        ("DELETE ss :v", {"SS": ["b", "z"]}, {"ss": {"SS": ["a"]}}),
        ("DELETE ss :v", {"SS": ["b", "a"]}, {"ss": None}),
        ("DELETE ns :v", {"NS": ["1"]}, {"ns": {"NS": ["2"]}}),
    ],
)
def test_add_and_delete(text: str, value: Any, expected: Any) -> None:
    assert changed(text, v=value) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("delete ns :v", {"SS": ["1"]}),
        ("delete m :v", {"NS": ["1"]}),
        ("delete m.x :v", {"NS": ["1"]}),
        ("add m :v", {"NS": ["1"]}),
        ("add ns :v", {"N": "1"}),
        ("add a :v", {"N": "1"}),
        ("set e = a + :v", {"N": "1"}),
        ("set e = m - :v", {"N": "1"}),
        ("set e = list_append(n, if_not_exists(f, :v))", {"L": []}),
        ("set e = if_not_exists(f, :v) + n", {"S": "x"}),
        # A wrong type is reported before what is missing.
        ("set e = a + :v, f = gone", {"N": "1"}),
        ("set f = gone, e = a + :v", {"N": "1"}),
    ],
)
def test_operands_of_the_wrong_type(text: str, value: Any) -> None:
    assert refusal(text, v=value) == WRONG_TYPE


@pytest.mark.parametrize(
    "text",
    [
        "set c = b",
        "set e = list_append(l, c)",
        "set n = n + c",
        "set x = :v, y = x",
        "set c = m.z",
        "set c = l[9]",
    ],
)
def test_attributes_that_are_not_there(text: str) -> None:
    assert refusal(text, **({"v": {"N": "1"}} if ":v" in text else {})) == MISSING


@pytest.mark.parametrize("parent", ["a", "gone", "m.gone", "l[9]", "m[1]", "l.x", "n[0]", "a.b"])
@pytest.mark.parametrize("form", ["set {} = :v", "remove {} set z = :v", "add {} :v", "delete {} :v"])
@pytest.mark.parametrize("step", [".deeper", "[1]"])
def test_paths_without_a_parent(parent: str, form: str, step: str) -> None:
    assert refusal(form.format(parent + step), v={"SS": ["x"]}) == INVALID_PATH


@pytest.mark.parametrize("path", ["m[1]", "l.x", "l[0].x", "m.x.y", "m.y[0]"])
def test_parents_of_the_wrong_kind(path: str) -> None:
    assert refusal(f"set {path} = :v, e = gone", v={"S": "x"}) == INVALID_PATH


def test_the_last_section_is_looked_at_first() -> None:
    assert refusal("REMOVE nowhere.x SET b = gone") == MISSING
    assert refusal("SET b = gone REMOVE nowhere.x") == INVALID_PATH


def test_numbers_out_of_range() -> None:
    item = {"n": {"N": "9" * 38 + "0" * 88}}
    assert refusal("SET n = n + n", item).startswith("Number overflow.")
    assert refusal("ADD n :v", item, v=item["n"]).startswith("Number overflow.")


def test_an_update_can_make_an_item() -> None:
    assert update("SET b = :v ADD c :v", v={"N": "1"}).apply({"a": {"S": "key"}}) == {
        "a": {"S": "key"},
        "b": {"N": "1"},
        "c": {"N": "1"},
    }
    assert update("SET b = :v", v={"N": "1"}).creates
    assert update("ADD b :v", v={"N": "1"}).creates
    assert not update("REMOVE b DELETE c :v", v={"SS": ["a"]}).creates


@pytest.mark.parametrize(
    ("text", "new", "old"),
    [
        ("SET n = :v, z = :v", {"n": {"S": "v"}, "z": {"S": "v"}}, {"n": {"N": "10"}}),
        ("REMOVE n, z", {}, {"n": {"N": "10"}}),
        ("SET m.y = :v", {"m": {"M": {"y": {"S": "v"}}}}, {"m": {"M": {"y": {"S": "why"}}}}),
        ("SET m.fresh = :v", {"m": {"M": {"fresh": {"S": "v"}}}}, {}),
        ("SET l[1] = :v, m.y = :v", {"l": {"L": [{"S": "v"}]}, "m": {"M": {"y": {"S": "v"}}}}, None),
        # What AWS does, odd as it is: an element set past the end has no path of its own, and after a removal
        # another element stands at the path.
        ("SET l[100] = :v", {}, {}),
        ("REMOVE l[1], l[9]", {"l": {"L": [{"S": "2"}]}}, {"l": {"L": [{"S": "1"}]}}),
    ],
)
def test_returned_values(text: str, new: Any, old: Any) -> None:
    update_ = update(text, **({"v": {"S": "v"}} if ":v" in text else {}))
    after = update_.apply(ITEM)
    assert update_.updated_new(ITEM, after) == new
    if old is not None:
        assert update_.updated_old(ITEM, after) == old


def test_what_an_update_touches() -> None:
    touches = update("SET a.b = c.d + e, f = if_not_exists(g[0], h) REMOVE i", {})
    assert touches.paths == (("a", "b"), ("f",), ("i",))
    assert touches.written_names == {"a", "f", "i"}
    assert touches.top_level_names == {"a", "c", "e", "f", "g", "h", "i"}
    assert touches.nested_names == ("a", "c", "g")


def test_key_attributes_are_not_updated() -> None:
    update_ = update("SET x = :v, sk.y = :v", v={"N": "1"})
    update_.refuse_keys(("pk",))
    with pytest.raises(DynamoDBError) as raised:
        update_.refuse_keys(("pk", "sk"))
    assert raised.value.message == (
        "One or more parameter values were invalid: Cannot update attribute sk. This attribute is part of the key"
    )
