"""Statements that are executed: what they read, write and ask for.

paritysuite/dynamodb-conformance, tests/tier2/partiql; nubo-db/dynamodb-conformance, tests/tier2/partiql; Floci's
DynamoDbPartiQLDocumentedSyntaxIntegrationTest; AWS's developer guide, "PartiQL for DynamoDB reference".
"""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import KeyClause, partiql
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import KeyAttribute, KeySchema

HASH = KeySchema((KeyAttribute("pk", "S"),))
NUMBER = KeySchema((KeyAttribute("pk", "N"),))
COMPOSITE = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "S"),))

ITEM: dict[str, Any] = {
    "pk": {"S": "a"},
    "sk": {"S": "1"},
    "ss": {"SS": ["a", "b", "c"]},
    "ns": {"NS": ["1", "2"]},
    "s": {"S": "str"},
    "n": {"N": "5"},
    "m": {"M": {"sub": {"S": "x"}, "k": {"L": [{"N": "0"}, {"N": "1"}]}}},
    "l": {"L": [{"N": "10"}, {"N": "20"}, {"N": "30"}]},
    "nul": {"NULL": True},
    "flag": {"BOOL": True},
    "b": {"B": "AQIDBA=="},
    'it\'s "x"': {"N": "1"},
}


def bound(statement: str, *parameters: dict[str, Any]) -> Any:
    return partiql.read(statement).bind(list(parameters))


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(DynamoDBError) as refused:
        call(*arguments)
    assert refused.value.code == "ValidationException"
    return refused.value.message


# WHERE


def holds(condition: str, *parameters: dict[str, Any]) -> bool:
    where = bound(f"SELECT * FROM T WHERE {condition}", *parameters).where
    return bool(where.condition.matches(ITEM))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("attribute_exists(ss)", True),
        ("attribute_exists(nope)", False),
        ("attribute_not_exists(nope)", True),
        ("NOT attribute_exists(nope)", True),
        ("ATTRIBUTE_EXISTS(ss)", True),
        ("(attribute_exists(nope) OR attribute_exists(ss))", True),
        ("attribute_exists(ss) = true", True),
        ("attribute_exists(ss) = false", False),
        ("true <> attribute_exists(nope)", True),
        ('attribute_exists("ss")', True),
        ("attribute_exists(m.sub)", True),
        ("attribute_exists(m.nope)", False),
        ("attribute_exists(m['sub'])", True),
        ("m.k[1] = 1", True),
        ("size(s) = 3", True),
        ("size(s) = 4", False),
        ("SIZE(b) > 3", True),
        ("attribute_type(ss, 'SS')", True),
        ("attribute_type(ss, 'S')", False),
        ("nul IS NULL", True),
        ("s IS NULL", False),
        ("absent IS NULL", False),
        ("s IS NOT NULL", True),
        ("nul IS NOT NULL", False),
        ("absent IS MISSING", True),
        ("absent IS NOT MISSING", False),
        ("flag IS BOOL", True),
        ("s IS STRING", True),
        ("s IS BOOL", False),
        ("n IS NUMERIC and m is struct and m is tuple and l is list and b is blob", True),
        ("contains(s, 'tr')", True),
        ("contains(ss, 'a')", True),
        ("begins_with(s, 'st')", True),
        ("n != 4", True),
        ("n IN [3, 5]", True),
        ("n in (3, 4)", False),
        ("n NOT IN (3, 4)", True),
        ("n BETWEEN 4 AND 5 AND s = 'str'", True),
        ("n NOT BETWEEN 4 AND 5", False),
        ("NOT n = 4 AND n = 5", True),
        ("n = 4 OR n = 5 AND s = 'x'", False),
        ("(n = 4 OR n = 5) AND s = 'str'", True),
        ("5 = n", True),
        ("n > .4e1 AND n < 5.0001 AND -1 < n AND n = +5", True),
        ('"it\'s ""x""" = 1', True),
        ("flag = true AND nul = null", True),
        ("ns = <<2, 1>>", True),
        ("l = [10, 20, 30]", True),
        ("m = {'k': [0, 1], 'sub': 'x'}", True),
        ("s = 'it''s'", False),
    ],
)
def test_conditions(condition: str, expected: bool) -> None:
    assert holds(condition) is expected


