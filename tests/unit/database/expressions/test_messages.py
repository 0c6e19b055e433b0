"""Wrong expressions get AWS's messages: one line per recorded message.

Where a case comes from is named beside it: "conformance" is nubo-db/dynamodb-conformance and its successor
paritysuite/dynamodb-conformance (tests/tier3), "dynalite" is architect/dynalite's tests (recorded from the
service), "alternator" is test/alternator in scylladb/scylladb; the others are messages that users of the service
published.
"""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import ExpressionAttributes
from blotter.database.expressions.lexer import KEYWORDS
from blotter.database.expressions.reserved_words import RESERVED_WORDS
from blotter.database.model.errors import DynamoDBError

S, N, BOOL, LIST = {"S": "a"}, {"N": "1"}, {"BOOL": True}, {"L": []}

PARAMETERS = {
    "update": "UpdateExpression",
    "projection": "ProjectionExpression",
    "key": "KeyConditionExpression",
    "filter": "FilterExpression",
}


def problem_of(
    language: str, text: str, names: dict[str, str] | None = None, values: dict[str, dict[str, Any]] | None = None
) -> str | None:
    """The message for an expression, or None when it is right."""
    attributes = ExpressionAttributes(names, values)
    try:
        if language == "update":
            attributes.update(text)
        elif language == "projection":
            attributes.projection(text)
        elif language == "key":
            attributes.key_condition(text)
        else:
            attributes.condition("FilterExpression", text)
        attributes.finish()
    except DynamoDBError as error:
        prefix = f"Invalid {PARAMETERS[language]}: "
        return error.message.removeprefix(prefix) if error.message.startswith(prefix) else f"bare: {error.message}"
    return None


@pytest.mark.parametrize(
    ("language", "text", "token", "near"),
    [
        ("projection", "!!! INVALID !!!", "!", "!!"),  # conformance, getItem
        ("update", "INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),  # conformance, updateItem
        ("filter", "attribute_not_exists(", "<EOF>", "("),  # conformance, transactWriteItems
        ("update", "SET _123 = :val1", "_", "SET _123"),  # alternator
        ("update", "ADD hits : incr", ":", "hits : incr"),  # aws/aws-cdk issue 7591
        ("update", "SET a = :a, #, b = :b", "#", ", #,"),
        ("filter", "foo", "<EOF>", "foo"),
        ("filter", "a+:delta<b", "+", "a+:delta"),
        ("filter", "contains (themes, :theme", "<EOF>", ":theme"),
        ("update", "SET path = VALUE 1", "1", "VALUE 1"),
        ("update", "SET a = :a,", "<EOF>", ","),
        ("filter", "a = ", "<EOF>", "= "),
        ("filter", "a = :v) ", ")", ":v) "),
    ],
)
def test_a_syntax_error_names_the_token_and_its_neighbours(
    language: str, text: str, token: str, near: str
) -> None:
    assert problem_of(language, text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("filter", text)
            for text in (  # dynalite, scan.js
                "things are not gonna be ok",
                "a > 4",
                "attribute_exists(Pictures-RearView)",
                'attribute_exists("Pictures.RearView")',
                "attribute_exists(Pictures..RearView)",
                "attribute_exists(Pi#ctures.RearView)",
                "attribute_exists(asdf[a])",
                "a > between",
                "a in b, c",
                "a in b",
                "a in (b,c,)",
                "a in ()",
                "(a)between(b.(c.d))and(c)",
                "(a)between(b.c.d)and((c)",
                "#$.b > a",
                "a > :things.stuff",
                "b[:a] > a",
                "b[#_] > a",
                "ü > a",
                "(a)between(b.c[4.5].#d)and(:a)",
                "size(a).b > a",
                "(size(a)).b > a",
                "size(a)[0] > a",
                "(size(a))[0] > a",
                "a[01] > b",
                "(a = b) = c",
                "(a AND b = c)",
                "NOT a",
                "a = NOT b",
                "a = (b = c)",
                "set = a",
            )
        ),
        *(
            ("update", text)
            for text in (  # dynalite, updateItem.js
                "whatever",
                "set a",
                "add a",
                "delete a",
                "set a=set",
                "remove a = b",
                "add a = b",
                "delete a b",
                "add abort b",
                "add a if_not_exist(b)",
                "remove a b",
                "set :a = b",
                "add :a b",
                "remove :a",
                "set a = b / c",
                'set a[1] = "eight"',
                "set a[1] = 1",
                "SET a = if_not_exist(a, 100)",
                "SET if_not_exist(a, b) = a",
                "set (a = (b + c))",
                "set a = (b.c).d + e",
                "set a = (b.c)[0] + e",
                "set a = b + c + d",
                "set a = (b + c) + d",
                "set a = b + (c + d)",
                "set a = list_append(b + c, d)",
            )
        ),
        *(
            ("projection", text)
            for text in (  # dynalite, getItem.js
                "whatever(stuff)",
                ":a",
                "abort,",
                "a,,b",
                "a..b",
                "a[b]",
                "(a.b).c",
                "(a)",
                "(a,b)",
                "a-b",
            )
        ),
    ],
)
def test_what_the_grammar_does_not_hold_is_a_syntax_error(language: str, text: str) -> None:
    message = problem_of(language, text)
    assert message is not None
    assert message.startswith("Syntax error; token: ")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("filter", "(size(a)) > b"),
        ("filter", "(attribute_exists(a)) AND (attribute_not_exists(b))"),
        ("filter", "(a = b AND (c = d))"),
        ("filter", "(NOT (a = b))"),
        ("filter", "NOT NOT NOT NOT a < b"),
        ("filter", "(a)between(b.c)and(d)"),
        ("filter", "a bEtWeEn b aNd c oR nOt d iN (e)"),
        ("filter", "a = b AND c BETWEEN d AND e AND f = g"),
        ("filter", "\ta\r\n=b "),
        ("key", "((a = :a) AND (b > :a))"),
        ("update", "set a = (b + c)"),
        ("update", "set a = ((b.c.d)+(e))"),
        ("update", "SET a = if_not_exists(a, if_not_exists(b, c))"),
        ("update", "SET a = if_not_exists(a, b) + b"),
        ("update", "sEt a = b ReMoVe c"),
        ("projection", "a, b.c[0][1].d , #x"),
    ],
)
def test_the_grammar_holds(language: str, text: str) -> None:
    names = {"#x": "x"} if "#x" in text else None
    assert problem_of(language, text, names, {":a": S} if ":a" in text else None) is None


