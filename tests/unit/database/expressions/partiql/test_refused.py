"""Statements that are refused without a table, and their messages.

paritysuite/dynamodb-conformance, tests/tier3/error-messages/partiqlGrammar.test.ts, partiqlFunctions.test.ts and
partiqlParameterNumbers.test.ts; Floci's DynamoDbPartiQLDocumentedSyntaxIntegrationTest and
DynamoDbPartiQLEdgeCaseIntegrationTest.
"""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import partiql
from blotter.database.model.errors import DynamoDBError

NOT_WELL_FORMED = "Statement wasn't well formed, can't be processed: "
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
DIGITS = "Attempting to store more than 38 significant digits in a Number"
NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)


def refusal(statement: str, *parameters: dict[str, Any]) -> str:
    with pytest.raises(DynamoDBError) as refused:
        partiql.read(statement).bind(list(parameters))
    assert refused.value.code == "ValidationException"
    return refused.value.message


@pytest.mark.parametrize(
    ("detail", "statements"),
    [
        (
            "Unexpected token after expression",
            [
                'SELECT * FROM "T" WHERE pk = 1 foo',
                'SELECT * FROM "T" WHERE pk = 1 e5',
                "INSERT INTO \"T\" VALUE {'pk': 1} foo",
                "INSERT INTO \"T\" t VALUE {'pk': 'x'}",
                'UPDATE "T" SET a = 9 WHERE pk = 2 foo',
                'DELETE FROM "T" WHERE pk = 3 foo',
                'SELECT * FROM "T" WHERE pk = 1)',
                'DELETE FROM "T" WHERE pk = 4 ORDER BY pk',
                'SELECT * FROM "T" ORDER BY pk WHERE pk = 1',
                "FROM \"T\" SET c = 1 WHERE pk = 'x'",
                "FROM \"T\" SET c = 1 WHERE pk = 'x' SET d = 2",
                'SELECTT * FROMM "T"',
            ],
        ),
        (
            "",
            [
                'SELECT * FROM "T" WHERE pk = 1e2147483648',
                'SELECT * FROM "T" WHERE pk = 1e99999999999',
                f'SELECT * FROM "T" WHERE pk = 1e{"9" * 5000}',
                'SELECT * FROM "T" WHERE pk = 1.5e-2147483647',
                'SELECT * FROM "T" WHERE pk = 1 # note',
                'SELECT * FROM "T" WHERE pk = 1 /* note',
                'SELECT * FROM "T" WHERE pk = \'open',
                'SELECT * FROM "T',
                'SELECT * FROM "T" WHERE ' + "(" * 5000,
                'SELECT * FROM "T" WHERE ' + "NOT " * 2000 + "a = 1",
                "SELECT * FROM T WHERE a = " + "- " * 4000 + "b",
                "INSERT INTO T VALUE " + "{'a':" * 1500,
            ],
        ),
        (
            "Unexpected term",
            [
                'SELECT * FROM "T" WHERE',
                'SELECT * FROM "T" WHERE;',
                'SELECT * FROM "T" WHERE   ',
                'UPDATE "T" SET a = 1 WHERE',
                'DELETE FROM "T" WHERE',
                'SELECT * FROM "T" WHERE NOT',
                'SELECT * FROM "T" WHERE (',
                "SELECT * FROM",
                " ",
                "-- nothing",
            ],
        ),
        (
            "Missing right-hand side expression of infix operator",
            ["SELECT * FROM \"T\" WHERE pk = 'p1' AND", "SELECT * FROM \"T\" WHERE pk = 'p1' OR"],
        ),
        ("Expected data manipulation", ["SLECT * FROM \"T\" WHERE pk = 'x'"]),
        ("Unexpected keyword", ['SELECT * FROM "T" WHERE ORDER BY pk', "SELECT * FROM T WHERE pad = 'none'"]),
        ("Expected type name", ["SELECT * FROM \"T\" WHERE pk = 'a' AND x IS FOO"]),
        ("Unexpected operator", ['SELECT * FROM "T" WHERE IS NULL', 'SELECT * FROM "T" WHERE pk = LIKE']),
        (
            "Expected identifier for simple path",
            ["DELETE FROM", "DELETE FROM   ", "DELETE FROM;", "DELETE FROM WHERE pk = 'a'", "UPDATE"],
        ),
        (
            "Invalid path dot component",
            [
                'SELECT * FROM "T" WHERE attribute_exists(m.inner)',
                "UPDATE T SET m.inner = set_add(m.inner, <<'y'>>) WHERE pk = 'a'",
            ],
        ),
        ("Expected data manipulation", ["UPDATE T WHERE pk = 'a'", "FROM T WHERE pk = 'a'"]),
        ("Expected FROM after SELECT list", ["SELECT version();", "SELECT a"]),
        ("Expected FROM after DELETE", ["DELETE T"]),
        ("Expected '='", ["UPDATE T SET a WHERE pk = 'a'"]),
        ("Expected RIGHT_PAREN", ["SELECT * FROM T WHERE (a = 1"]),
        (
            "Unexpected token after semicolon. (Only one query is allowed.)",
            ["SELECT * FROM T; SELECT * FROM T"],
        ),
    ],
)
def test_not_well_formed(detail: str, statements: list[str]) -> None:
    for statement in statements:
        assert refusal(statement) == NOT_WELL_FORMED + detail, statement


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM \"T\" t WHERE pk = 'x'",
        "SELECT * FROM \"T\" AS t WHERE pk = 'x'",
        "UPDATE \"T\" t SET a = 3 WHERE pk = 'x'",
        "DELETE FROM \"T\" t WHERE pk = 'x'",
        "SELECT s AS x FROM T",
    ],
)
def test_aliases(statement: str) -> None:
    assert refusal(statement) == "Aliasing is not supported"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM T WHERE pk = 1e126", f"{OVERFLOW} under root"),
        ("SELECT * FROM T WHERE pk = 1e-131", f"{UNDERFLOW} under root"),
        (f"SELECT * FROM T WHERE pk = {'123456789' * 5}", f"{DIGITS} under root"),
        ("INSERT INTO T VALUE {'pk': 1e126}", f"{OVERFLOW} under root"),
        ("UPDATE T SET a = 1e-131 WHERE pk = 5", f"{UNDERFLOW} under root"),
        ("INSERT INTO T VALUE {'pk': 6, 'm': {'x': 1e126}}", f"{OVERFLOW} under root.x"),
        ("INSERT INTO T VALUE {'pk': 7, 'l': [1, 1e126]}", f"{OVERFLOW} under root[1]"),
        ("INSERT INTO T VALUE {'pk': 7, 'l': [1, {'a': {'b': 1e126}}]}", f"{OVERFLOW} under root[1].a.b"),
        ("INSERT INTO T VALUE {'pk': 1, 'pk': 2}", "Duplicate keys in tuple. Key: pk under root"),
        ("INSERT INTO T VALUE {'s': <<>>}", "Empty bags are not supported"),
        (
            "INSERT INTO T VALUE {'s': <<1, 'a'>>}",
            "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags",
        ),
        (
            "INSERT INTO T VALUE {'s': <<1.0, 1>>}",
            "One or more parameter values were invalid: Input collection [1.0, 1] contains duplicates! under root",
        ),
    ],
)
def test_literals(statement: str, message: str) -> None:
    assert refusal(statement) == message