def test_parameters_stand_for_values() -> None:
    assert holds("n = ? AND ss = ?", {"N": "5"}, {"SS": ["c", "a", "b"]})
    assert not holds("n = ? AND ss = ?", {"N": "5"}, {"SS": ["c", "a"]})
    assert holds("m = ?", {"M": {"k": {"L": [{"N": "0"}, {"N": "1"}]}, "sub": {"S": "x"}}})
    assert holds("n IN (?, ?)", {"S": "5"}, {"N": "5"})
    assert not holds("s = '?'")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("attribute_exists(nope) = false", True),
        ("true = attribute_exists(n)", True),
        ("attribute_exists(n) <> 1", True),
        ("attribute_exists(n) = 1", False),
        ("(n BETWEEN 0 AND 5) = true", True),
        ("(n = 6 OR s = 'nope') = false", True),
        ("attribute_exists(nope) IN [true, false]", True),
        ("attribute_exists(nope) IN [true]", False),
        ("attribute_exists(n) = attribute_exists(s)", True),
        ("attribute_exists(n) = attribute_exists(nope)", False),
        ("NOT attribute_exists(n) = true", False),
        ("(attribute_exists(n) = true) = false", False),
        ("attribute_exists(n) = s", False),
        ("attribute_exists(n) = ?", True),
    ],
)
def test_a_condition_compared_with_a_value(where: str, expected: bool) -> None:
    assert holds(where, *([{"BOOL": True}] if "?" in where else [])) is expected


def test_conditions_compared_with_values_do_not_grow() -> None:
    nested = "attribute_exists(n)"
    for _ in range(20):
        nested = f"({nested} = n)"
    assert refusal(partiql.read, f"SELECT * FROM T WHERE {nested}") == "Unsupported operation: Eq"
    assert holds("(" * 20 + "attribute_exists(n)" + " = true)" * 20)


def test_a_statement_is_compiled_for_each_type_of_its_parameters() -> None:
    statement = "SELECT * FROM T WHERE n > ?"
    assert holds("n > ?", {"N": "4"})
    assert not holds("n > ?", {"S": "4"})
    assert holds("n > ?", {"N": "4"})
    unordered = "Incorrect operand type for operator or function; operator or function: >, operand type: BOOL"
    assert refusal(partiql.read(statement).bind, [{"BOOL": True}]) == unordered
    assert partiql.read(statement) is partiql.read(statement)


def test_bounds_are_checked_for_every_request() -> None:
    statement = partiql.read("SELECT * FROM T WHERE n BETWEEN ? AND ?")
    statement.bind([{"N": "1"}, {"N": "2"}])
    assert refusal(statement.bind, [{"N": "2"}, {"N": "1"}]) == (
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        "lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"
    )


def test_comments_and_case_do_not_matter() -> None:
    select = bound("-- first\nselect a /* one */ from \"T\"\n-- where?\nwhere pk = 'x' -- end")
    assert select.table == "T"
    assert select.where.key(HASH) == {"pk": {"S": "x"}}


def test_a_long_condition_is_no_deep_one() -> None:
    assert holds(" OR ".join(f"n = {number}" for number in range(6, 900)) + " OR n = 5")


# SELECT


def test_what_is_selected() -> None:
    select = bound('SELECT pk, m.k[1], l[0], m.sub, "absent" FROM "T"."i"')
    assert (select.table, select.index, select.where) == ("T", "i", None)
    assert select.columns.project(ITEM) == {
        "pk": {"S": "a"},
        "k[1]": {"N": "1"},
        "l[0]": {"N": "10"},
        "sub": {"S": "x"},
    }
    assert bound("SELECT * FROM T;").columns is None
    columns = bound("SELECT alternate, pk, m.x FROM T").columns
    columns.refuse_unprojected("gsi2", {"alternate", "pk", "m"})
    assert refusal(columns.refuse_unprojected, "gsi2", {"pk"}) == (
        "One or more parameter values were invalid: Global secondary index gsi2 does not project [alternate, m]"
    )


