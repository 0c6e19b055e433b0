"""Runs every golden script in process on an empty database of every store, and over HTTP against a running server.
On PostgreSQL, where every answer has to be waited for, and with bodies that are treated as heavy ones, the default
run takes a sample.

`golden.py` describes the scripts. `pytest tests/test_scripts.py --write-golden` writes the database's responses
into them (`golden_writing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blotter.database.admission.buckets import BURST_SECONDS, Buckets
from tests.conftest import Serving, serving
from tests.golden import run_script
from tests.golden_writing import write_script
from tests.heavy_bodies import heavy_database
from tests.in_process import STORES, InProcessDatabase, Open
from tests.over_http import HttpDatabase
from tests.postgres_server import PostgresServer
from tests.postgres_storage import open_on_postgres
from tests.unit.database.storage.postgres.test_connecting import initialize

SCRIPTS = Path(__file__).parent / "scripts"
# They need a clock that the test can move, which a server in another process has not, one without a background
# process that would look up streams of Kinesis, to know when the background has done its work, or units that
# nothing fills up again.
IN_PROCESS_ONLY = {"backups", "exports", "kinesis", "throttling", "time_to_live"}

SAMPLE = {
    "backups/restore",
    "batches/refused",
    "indexes/items_that_cannot_be_in",
    "items/put_get_delete",
    "partiql/transaction",
    "reading/query_sort_order",
    "resource_policies/create",
    "streams/shards",
    "tables/life",
    "transactions/tokens",
    "vectors/life",
}
"""What the default run runs on PostgreSQL."""

EVERY_SCRIPT = [path for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]
OVER_HTTP = [path for path in EVERY_SCRIPT if path.parent.name not in IN_PROCESS_ONLY]


@pytest.fixture(params=STORES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = opened(request.getfixturevalue("script"), tmp_path, request.param)
    yield database
    database.close()


def opened(script: Path, folder: Path, store: str | Open) -> InProcessDatabase:
    buckets = limited() if script.parent.name == "throttling" else None
    return InProcessDatabase(folder / "data", store=store, buckets=buckets)


def limited() -> Buckets:
    """Every table has the units of one second, and never more: saved ones are given to others."""
    buckets = Buckets(shared=False, clock=lambda: 1_000_000.0)
    buckets.share_with(round(BURST_SECONDS))
    return buckets


@pytest.fixture
def on_postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = opened(request.getfixturevalue("script"), tmp_path, open_on_postgres)
    yield database
    database.close()


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Serving]:
    """A server whose store is in PostgreSQL, for all scripts."""
    url = postgres.url(postgres.create_database())
    initialize(url)
    with serving(
        tmp_path_factory.mktemp("server"), "--workers", "2", "--table-delay", "0", "--store", url
    ) as server:
        yield server


@pytest.fixture
def remote_on_postgres(postgres_server: Serving, request: pytest.FixtureRequest) -> Iterator[HttpDatabase]:
    number = OVER_HTTP.index(request.getfixturevalue("script"))
    remote = HttpDatabase(postgres_server.address, f"script-{number:04d}")
    yield remote
    remote.close()


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


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=[] if name(path) in SAMPLE else [pytest.mark.slow]) for path in EVERY_SCRIPT],
    ids=name,
)
def test_on_postgres(script: Path, on_postgres: InProcessDatabase) -> None:
    run_script(script, on_postgres.call)


@pytest.mark.slow
@pytest.mark.parametrize("script", OVER_HTTP, ids=name)
def test_over_http_on_postgres(script: Path, remote_on_postgres: HttpDatabase) -> None:
    run_script(script, remote_on_postgres.call)


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=[] if name(path) in SAMPLE else [pytest.mark.slow]) for path in EVERY_SCRIPT],
    ids=name,
)
def test_with_heavy_bodies(script: Path, tmp_path: Path) -> None:
    """Every request is answered as if its body were a heavy one: checked first, then decoded in slices."""
    buckets = limited() if script.parent.name == "throttling" else None
    database = heavy_database(tmp_path / "data", store="memory", buckets=buckets)
    run_script(script, database.call)
    database.close()
