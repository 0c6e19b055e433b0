"""Runs every golden script twice: in process on an empty database, and over HTTP against a running server.

`golden.py` tells what the scripts look like.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Serving
from tests.golden import run_script
from tests.in_process import InProcessDatabase
from tests.over_http import HttpDatabase

SCRIPTS = Path(__file__).parent / "scripts"
# What happens by itself, after a time, is run by the test in process; the server's own clock is nobody's to move.
IN_PROCESS_ONLY = {"time_to_live"}

EVERY_SCRIPT = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]
OVER_HTTP = [path for path in EVERY_SCRIPT if path.parent.name not in IN_PROCESS_ONLY]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data")
    yield database
    database.close()


@pytest.fixture
def remote(server: Serving, request: pytest.FixtureRequest) -> Iterator[HttpDatabase]:
    number = OVER_HTTP.index(request.getfixturevalue("script"))
    remote = HttpDatabase(server.address, f"script-{number:04d}")
    yield remote
    remote.close()


def name(script: Path) -> str:
    return str(script.relative_to(SCRIPTS))


@pytest.mark.parametrize("script", EVERY_SCRIPT, ids=name)
def test_in_process(script: Path, database: InProcessDatabase) -> None:
    run_script(script, database.call)


@pytest.mark.parametrize("script", OVER_HTTP, ids=name)
def test_over_http(script: Path, remote: HttpDatabase) -> None:
    run_script(script, remote.call)