def ranges(where: str, keys: KeySchema = COMPOSITE) -> list[tuple[str, tuple[KeyClause, ...]]] | None:
    plan = bound(f"SELECT * FROM T WHERE {where}").plan(keys)
    assert plan.reverse is False
    if plan.ranges is None:
        return None
    return [(part.partition[0]["S"], part.sort) for part in plan.ranges]


def sort(operator: Any, *operands: str) -> tuple[KeyClause, ...]:
    return (KeyClause("sk", operator, tuple({"S": operand} for operand in operands)),)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("pk = 'a'", [("a", ())]),
        ("'a' = pk AND n = 1", [("a", ())]),
        ("pk = 'a' AND sk = '1'", [("a", sort("=", "1"))]),
        ("pk = 'a' AND sk > '1' AND sk < '5'", [("a", sort(">", "1"))]),
        ("pk = 'a' AND '1' > sk", [("a", sort("<", "1"))]),
        ("pk = 'a' AND sk BETWEEN '1' AND '2'", [("a", sort("BETWEEN", "1", "2"))]),
        ("pk = 'a' AND begins_with(sk, 'x')", [("a", sort("begins_with", "x"))]),
        ("pk = 'a' OR pk = 'b'", [("a", ()), ("b", ())]),
        ("pk IN ['a', 'b'] AND sk = '1'", [("a", sort("=", "1")), ("b", sort("=", "1"))]),
        ("(pk = 'a' OR pk = 'b') AND n = 1", [("a", ()), ("b", ())]),
        ("pk = 'a' AND sk IN ['2', '1']", [("a", sort("=", "1")), ("a", sort("=", "2"))]),
        ("pk = 'a' AND sk = '2' OR pk = 'a' AND sk < '2'", [("a", sort("<", "2")), ("a", sort("=", "2"))]),
        ("pk = 'a' AND NOT sk = '1' OR pk = 'a' AND sk = '2'", [("a", ())]),
        ("pk = 'a' AND sk <> '1' OR pk = 'a' AND sk = '2'", [("a", ())]),
        ("pk = 'a' AND NOT begins_with(sk, 'x') OR pk = 'a' AND sk = '2'", [("a", ())]),
        ("pk = 'a' OR pk = 'a' AND NOT sk = '1'", [("a", ())]),
        ("pk = 'a' AND (sk > '1' OR sk < '1')", [("a", sort("<", "1")), ("a", sort(">", "1"))]),
        ("pk = 'a' AND (n = 1 OR n = 2)", [("a", ())]),
        ("pk > 'a'", None),
        ("n = 1", None),
        ("pk = 'a' OR n = 1", None),
        ("NOT pk = 'a'", None),
        ("pk.x = 'a'", None),
        ("pk = sk", None),
    ],
)
def test_what_a_select_reads(where: str, expected: Any) -> None:
    assert ranges(where) == expected


@pytest.mark.parametrize(
    "where",
    [
        "pk = 'a' AND x = '1' OR pk = 'a' AND sk = '2'",
        "pk = 'a' AND x <> '1' OR pk = 'a' AND sk = '2'",
        "pk = 'a' AND sk > '1' OR pk = 'a' AND sk = '2'",
        "pk = 'a' AND begins_with(sk, 'x') OR pk = 'a' AND sk BETWEEN 'w' AND 'xx'",
        "pk = 'a' AND sk IN ['1', '1']",
        "pk IN ['a', 'a']",
        "pk = 'a' AND n = 1 OR pk = 'a' AND n = 2",
        "pk = 'a' AND (sk > '0' OR sk < '5')",
        "pk = 'a' AND (sk = '1' OR n = 5)",
    ],
)
def test_ranges_that_overlap(where: str) -> None:
    message = "Overlapping conditions with range keys are not supported in where clause"
    assert refusal(ranges, where) == message


def test_keys_have_their_type() -> None:
    message = "Key attribute's data type should match its data type in table's schema: Key "
    assert refusal(ranges, "pk = 5") == message + "pk"
    assert refusal(ranges, "pk = 'a' AND sk > 5") == message + "sk"
    assert refusal(bound("DELETE FROM T WHERE pk = 5").target, HASH) == message + "pk"
    assert refusal(ranges, "pk = ''").endswith("cannot contain an empty string value. Key: pk")