@pytest.mark.parametrize(
    "text",
    [  # dynalite, scan.js; conformance, keyConditionParens and putItem error messages
        "((a = b))",
        "a=a and a > ((views))",
        "(a)between(((b.c)).d)and(c)",
        "a > whatever((:things), ((a)))",
        "a=a AND ((a=a AND a=a)) AND a=a",
        "a=a OR ((a=a OR (a=a OR a=a)))",
        "((attribute_not_exists(pk)))",
        "NOT ((a = b))",
        "((a) = b AND ((c))) = ",
    ],
)
def test_parentheses_straight_around_parentheses_are_refused(text: str) -> None:
    assert problem_of("filter", text) == "The expression has redundant parentheses;"


def test_an_empty_expression_is_refused() -> None:
    for language in PARAMETERS:
        assert problem_of(language, "") == "The expression can not be empty;"


def test_the_size_limit_counts_the_bytes_as_sent() -> None:
    # conformance, tests/tier3/limits/expressionSize.test.ts
    assert problem_of("projection", "a" * 4096) is None
    over = "Expression size has exceeded the maximum allowed size; expression size: 4097"
    assert problem_of("projection", "a" * 4097) == over
    assert problem_of("projection", "ä" * 2048 + "a") == over
    assert problem_of("filter", "(" * 4097) == over


def test_three_hundred_operators_and_functions_are_allowed() -> None:
    assert problem_of("filter", " AND ".join(["a=b"] * 150)) is None
    assert problem_of("filter", " AND ".join(["a=b"] * 151)) == (
        "The expression contains too many operators; operator count: 301"
    )
    assert problem_of("filter", "NOT(" * 299 + "a=b" + ")" * 299) is None
    # SET's own equals sign is no operator.
    assert problem_of("update", "SET " + ", ".join(f"a{n} = b{n}" for n in range(301))) is None


def test_hostile_nesting_is_refused_without_exhausting_the_stack() -> None:
    for text in ("(" * 4000, "(" * 2000 + "a=b" + ")" * 2000, "NOT(" * 1000, "size(" * 800, "a=" + "(" * 4000):
        assert problem_of("filter", text) is not None