def at(statement: str, token: str, start: int = 0) -> str:
    return f"1:{statement.index(token, start) + 1}:{len(token)}"


@pytest.mark.parametrize(
    ("statement", "message", "token"),
    [
        ("SELECT attribute_exists(ss) FROM T", "Unexpected path component at", "attribute_exists"),
        ("SELECT COUNT(*) FROM T", "Unexpected path component at", "COUNT"),
        ("SELECT * FROM T WHERE pk = 'a' AND EXISTS(ss)", "Unrecognized function: exists at", "EXISTS"),
        ("SELECT * FROM T WHERE set_add(ss, <<'x'>>) = ss", "Unrecognized function: set_add at", "set_add"),
        ("SELECT * FROM T WHERE a < utcnow()", "Unrecognized function: utcnow at", "utcnow"),
        (
            "UPDATE T SET t = set_add(ss, <<'x'>>) WHERE pk = 'a'",
            "The first argument to SET_ADD must equal the assignment value at",
            "set_add",
        ),
        (
            "UPDATE T SET ss = set_add(<<'a'>>, <<'b'>>) WHERE pk = 'a'",
            "The first argument to SET_ADD must equal the assignment value at",
            "set_add",
        ),
        (
            "UPDATE T SET t = set_delete(ss, <<'x'>>) WHERE pk = 'a'",
            "The first argument to SET_DELETE must equal the assignment value at",
            "set_delete",
        ),
        (
            "UPDATE T SET ss = set_add(ss) WHERE pk = 'a'",
            "SET_ADD must have exactly two arguments at",
            "set_add",
        ),
        (
            "UPDATE T SET ss = set_add(ss, <<'x'>>, <<'y'>>) WHERE pk = 'a'",
            "SET_ADD must have exactly two arguments at",
            "set_add",
        ),
        (
            "INSERT INTO T VALUE {'pk': 'x', 'ss': set_add(<<'a'>>, <<'b'>>)}",
            "Unsupported data type: set_add under key root at",
            "set_add",
        ),
        ("SELECT id FROM T LIMIT 5", "Unsupported clause: LIMIT at", "5"),
    ],
)
def test_messages_with_a_position(statement: str, message: str, token: str) -> None:
    assert refusal(statement) == f"{message} {at(statement, token)}"