def order(statement: str) -> tuple[list[str], bool]:
    plan = bound(f"SELECT * FROM T {statement}").plan(COMPOSITE)
    return [part.partition[0]["S"] + "".join(c.operands[0]["S"] for c in part.sort) for part in plan.ranges], (
        plan.reverse
    )


def test_order() -> None:
    assert order("WHERE pk = 'o' ORDER BY sk DESC") == (["o"], True)
    assert order("WHERE pk = 'o' ORDER BY sk") == (["o"], False)
    assert order("WHERE pk = 'o' ORDER BY pk ASC") == (["o"], True)
    assert order("WHERE pk IN ['o', 'p'] ORDER BY pk DESC, sk ASC") == (["p", "o"], False)
    assert order("WHERE pk IN ['p', 'o'] ORDER BY pk") == (["o", "p"], True)
    assert order("WHERE pk IN ['p', 'o'] AND sk IN ['1', '2'] ORDER BY pk, sk DESC") == (
        ["o2", "o1", "p2", "p1"],
        True,
    )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ORDER BY sk", "Must have WHERE clause in the statement when using ORDER BY clause."),
        (
            "WHERE pk = 'o' ORDER BY Total DESC",
            "Attribute Total in ORDER BY clause must be part of the primary key",
        ),
        (
            "WHERE pk > 'a' ORDER BY sk",
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        ),
        (
            "WHERE pk IN ['o', 'p'] ORDER BY sk DESC",
            "Must have hash key in ORDER BY clause when more than one hash key condition specified in "
            "WHERE clause.",
        ),
    ],
)
def test_an_order_that_no_key_gives(statement: str, message: str) -> None:
    assert refusal(order, statement) == message


def test_indexes_with_several_key_attributes() -> None:
    two = (KeyAttribute("h1", "S"), KeyAttribute("h2", "S"))
    select = bound("SELECT * FROM T.i WHERE h1 = 5 ORDER BY x")
    for keys in (KeySchema(two), KeySchema(two[:1], two)):
        assert refusal(select.plan, keys) == (
            "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute "
            "RANGE keys."
        )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM T.i WHERE pk = 'a'",
        "SELECT * FROM T WHERE pk = 'a' AND attribute_exists(ss)",
        "SELECT * FROM T WHERE pk IN ['a', 'b']",
        "SELECT * FROM T WHERE pk = 'a' AND pk = 'b'",
        "SELECT * FROM T",
        "SELECT * FROM T WHERE n = 1",
    ],
)
def test_a_select_by_key_alone(statement: str) -> None:
    assert refusal(bound(statement).key, HASH, "BatchExecuteStatement") == (
        "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
    )
    for where in ("'a' = pk", "pk IN ['a']", "(pk IN ['a']) AND pk = 'a'"):
        assert bound(f"SELECT * FROM T WHERE {where}").key(HASH, "ExecuteTransaction") == {"pk": {"S": "a"}}


# Writes


def test_insert() -> None:
    insert = bound(
        "INSERT INTO \"T\" value {'pk': 'a', 'n': -1.50e1, 't': true, 'nothing': null, 'q': 'it''s', 'zero': -0,"
        " 'l': [1, 'x', []], 'm': {'a': {}, 'b': 7}, 'ns': <<1, 34, 4.5>>, 'ss': <<'x', 'y'>>, 'p': ?}",
        {"BS": ["AQ=="]},
    )
    assert insert.table == "T"
    assert insert.item == {
        "pk": {"S": "a"},
        "n": {"N": "-15"},
        "t": {"BOOL": True},
        "nothing": {"NULL": True},
        "q": {"S": "it's"},
        "zero": {"N": "0"},
        "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]},
        "m": {"M": {"a": {"M": {}}, "b": {"N": "7"}}},
        "ns": {"NS": ["1", "4.5", "34"]},
        "ss": {"SS": ["x", "y"]},
        "p": {"BS": ["AQ=="]},
    }