@pytest.mark.parametrize(
    ("language", "text", "word"),
    [
        ("filter", "attribute_exists(views, #a)", "views"),  # dynalite
        ("filter", ":a < abOrT", "abOrT"),
        ("filter", "a.b.status = :v", "status"),
        ("update", " set #c = :c set abOrt = true ", "abOrt"),
        ("update", " remove Absolute ", "Absolute"),
        ("projection", "a.abORt", "abORt"),
        ("projection", "#a,ABSoLUTE", "ABSoLUTE"),
    ],
)
def test_reserved_words(language: str, text: str, word: str) -> None:
    assert problem_of(language, text) == f"Attribute name is a reserved keyword; reserved keyword: {word}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [  # dynalite, scan.js
        ("a=a and whatever((:things)) > a", "Invalid function name; function: whatever"),
        ("attRIbute_exIsts((views), #a)", "Invalid function name; function: attRIbute_exIsts"),
        (
            "if_not_exists(a, b) = c",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        *(
            (text, f"The function is not allowed to be used this way in an expression; function: {function}")
            for text, function in (
                ("a=a and attribute_exists((views), (#a)) > b", "attribute_exists"),
                ("attribute_not_exists(things) > b", "attribute_not_exists"),
                ("attribute_type(things, :a) > b", "attribute_type"),
                ("begins_with(things, a) > b", "begins_with"),
                ("contains(:things, c) > b", "contains"),
                ("size(contains(a, b)) > a", "contains"),
                ("size(things)", "size"),
                ("a between b and attribute_exists(things)", "attribute_exists"),
                ("a in (b, attribute_exists(things))", "attribute_exists"),
            )
        ),
        ("a[2147483648] = b", "List index is not within the allowable range; index: [2147483648]"),
    ],
)
def test_words_in_the_wrong_place(text: str, problem: str) -> None:
    assert problem_of("filter", text) == problem


@pytest.mark.parametrize(
    ("text", "names", "values", "problem"),
    [  # dynalite, scan.js: each condition is checked as a whole before the next one
        ("attribute_exists(#P.b, :a) and a=a", None, None, "name #P"),
        ("begins_with(Pictures.#RearView)", None, None, "name #RearView"),
        ("(#P between :lo and :hi) and (#PC in (:cat1, :cat2))", None, None, "name #P"),
        ("#4g > a", None, None, "name #4g"),
        ("(a)between(b.c[45].#d)and(:a)", None, None, "name #d"),
        ("begins_with(:hello, #a, #b)", None, None, "value :hello"),
        (":a < :b", None, None, "value :a"),
        ("a = b AND c = :missing AND #d = e", None, None, "value :missing"),
    ],
)
def test_undefined_placeholders(text: str, names: Any, values: Any, problem: str) -> None:
    kind, placeholder = problem.split()
    where = "used in the document path" if kind == "name" else "used in expression"
    assert problem_of("filter", text, names, values) == (
        f"An expression attribute {kind} {where} is not defined; attribute {kind}: {placeholder}"
    )


