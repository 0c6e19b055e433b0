"""Runs every golden script in process, each on an empty database. `golden.py` tells what they look like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden import run_script
from tests.in_process import InProcessDatabase

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data")
    yield database
    database.close()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(path, id=str(path.relative_to(SCRIPTS)))
        for path in sorted(SCRIPTS.rglob("*"))
        if path.is_file()
    ],
)
def test_script(script: Path, database: InProcessDatabase) -> None:
    run_script(script, database.call)