def updated(assignments: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    """What an update changes; None for what it removes."""
    update = bound(f"UPDATE T {assignments} WHERE pk = 'a'", *parameters).update
    new = update.apply(ITEM)
    changed = {name: new.get(name) for name in {**ITEM, **new} if new.get(name) != ITEM.get(name)}
    assert set(changed) <= update.top_level_names
    return changed


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ("SET s = 'new'", {"s": {"S": "new"}}),
        ("SET n = n + 100", {"n": {"N": "105"}}),
        ("SET n = 1 - n", {"n": {"N": "-4"}}),
        ("SET x = 1, y = n SET z = 'z'", {"x": {"N": "1"}, "y": {"N": "5"}, "z": {"S": "z"}}),
        ("REMOVE s REMOVE absent SET x = 1", {"s": None, "x": {"N": "1"}}),
        ("REMOVE l[1] SET l[2] = 33", {"l": {"L": [{"N": "10"}, {"N": "33"}]}}),
        ("SET l = LIST_APPEND(l, [4, <<'x'>>])", {"l": {"L": [*ITEM["l"]["L"], {"N": "4"}, {"SS": ["x"]}]}}),
        ("SET l = list_append([1], l)", {"l": {"L": [{"N": "1"}, *ITEM["l"]["L"]]}}),
        ("SET x = if_not_exists(x, 0)", {"x": {"N": "0"}}),
        ("SET m.sub = 'y' REMOVE m.k", {"m": {"M": {"sub": {"S": "y"}}}}),
        ("SET ss = set_add(ss, <<'c', 'z'>>)", {"ss": {"SS": ["a", "b", "c", "z"]}}),
        ("SET ns = SET_ADD(ns, <<4, 1>>)", {"ns": {"NS": ["1", "2", "4"]}}),
        ("SET nss = set_add(nss, <<'x'>>)", {"nss": {"SS": ["x"]}}),
        ("SET ss = set_delete(ss, <<'a', 'zz'>>)", {"ss": {"SS": ["b", "c"]}}),
        ("SET ss = set_delete(ss, <<'a', 'b', 'c'>>)", {"ss": None}),
        ("SET nss = set_delete(nss, <<'a'>>)", {}),
    ],
)
def test_updates(assignments: str, expected: dict[str, Any]) -> None:
    assert updated(assignments) == expected


def test_updates_with_parameters() -> None:
    assert updated("SET x = ?, l[0] = ?", {"N": "1"}, {"M": {"a": {"S": "s"}}}) == {
        "x": {"N": "1"},
        "l": {"L": [{"M": {"a": {"S": "s"}}}, *ITEM["l"]["L"][1:]]},
    }
    assert updated("SET bs = set_add(bs, ?)", {"BS": ["AQ=="]}) == {"bs": {"BS": ["AQ=="]}}


def test_updates_that_the_item_refuses() -> None:
    wrong_type = "An operand in the update expression has an incorrect data type"
    assert refusal(updated, "SET ss = set_add(ss, <<1>>)") == wrong_type
    assert refusal(updated, "SET s = set_delete(s, <<'x'>>)") == wrong_type
    assert refusal(updated, "SET x = list_append(x, [1])") == (
        "The provided expression refers to an attribute that does not exist in the item"
    )


def test_paths_that_overlap() -> None:
    assert refusal(bound, "UPDATE T SET a = 1 REMOVE a.b WHERE pk = 'a'") == (
        "Two document paths overlap with each other; must remove or rewrite one of these paths; "
        "path one: [a], path two: [a, b]"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE T SET c = 1 WHERE pk = 'a' AND n = ? RETURNING ALL NEW *",
        "FROM T WHERE pk = 'a' AND n = ? SET c = 1 RETURNING ALL NEW *",
        "from T where n = ? and pk = 'a' set c = 1 returning all new *;",
    ],
)
def test_both_forms_of_update(statement: str) -> None:
    update = bound(statement, {"N": "5"})
    assert update.returning == "ALL_NEW"
    key, condition = update.target(HASH)
    assert key == {"pk": {"S": "a"}}
    assert condition.matches(ITEM)
    assert not condition.matches({**ITEM, "n": {"N": "6"}})
    assert not condition.matches(None)
    assert update.update.apply(ITEM)["c"] == {"N": "1"}


def test_an_update_never_makes_an_item() -> None:
    for more in ("", " AND attribute_not_exists(pk)", " AND attribute_not_exists(x)"):
        condition = bound(f"UPDATE T SET a = 1 WHERE pk = 'a'{more}").target(HASH).condition
        assert not condition.matches(None)


