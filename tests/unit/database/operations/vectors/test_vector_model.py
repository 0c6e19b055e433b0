"""Whatever is written in whatever way, a search finds what plain arithmetic over the items finds.

Partitions are read in pieces of a few entries here, so that small tables take every path: read directly, by a copy
in memory that follows the journal, and entry by entry where there is no room for a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.database.operations.vectors import copies, journal, matrix
from tests.examples import examples
from tests.in_process import InProcessDatabase
from tests.unit.database.operations.vectors.vector_table import VectorTable, item

STORES = ["sqlite", "distant", "heavy"]
KEYS = st.sampled_from("abcdefghijkl")
NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
VECTORS = st.tuples(NUMBERS, NUMBERS)
TENANTS = st.sampled_from(["t", "u"])
COLORS = st.sampled_from(["red", "blue"])
ITEMS = st.builds(
    lambda key, numbers, tenant, color: item(key, numbers, **tenant, **color),
    KEYS,
    st.none() | VECTORS,
    st.fixed_dictionaries({}, optional={"tenant": TENANTS}),
    st.fixed_dictionaries({}, optional={"color": COLORS}),
)
Action = Callable[[VectorTable], None]


def puts(items: list[dict[str, Any]]) -> Action:
    return lambda table: table.put(*{each["id"]["S"]: each for each in items}.values())


def transacts(items: list[dict[str, Any]], keys: set[str]) -> Action:
    new = {each["id"]["S"]: each for each in items}
    return lambda table: table.transact(list(new.values()), sorted(keys - new.keys()))


def searches(numbers: tuple[float, float], k: int, tenant: str, color: str | None) -> Action:
    return lambda table: table.check(numbers, k, tenant, color)


def takes_turns(table: VectorTable) -> None:
    table.turn += 1


def forgets(table: VectorTable) -> None:  # noqa: ARG001
    copies.COPIES.clear()


def limits(limit: int) -> Action:
    def limited(table: VectorTable) -> None:  # noqa: ARG001
        copies.COPIES.limit = limit

    return limited


ACTIONS = st.one_of(
    st.builds(puts, st.lists(ITEMS, min_size=1, max_size=1)),
    st.builds(puts, st.lists(ITEMS, min_size=2, max_size=12)),
    st.builds(transacts, st.lists(ITEMS, max_size=5), st.sets(KEYS, min_size=1, max_size=3)),
    st.builds(lambda key: lambda table: table.delete(key), KEYS),
    st.builds(searches, VECTORS, st.integers(1, 12), TENANTS, st.none() | COLORS),
    st.builds(searches, VECTORS, st.integers(1, 12), TENANTS, st.none() | COLORS),
    st.sampled_from([takes_turns, takes_turns, forgets, limits(1), limits(10_000), limits(1 << 30)]),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(copies, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(copies, "_PUT_ROWS", 4)
    monkeypatch.setattr(copies, "_STEPS_AT_ONCE", 3)
    monkeypatch.setattr(journal, "RING", 16)
    monkeypatch.setattr(copies, "RING", 16)
    monkeypatch.setattr(matrix, "BLOCK_ROWS", 4)
    monkeypatch.setattr(matrix, "SPARE_VALUES", 2)
    copies.COPIES.clear()
    yield
    copies.COPIES.clear()
    copies.COPIES.limit = copies.MOST_BYTES


@pytest.fixture(params=STORES)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[InProcessDatabase]]:
    """Two stores on one directory where there is one."""
    number = 2 if request.param == "sqlite" else 1
    opened = [InProcessDatabase(tmp_path / "data", store=request.param) for _ in range(number)]
    yield opened
    for database in opened:
        database.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(
    distance=st.sampled_from(["COSINE", "EUCLIDEAN", "DOT_PRODUCT"]),
    hashed=st.booleans(),
    actions=st.lists(ACTIONS, max_size=30),
)
def test_a_search_finds_what_arithmetic_finds(
    databases: list[InProcessDatabase], distance: str, hashed: bool, actions: list[Action]
) -> None:
    table = VectorTable(databases, 2, distance, hashed)
    for action in actions:
        action(table)
    for numbers in ((1.0, 0.5), (0.0, 0.0), (-2.0, 3.0)):
        table.check(numbers)
    table.turn += 1
    table.check((3.0, -1.0), 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(before=st.lists(ITEMS, max_size=20), after=st.lists(ITEMS, max_size=5))
def test_an_index_that_comes_later_holds_what_one_from_the_start_holds(
    databases: list[InProcessDatabase], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    table = VectorTable(databases, indexed=False)
    wrong = [item("wrong", (1.0, 2.0, 3.0), tenant="t"), {**item("no list", None, tenant="t"), "v": {"S": "x"}}]
    table.put(*{each["id"]["S"]: each for each in [*before, *wrong]}.values())
    update = {"Create": table.index}
    table.call(
        "UpdateTable",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("tenant", "color")],
        VectorIndexUpdates=[update],
    )
    for each in wrong:
        del table.items[each["id"]["S"]]
    for each in after:
        table.put(each)
    for tenant in ("t", "u"):
        table.check((0.5, 0.5), 100, tenant)
