"""Runs every golden script in process on an empty database of every store, and over HTTP against a running server.

`golden.py` describes the scripts. `pytest tests/test_scripts.py --write-golden` writes the database's responses
into them (`golden_writing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blotter.database.admission.buckets import BURST_SECONDS, Buckets
from tests.conftest import Serving
from tests.golden import run_script
from tests.golden_writing import write_script
from tests.in_process import STORES, InProcessDatabase
from tests.over_http import HttpDatabase

SCRIPTS = Path(__file__).parent / "scripts"
# They need a clock that the test can move, which a server in another process has not, one without a background
# process that would look up streams of Kinesis, to know when the background has done its work, or units that
# nothing fills up again.
IN_PROCESS_ONLY = {"backups", "exports", "kinesis", "throttling", "time_to_live"}

EVERY_SCRIPT = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]
OVER_HTTP = [path for path in EVERY_SCRIPT if path.parent.name not in IN_PROCESS_ONLY]


@pytest.fixture(params=STORES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessDatabase]:
    throttling = request.getfixturevalue("script").parent.name == "throttling"
    buckets = limited() if throttling else None
    database = InProcessDatabase(tmp_path / "data", store=request.param, buckets=buckets)
    yield database
    database.close()


def limited() -> Buckets:
    """Every table has the units of one second, and never more: saved ones are given to others."""
    buckets = Buckets(shared=False, clock=lambda: 1_000_000.0)
    buckets.share_with(round(BURST_SECONDS))
    return buckets


@pytest.fixture
def remote(server: Serving, request: pytest.FixtureRequest) -> Iterator[HttpDatabase]:
    number = OVER_HTTP.index(request.getfixturevalue("script"))
    remote = HttpDatabase(server.address, f"script-{number:04d}")
    yield remote
    remote.close()


def name(script: Path) -> str:
    return str(script.relative_to(SCRIPTS))


@pytest.mark.parametrize("script", EVERY_SCRIPT, ids=name)
def test_in_process(script: Path, database: InProcessDatabase, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("write_golden"):
        write_script(script, database.call)
    else:
        run_script(script, database.call)


@pytest.mark.parametrize("script", OVER_HTTP, ids=name)
def test_over_http(script: Path, remote: HttpDatabase) -> None:
    run_script(script, remote.call)
