"""Properties: ranges never lose an item, printed values are read back, noise is refused with a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blotter.database.expressions import partiql
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.keys import partition_prefix, sort_range, table_key
from blotter.database.model.table import KeyAttribute, KeySchema

KEYS = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "S"),))
ITEMS = [
    {"pk": {"S": pk}, "sk": {"S": sk}, "n": {"N": str(n)}}
    for n, (pk, sk) in enumerate((pk, sk) for pk in "ab" for sk in ("", "1", "12", "2", "3") if sk)
]

strings = st.sampled_from(("'a'", "'b'", "'1'", "'12'", "'2'"))
keys = st.sampled_from(("pk", "sk"))
leaves = (
    st.builds("{} {} {}".format, keys, st.sampled_from(("=", "<>", "<", "<=", ">", ">=")), strings)
    | st.builds("{} = {}".format, strings, keys)
    | st.builds("{} IN [{}, {}]".format, keys, strings, strings)
    | st.builds("begins_with({}, {})".format, keys, strings)
    | st.builds("sk BETWEEN '1' AND {}".format, st.sampled_from(("'1'", "'12'", "'2'")))
    | st.builds("n < {}".format, st.integers(0, 8))
)
clauses = st.recursive(
    leaves,
    lambda inner: (
        st.builds("({} AND {})".format, inner, inner)
        | st.builds("({} OR {})".format, inner, inner)
        | st.builds("{} AND {}".format, inner, inner)
        | st.builds("{} OR {}".format, inner, inner)
        | st.builds("NOT {}".format, inner)
    ),
    max_leaves=6,
)


def outcome(call: Callable[..., Any], *arguments: Any) -> tuple[DynamoDBError | None, Any]:
    """The refusal, or None and what the call returns."""
    try:
        return None, call(*arguments)
    except DynamoDBError as refused:
        return refused, None


@given(clauses)
def test_ranges_hold_every_item_once(clause: str) -> None:
    select: Any = partiql.read(f"SELECT * FROM T WHERE {clause}").bind()
    refusal, plan = outcome(select.plan, KEYS)
    if refusal is not None:
        assert refusal.message.startswith("Overlapping conditions")
        return
    ranges = plan.ranges
    if ranges is None:
        return
    for item in ITEMS:
        key = table_key(KEYS, item)
        found = 0
        for part in ranges:
            prefix = partition_prefix(KEYS, part.partition)
            clause_ = part.sort[0] if part.sort else None
            start, end = sort_range(
                prefix, clause_.operator if clause_ else None, clause_.operands if clause_ else (), in_index=False
            )
            found += start <= key and (end is None or key < end)
        assert found <= 1
        assert found == 1 or not select.where.condition.matches(item)


texts = st.text(st.characters(codec="utf-8"), max_size=5)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
numbers = st.integers(-(10**6), 10**6).map(str)
scalars = (
    texts.map(lambda text: {"S": text})
    | numbers.map(lambda number: {"N": number})
    | st.booleans().map(lambda value: {"BOOL": value})
    | st.just({"NULL": True})
    | st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda members: {"SS": sorted(members)})
    | st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda members: {"NS": sorted(members, key=int)})
)
values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements})
        | st.dictionaries(names, inner, max_size=3).map(lambda members: {"M": members})
    ),
    max_leaves=6,
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def printed(value: dict[str, Any]) -> str:
    """A value as a literal."""
    ((type_, content),) = value.items()
    if type_ == "L":
        return f"[{', '.join(printed(element) for element in content)}]"
    if type_ == "M":
        return printed_members(content)
    if type_ in ("SS", "NS"):
        return f"<<{','.join(map(quoted, content) if type_ == 'SS' else content)}>>"
    return {"S": quoted(str(content)), "N": str(content), "BOOL": str(content), "NULL": "NULL"}[type_]


def printed_members(members: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {printed(member)}" for name, member in members.items()) + "}"


@given(st.dictionaries(names, values, max_size=4))
def test_an_item_is_read_as_printed(item: dict[str, Any]) -> None:
    """True stands as a parameter where it is a whole attribute, so that both ways are mixed."""
    parameters = [value for value in item.values() if value == {"BOOL": True}]
    members = (f"{quoted(name)}: {'?' if value in parameters else printed(value)}" for name, value in item.items())
    insert: Any = partiql.read(f"INSERT INTO T VALUE {{{', '.join(members)}}}").bind(parameters)
    assert insert.item == item


WORDS = """
    SELECT * FROM T WHERE AND OR NOT IN IS NULL ( ) [ ] { } << >> , . : ; ? = < 1 1e5 'x' "q" a UPDATE SET
    REMOVE DELETE INSERT INTO VALUE RETURNING ALL OLD size exists BETWEEN ORDER BY DESC - + /* */ -- MISSING
    LIMIT
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join) | st.text(max_size=20))
def test_noise_is_refused_with_words(text: str) -> None:
    refusal, _ = outcome(run, text)
    assert refusal is None or refusal.code == "ValidationException"


def run(text: str) -> None:
    statement: Any = partiql.read(text).bind([{"S": "x"}] * 14)
    if isinstance(statement, partiql.SelectStatement):
        statement.plan(KEYS)
    elif not isinstance(statement, partiql.InsertStatement):
        statement.target(KEYS)