@pytest.mark.parametrize(
    ("text", "function", "count"),
    [  # dynalite, scan.js
        ("attribute_exists(things, a) and a=a", "attribute_exists", 2),
        ("attribute_type(things)", "attribute_type", 1),
        ("begins_with(things, size(a), b)", "begins_with", 3),
        ("contains(things)", "contains", 1),
        ("size(things, a) > b", "size", 2),
    ],
)
def test_operand_counts(text: str, function: str, count: int) -> None:
    assert problem_of("filter", text) == (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


NOT_ORDERED = [BOOL, {"NULL": True}, {"SS": ["1"]}, {"NS": ["1"]}, {"BS": ["YQ=="]}, {"M": {}}, LIST]


@pytest.mark.parametrize(
    ("language", "text", "operator", "value"),
    [  # dynalite, scan.js and updateItem.js; conformance, queryKeyConditionOperands
        ("filter", "attribute_type(a, size(a)) and a=a and a=:a", "attribute_type", N),
        *(("filter", "attribute_type(a, :a)", "attribute_type", value) for value in [N, *NOT_ORDERED]),
        *(("filter", "begins_with(a, :a)", "begins_with", value) for value in [N, *NOT_ORDERED]),
        *(("filter", "begins_with(:a, a)", "begins_with", value) for value in [N, *NOT_ORDERED]),
        ("filter", "begins_with(a, size(a)) and a=:a", "begins_with", N),
        ("filter", "size(size(a)) > :a", "size", N),
        ("filter", "attribute_not_exists(size(:a))", "size", N),
        ("filter", "size(:a) > a", "size", BOOL),
        *(("filter", "a < :a", "<", value) for value in NOT_ORDERED),
        ("key", "pk = :a AND :a >= sk", ">=", BOOL),
        ("key", "pk = :a AND sk BETWEEN :a AND :a", "BETWEEN", BOOL),
        ("update", "set a = list_append(:a, a)", "list_append", S),
        ("update", "set a = a + :a", "+", S),
        ("update", "set a = :a - :a", "-", BOOL),
    ],
)
def test_operand_types(language: str, text: str, operator: str, value: dict[str, Any]) -> None:
    ((type_, _),) = value.items()
    assert problem_of(language, text, None, {":a": value}) == (
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {type_}"
    )


def test_functions_that_want_a_path() -> None:
    wants = "Operator or function requires a document path; operator or function: "
    assert problem_of("filter", "attribute_exists(:a) and a=a", None, {":a": S}) == f"{wants}attribute_exists"
    assert (
        problem_of("filter", "attribute_not_exists(size(:a))", None, {":a": S}) == f"{wants}attribute_not_exists"
    )
    assert problem_of("update", "set a = if_not_exists(:a, c)", None, {":a": S}) == f"{wants}if_not_exists"
    # alternator: attribute_type takes a value as well, despite its documentation.
    assert problem_of("filter", "attribute_type(:v, :a)", None, {":v": N, ":a": {"S": "N"}}) is None


def test_attribute_type_names_a_type() -> None:
    message = problem_of("filter", "attribute_type(a, :a)", None, {":a": {"S": "DOG"}})
    assert message is not None
    assert message.startswith("Invalid attribute type name found; type: DOG, valid types: {")
    # The same text with a right value first, so that the compiled form is known already.
    assert problem_of("filter", "attribute_type(c, :a)", None, {":a": {"S": "SS"}}) is None
    assert problem_of("filter", "attribute_type(c, :a)", None, {":a": {"S": "s"}}) is not None


@pytest.mark.parametrize(
    ("text", "operator", "path"),
    [  # dynalite, scan.js; conformance, putItem error messages
        ("a = a AND #a = b AND :views > a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("a > #a", ">", "[a]"),
        ("a IN (b, a)", "IN", "[a]"),
        ("a BETWEEN b AND a", "BETWEEN", "[a]"),
        ("contains(ab.bc[1].a, ab.bc[1].#a)", "contains", "[ab, bc, [1], a]"),
        ("attribute_type(ab.bc[1].#a, ab.bc[1].a)", "attribute_type", "[ab, bc, [1], a]"),
        ("begins_with(ab.bc[1].a, ab.bc[1].#a)", "begins_with", "[ab, bc, [1], a]"),
    ],
)
def test_operands_must_be_distinct(text: str, operator: str, path: str) -> None:
    assert problem_of("filter", text, {"#a": "a"}) == (
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {path}"
    )


def test_between_wants_bounds_of_one_type_in_order() -> None:
    # dynalite, query.js
    assert problem_of("key", "a between :b and :a", None, {":a": S, ":b": N}) == (
        "The BETWEEN operator requires same data type for lower and upper bounds; "
        "lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}"
    )
    # Right once, so that the compiled form is known; then with its bounds exchanged.
    assert problem_of("filter", "a between :b and :a", None, {":a": {"S": "b"}, ":b": S}) is None
    assert problem_of("filter", "a between :b and :a", None, {":a": S, ":b": {"S": "b"}}) == (
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        "lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}"
    )
    assert problem_of("filter", "a between :b and :a", None, {":a": {"N": "9"}, ":b": {"N": "10"}}) is not None


def test_in_takes_a_hundred_candidates() -> None:
    def candidates(count: int) -> str | None:
        values = {f":v{n}": S for n in range(count)}
        return problem_of("filter", f"a IN ({', '.join(values)})", None, values)

    assert candidates(100) is None
    assert candidates(101) == "The IN operator is provided with too many operands; number of operands: 101"


def test_paths_have_thirty_two_levels() -> None:
    # alternator, test_projection_expression.py
    assert problem_of("projection", "a" + ".b" * 31) is None
    assert problem_of("projection", "a" + ".b" * 32) == (
        "The document path has too many nesting levels; nesting levels: 33"
    )


@pytest.mark.parametrize(
    ("language", "text", "relation", "one", "two"),
    [  # dynalite, updateItem.js and getItem.js; conformance, query error messages
        ("projection", "a, a", "overlap", "[a]", "[a]"),
        ("projection", "#b, b", "overlap", "[b]", "[b]"),
        ("projection", "a, a.b", "overlap", "[a]", "[a, b]"),
        ("projection", "a, b[1], b.c, a.b", "overlap", "[a]", "[a, b]"),
        ("projection", "a,b,a", "overlap", "[a]", "[b]"),
        ("projection", "a.b, a[1], #d", "conflict", "[a, b]", "[a, [1]]"),
        ("projection", "a[3].b, a.#d.b", "conflict", "[a, [3], b]", "[a, [3], b]"),
        ("update", "set #c[3].#d = a, #c[3] = a", "overlap", "[c, [3], [3]]", "[c, [3]]"),
        ("update", "set a = b remove a, #c, #d", "overlap", "[a]", "[[3]]"),
        ("update", "remove c, #c.a, #d", "overlap", "[c]", "[[3]]"),
        ("update", "set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)", "overlap", "[c, [1], a]", "[c]"),
        ("update", "set #c[3].#d = a, #c.#d[3] = if_not_exists(a)", "conflict", "[c, [3], [3]]", "[c, [3], [3]]"),
        ("update", "remove a.#c set a[1] = #d", "conflict", "[a, c]", "[a, [1]]"),
    ],
)
def test_paths_that_meet(language: str, text: str, relation: str, one: str, two: str) -> None:
    assert problem_of(language, text, {"#b": "b", "#c": "c", "#d": "[3]"}) == (
        f"Two document paths {relation} with each other; must remove or rewrite one of these paths; "
        f"path one: {one}, path two: {two}"
    )


@pytest.mark.parametrize(
    ("text", "section"),
    [  # dynalite, updateItem.js
        ("set a = #c set c = :d", "SET"),
        ("remove #d set a = b remove e", "REMOVE"),
        ("add #d :e set a = b add e :f", "ADD"),
        ("delete #d :e set a = b delete #e :f", "DELETE"),
    ],
)
def test_a_section_stands_once(text: str, section: str) -> None:
    assert problem_of("update", text) == f'The "{section}" section can only be used once in an update expression;'


@pytest.mark.parametrize(
    ("text", "problem"),
    [  # dynalite, updateItem.js
        ("set #c = if_not_exist(:c) set c = d", "Invalid function name; function: if_not_exist"),
        ("set a = size(b)", "The function is not allowed in an update expression; function: size"),
        (
            "SET #c = if_not_exists(:c)",
            "An expression attribute name used in the document path is not defined; attribute name: #c",
        ),
        (
            "SET c = if_not_exists(:c)",
            "An expression attribute value used in expression is not defined; attribute value: :c",
        ),
        (
            "set a = list_append(c)",
            "Incorrect number of operands for operator or function; "
            "operator or function: list_append, number of operands: 1",
        ),
    ],
)
def test_functions_in_updates(text: str, problem: str) -> None:
    assert problem_of("update", text) == problem


@pytest.mark.parametrize(
    ("text", "operator", "value", "type_"),
    [
        # dynalite, updateItem.js: the last action is checked first
        ("set b = list_append(:a, a), c = if_not_exists(a) add a.b :a", "ADD", S, "STRING"),
        ("add a.b :a", "ADD", BOOL, "BOOLEAN"),
        ("add a.b :a", "ADD", {"M": {}}, "MAP"),
        ("delete a.b :a", "DELETE", N, "NUMBER"),
        ("delete a.b :a", "DELETE", LIST, "LIST"),
    ],
)
def test_add_and_delete_take_numbers_and_sets(text: str, operator: str, value: Any, type_: str) -> None:
    assert problem_of("update", text, None, {":a": value}) == (
        f"Incorrect operand type for operator or function; operator: {operator}, operand type: {type_}, "
        f"typeSet: ALLOWED_FOR_{operator}_OPERAND"
    )


def test_every_published_reserved_word_is_known() -> None:
    assert len(RESERVED_WORDS) == 573
    for word in sorted(RESERVED_WORDS - KEYWORDS):
        assert problem_of("projection", word.lower()) == (
            f"Attribute name is a reserved keyword; reserved keyword: {word.lower()}"
        )