@pytest.mark.parametrize("second", ["'x'", "['x']", "?"])
def test_a_set_function_wants_a_set(second: str) -> None:
    statement = f"UPDATE T SET ss = set_add(ss, {second}) WHERE pk = 'a'"
    message = "The second argument to SET_ADD must be a value with type SET at"
    assert refusal(statement, {"S": "x"}) == f"{message} {at(statement, 'ss', statement.index('('))}"


def test_positions_count_lines() -> None:
    assert refusal("SELECT *\nFROM T -- all\n/* of\nit */ WHERE foo(a)").endswith("at 4:13:3")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("x IS INT4", "Unsupported operation: IsType"),
        ("x IS DOUBLE PRECISION", "Unsupported operation: IsType"),
        ("x IS CHARACTER VARYING", "Unsupported operation: IsType"),
        ("SELECT * FROM A, B", "Only select from a single table or index is supported."),
        ("SELECT s, s FROM T", "Duplicate identifiers in select clause: s"),
        ("SELECT s.z, t.z FROM T", "Duplicate identifiers in select clause: z"),
        ("INSERT INTO T VALUE {'pk': 'a'} RETURNING ALL OLD *", "RETURNING is not supported in INSERT"),
        (
            "DELETE FROM T WHERE pk = 'a' RETURNING MODIFIED NEW *",
            "Invalid returning clause: RETURNING MODIFIED NEW *. "
            "Only RETURNING ALL OLD * is allowed in DELETE statements.",
        ),
        ("UPDATE T.i SET a = 1 WHERE pk = 'a'", "This operation is not supported on an index"),
        ("DELETE FROM T.i WHERE pk = 'a'", "This operation is not supported on an index"),
        ("INSERT INTO T.i VALUE {'pk': 'a'}", "FROM clause may only contain a single table name"),
        ("SELECT * FROM T.i.x", "A path may contain at most 2 components in the FROM clause"),
        (
            "SELECT * FROM T WHERE attribute_exists('ss')",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "SELECT * FROM T WHERE attribute_exists()",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, "
            "number of operands: 0",
        ),
        (
            "SELECT * FROM T WHERE attribute_exists(ss, ns)",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, "
            "number of operands: 2",
        ),
        (
            "SELECT * FROM T WHERE a <= true",
            "Incorrect operand type for operator or function; operator or function: <=, operand type: BOOL",
        ),
        (
            "SELECT * FROM T WHERE attribute_exists(n) > false",
            "Incorrect operand type for operator or function; operator or function: >, operand type: BOOL",
        ),
        (
            "SELECT * FROM T WHERE attribute_type(n, 'X')",
            "Invalid attribute type name found; type: X, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}",
        ),
        (
            "SELECT * FROM T WHERE a BETWEEN false AND true",
            "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: BOOL",
        ),
        (
            "SELECT * FROM T WHERE a IS INT4",
            "Unsupported data type for IS operator: INT4. Supported data types are "
            "[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]",
        ),
        ("SELECT * FROM T WHERE a LIKE 'b'", "Unsupported operation: Like"),
    ],
)
def test_what_dynamodb_does_not_do(statement: str, message: str) -> None:
    assert refusal(statement) == message


