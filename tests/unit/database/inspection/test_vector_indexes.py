"""`blotter check` compares vector indexes with their tables, and `blotter inspect` shows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from blotter.database.inspection.check import check
from blotter.database.inspection.contents import read_contents
from blotter.database.inspection.text import contents_lines
from blotter.database.storage.sqlite import checksums
from blotter.database.storage.sqlite.schema import FILE_NAME
from tests.in_process import InProcessDatabase
from tests.unit.database.operations.vectors.vector_table import VectorTable, item


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two vector indexes, one with partitions and one without."""
    directory = tmp_path_factory.mktemp("vectors") / "data"
    database = InProcessDatabase(directory)
    for hashed in (True, False):
        table = VectorTable([database], 2, "COSINE", hashed)
        table.put(*(item(f"key {number}", (number, 1.0), tenant="t", color="red") for number in range(9)))
        table.put(item("no tenant", (1.0, 1.0)), item("no vector", None, tenant="t"))
        table.put(item("key 3", (7.0, 7.0), tenant="u"))
        table.delete("key 4")
    database.close()
    return directory


def test_sound_vector_indexes_are_called_sound(sound: Path) -> None:
    assert check(sound).is_sound
    text = "\n".join(contents_lines(read_contents(sound)))
    assert "vector index vix: active, key v (2 dimensions, COSINE), tenant (S, HASH), color (S, " in text


# With a HASH attribute the first table has the key spaces 1 (entries) to 3 (items), the second one 4 to 6.
ONE = "space = {space} AND key = (SELECT min(key) FROM items WHERE space = {space})"
DAMAGE = {
    "a lost entry": ("DELETE FROM items WHERE {one}", "is missing in index vix"),
    "an entry's floats": (
        "UPDATE items SET body = CAST(substr(body, 1, 5) || x'41' || substr(body, 7) AS BLOB) WHERE {one}",
        "differs from its entry in index vix",
    ),
    "an entry's size": ("UPDATE items SET size = size + 1 WHERE {one}", "differs from its entry in index vix"),
    "an entry of no item": ("UPDATE items SET key = CAST(key || x'00' AS BLOB) WHERE {one}", "belongs to no item"),
    "an entry's key": (
        "UPDATE items SET key = CAST(x'00' || substr(key, 2) AS BLOB) WHERE {one}",
        "under another key than its item's",
    ),
    "a key too short": (
        "UPDATE items SET key = CAST(substr(key, 1, 5) AS BLOB) WHERE {one}",
        "belongs to no item",
    ),
}


@pytest.mark.parametrize("space", [1, 4])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_in_a_vector_index_is_found(sound: Path, tmp_path: Path, kind: str, space: int) -> None:
    statement, message = DAMAGE[kind]
    if space == 4 and kind == "an entry's key":
        message = "belongs to no item"  # the entry's key is that of its item
    damaged = Path(shutil.copytree(sound, tmp_path / "damaged"))
    checksums.load_shim()
    connection = apsw.Connection(str(damaged / FILE_NAME))
    connection.execute(statement.format(one=ONE.format(space=space))).get  # noqa: B018
    assert connection.changes() == 1
    connection.close()
    problems = [problem for result in check(damaged).results for problem in result.problems]
    assert any(message in problem for problem in problems), problems