def test_delete() -> None:
    key, _ = bound("DELETE FROM T WHERE sk = '1' AND pk = 'a'").target(COMPOSITE)
    assert key == {"pk": {"S": "a"}, "sk": {"S": "1"}}
    delete = bound("DELETE FROM T WHERE pk = 'a' AND attribute_not_exists(nope) AND n = 5 RETURNING ALL OLD *")
    assert delete.returning == "ALL_OLD"
    condition = delete.target(HASH).condition
    assert condition.matches(ITEM)
    assert not condition.matches({**ITEM, "n": {"N": "6"}})


@pytest.mark.parametrize(
    "where", ["", "WHERE a = 1", "WHERE pk = 'a' OR pk = 'b'", "WHERE pk IN ['a']", "WHERE NOT pk = 'a'"]
)
def test_a_write_names_its_item(where: str) -> None:
    message = "Where clause does not contain a mandatory equality on all key attributes"
    for statement in (f"UPDATE T SET c = 1 {where}", f"FROM T {where} REMOVE c", f"DELETE FROM T {where}"):
        assert refusal(bound(statement).target, HASH) == message
    assert refusal(bound("DELETE FROM T WHERE pk = 'a'").target, COMPOSITE) == message


def test_two_equalities_for_one_key() -> None:
    message = "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported"
    assert refusal(bound("DELETE FROM T WHERE pk = 'a' AND pk = 'b'").target, HASH) == message
    assert bound("UPDATE T SET c = 1 WHERE pk = 'a' AND pk = 'a'").target(HASH).key == {"pk": {"S": "a"}}
    exists = bound("EXISTS(SELECT * FROM T WHERE pk = 'a' AND pk = 'b' AND n = 5)")
    key, condition = exists.target(HASH)
    assert key == {"pk": {"S": "a"}}
    assert not condition.matches(ITEM)


def test_a_select_is_no_more_than_50_reads() -> None:
    def read(count: int, more: str = "") -> Any:
        values = ", ".join(f"'{number}'" for number in range(count))
        return bound(f"SELECT * FROM T WHERE pk IN [{values}]{more}")

    message = "Too many decomposed read operations for a given query."
    assert len(read(50).plan(COMPOSITE).ranges) == 50
    assert refusal(read(51).plan, COMPOSITE) == message
    assert refusal(read(26, " AND sk IN ['1', '2']").plan, COMPOSITE) == message
    assert read(51, " OR n = 5").plan(COMPOSITE).ranges is None


def test_exists() -> None:
    exists = bound("EXISTS(SELECT * FROM T WHERE pk = 'a' AND sk = '1' AND awards IS MISSING)")
    assert isinstance(exists, partiql.ExistsStatement)
    key, condition = exists.target(COMPOSITE)
    assert key == {"pk": {"S": "a"}, "sk": {"S": "1"}}
    assert condition is not None
    assert condition.matches(ITEM)
    assert not condition.matches({**ITEM, "awards": {"N": "1"}})
    for statement in (
        "EXISTS(SELECT * FROM T WHERE pk = 'a' AND sk = '1')",
        "EXISTS(SELECT * FROM T WHERE pk = 'a' AND n = 5)",
        "EXISTS(SELECT * FROM T)",
    ):
        assert refusal(bound(statement).target, COMPOSITE) == (
            "EXISTS() must contain a single item read with additional condition"
        )


def test_reads_and_writes_are_told_apart() -> None:
    assert isinstance(bound("SELECT * FROM T"), partiql.SelectStatement)
    for statement in (
        "INSERT INTO T VALUE {'pk': 'a'}",
        "DELETE FROM T WHERE pk = 'a'",
        "FROM T SET a = 1",
        "EXISTS(SELECT * FROM T WHERE pk = 'a')",
    ):
        assert not isinstance(bound(statement), partiql.SelectStatement)


@pytest.mark.parametrize("literal", ["7.31e6", "7.31E6", "7.31e+6", "731e4", "73100000e-1", "7310000.0"])
def test_numbers_however_written(literal: str) -> None:
    plan = bound(f"SELECT * FROM T WHERE pk = {literal}").plan(NUMBER)
    assert plan.ranges is not None
    assert plan.ranges[0].partition == ({"N": "7310000"},)