@pytest.mark.parametrize(
    ("literal", "path"), [("[?]", "root[0]"), ("{'k': ?}", "root.k"), ("[[1, {'k': ?}]]", "root[0][1].k")]
)
def test_a_parameter_is_no_part_of_a_literal(literal: str, path: str) -> None:
    for statement in (f"UPDATE T SET x = {literal}", f"INSERT INTO T VALUE {{'x': {literal}}}"):
        message = f"Unsupported data type: Parameter under key {path} at {at(statement, '?')}"
        assert refusal(statement, {"S": "v"}) == message


def test_a_literal_too_deep() -> None:
    message = "Nesting Levels have exceeded supported limits under root"
    assert refusal(f"UPDATE T SET d = {'[' * 32}1{']' * 32}") == message + "[0]" * 32
    maps = "{'a':" * 32 + "1" + "}" * 32
    assert refusal(f"INSERT INTO T VALUE {{'d': {maps}}}") == message + ".a" * 32
    partiql.read(f"UPDATE T SET d = {'[' * 31}1{']' * 31}").bind()


def test_too_few_parameters() -> None:
    message = "Number of parameters in request and statement don't match."
    assert refusal("SELECT * FROM T WHERE a = ?") == message
    assert refusal("INSERT INTO T VALUE {'a': ?, 'b': ?}", {"S": "x"}) == message
    partiql.read("SELECT * FROM T WHERE a = ?").bind([{"S": "x"}, {"S": "more"}])


# Parameters


def parameter_refusal(*parameters: dict[str, Any]) -> str:
    with pytest.raises(DynamoDBError) as refused:
        partiql.check_parameters(parameters)
    return refused.value.message


def deep(levels: int, leaf: dict[str, Any]) -> dict[str, Any]:
    for _ in range(levels):
        leaf = {"M": {"n": leaf}}
    return leaf


@pytest.mark.parametrize(
    "number",
    ["1e99999999999", "-1e99999999999", "1e-99999999999", "1e2147483648", "1e-2147483648", "abc", " 1", ""],
)
def test_a_parameter_that_is_no_number(number: str) -> None:
    message = "The parameter cannot be converted to a numeric value" + (f": {number}" if number else "")
    assert parameter_refusal({"N": number}) == message
    assert parameter_refusal({"L": [{"N": "1"}, {"N": number}]}) == message
    assert parameter_refusal({"M": {"x": {"N": number}}}) == message
    assert parameter_refusal({"NS": ["1", number]}) == message


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("1e2147483647", UNDERFLOW),
        ("1e-2147483647", UNDERFLOW),
        ("1e126", OVERFLOW),
        ("1e-131", UNDERFLOW),
        ("1" * 39, DIGITS),
    ],
)
def test_a_parameter_out_of_range(number: str, message: str) -> None:
    assert parameter_refusal({"N": number}) == message


@pytest.mark.parametrize("levels", [40, 100])
def test_the_first_fault_of_the_parameters_in_the_order_of_the_document(levels: int) -> None:
    wrong = {"N": "abc"}
    not_numeric = "The parameter cannot be converted to a numeric value: abc"
    leaf = {"S": "leaf"}
    assert parameter_refusal(deep(levels, leaf), wrong) == NESTING
    assert parameter_refusal(wrong, deep(levels, leaf)) == not_numeric
    assert parameter_refusal({"M": {"d": deep(levels, leaf), "bad": wrong}}) == NESTING
    assert parameter_refusal({"M": {"bad": wrong, "d": deep(levels, leaf)}}) == not_numeric
    assert parameter_refusal(deep(levels, wrong)) == NESTING
    assert parameter_refusal(deep(levels, leaf), {"N": "1e126"}) == NESTING


def test_parameters_that_are_right() -> None:
    partiql.check_parameters([{"N": "-1.50e3"}, {"N": ".5"}, {"NS": ["1", "2."]}, deep(31, {"N": "0"}), {"S": ""}])
