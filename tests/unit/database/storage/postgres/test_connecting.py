"""A connection is given to the primary of a store of our format, or refused with one line that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import pytest

from blotter.database.storage.postgres.connections import occupancy, store_connection
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.searching import ConnectError
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema import SCHEMA_VERSION
from blotter.database.storage.postgres.statements import APPLY
from blotter.database.storage.protocol import StorageUnavailable
from tests.postgres_server import PostgresServer, free_port, running

T = TypeVar("T")


def with_connection(
    url: str, work: Callable[[StoreConnection], Awaitable[T]], *, wants_store: bool = True, seconds: float = 0
) -> T:
    """What `work` returns of a connection that is closed after it."""

    async def run() -> T:
        connection = await Connector(StoreUrl(url), wants_store=wants_store).connect_patiently(seconds)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def initialize(url: str) -> bool:
    schema = StoreUrl(url).schema
    return with_connection(url, lambda c: schema_versions.initialize(c, schema, None), wants_store=False)


def refused(url: str) -> str:
    with pytest.raises(ConnectError) as raised:
        with_connection(url, lambda connection: connection.fetchval("SELECT 1"))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def store_url(postgres_url: str) -> str:
    initialize(postgres_url)
    return postgres_url


def test_a_connection_finds_the_store_by_unqualified_names(store_url: str) -> None:
    counted = with_connection(store_url, lambda connection: connection.fetchval("SELECT count(*) FROM items"))
    assert counted == 0


def test_several_stores_fit_into_one_database(postgres_url: str) -> None:
    for schema in ("first", 'se"cond', "été"):
        url = f"{postgres_url}?schema={schema}"
        assert initialize(url)
        assert not initialize(url)
        found = with_connection(url, lambda connection: connection.fetchval("SELECT current_schema()"))
        assert found == schema


def test_the_settings_of_a_role_disturb_no_connection(postgres: PostgresServer, store_url: str) -> None:
    settings = {
        "statement_timeout": "1",
        "lock_timeout": "1",
        "idle_in_transaction_session_timeout": "1",
        "idle_session_timeout": "1",
        "default_transaction_isolation": "serializable",
        "synchronous_commit": "local",
    }
    name = StoreUrl(store_url).database
    postgres.execute(*(f"ALTER DATABASE {name} SET {setting} = '{to}'" for setting, to in settings.items()))

    async def settings_of(connection: StoreConnection) -> list[str]:
        return [await connection.fetchval(f"SHOW {setting}") for setting in settings]

    assert with_connection(store_url, settings_of) == ["0", "0", "0", "0", "read committed", "on"]


def test_connections_that_are_made_at_the_same_time_lead_to_one_primary(store_url: str) -> None:
    """Otherwise the second would end the first: its primary looks like another one."""

    async def connect() -> tuple[set[bool], int]:
        connector = Connector(StoreUrl(store_url))
        connections = await asyncio.gather(*(connector.connect() for _ in range(4)))
        primaries = {connection.primary for connection in connections}
        alive = {connection.is_closed() for connection in connections}
        for connection in connections:
            await connection.close()
        return alive, len(primaries)

    assert asyncio.run(connect()) == ({False}, 1)


def test_the_types_of_statements_are_asked_once_for_all_connections(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fail-over all front ends connect at once, and the question costs more than the connection."""
    asked: list[frozenset[int]] = []
    ask = asyncpg.Connection._introspect_types

    async def counted(self: Any, types: Any, timeout: Any) -> Any:
        asked.append(frozenset(types))
        return await ask(self, types, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", counted)
    monkeypatch.setattr(store_connection, "_known", {})

    async def work(connection: StoreConnection) -> Any:
        await connection.prepare(APPLY)
        return await connection.fetchval("SELECT $1::int8[]", [1, 2])

    for _ in range(2):
        assert with_connection(store_url, work) == [1, 2]
    assert len(asked) == 1
    assert all(max(types) < 10_000 for types in asked)


def test_types_of_an_extension_are_asked_on_every_connection(store_url: str) -> None:
    """Their numbers differ from one database to the next."""

    async def work(connection: StoreConnection) -> Any:
        await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        return await connection.fetchval("SELECT $1::mood[]", ["glad"])

    before = dict(store_connection._known)
    assert with_connection(store_url, work) == ["glad"]
    assert store_connection._known == before


def test_a_database_without_a_store_is_refused(postgres_url: str) -> None:
    assert "holds no store yet: `blotter store init` makes one" in refused(postgres_url)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("format", b"999", f"has format 999, and this version of blotter knows {SCHEMA_VERSION}: use a newer one"),
        ("format", b"0", f"has the older format 0: `blotter store upgrade` makes format {SCHEMA_VERSION} of it"),
        ("copy", b"", "is the target of a copy that is not complete: repeat `blotter store copy`"),
    ],
)
def test_a_store_in_another_state_is_refused(store_url: str, name: str, value: bytes, expected: str) -> None:
    with_connection(store_url, lambda c: schema_versions.save_state(c, name, value), wants_store=False)
    assert expected in refused(store_url)


def test_a_store_that_somebody_has_alone_is_refused(store_url: str) -> None:
    schema = StoreUrl(store_url).schema

    async def work() -> None:
        tools = Connector(StoreUrl(store_url), wants_store=False)
        connector = Connector(StoreUrl(store_url))
        used = await connector.connect()
        alone, other = await tools.connect(), await tools.connect()
        assert len(await occupancy.users(other, schema)) == 1
        await occupancy.take_alone(alone, other, schema)
        with pytest.raises(StorageUnavailable, match="is being upgraded"):
            await connector.connect()
        assert await occupancy.users(other, schema) == []
        with pytest.raises(STORE_FAILURES):
            await used.fetchval("SELECT 1")
        await alone.close()
        await (await connector.connect()).close()
        await other.close()

    asyncio.run(work())


def test_a_wrong_password_is_refused_and_not_shown(postgres: PostgresServer, store_url: str) -> None:
    name = StoreUrl(store_url).database
    postgres.execute(f"CREATE ROLE guarded_{name} LOGIN PASSWORD 'right'")
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text(f"host all guarded_{name} 127.0.0.1/32 scram-sha-256\n{before}")
        postgres.execute("SELECT pg_reload_conf()")
        said = refused(postgres.url(name, user=f"guarded_{name}", password="wrong-geheim"))
    finally:
        rules.write_text(before)
        postgres.execute("SELECT pg_reload_conf()", f"DROP ROLE guarded_{name}")
    assert "access was denied" in said
    assert "password is taken from PGPASSWORD" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://nobody@127.0.0.1:{free}/x", "127.0.0.1:{free}: Connection refused"),
        ("postgresql://nobody@host.invalid/x", "host.invalid:5432: "),
        ("postgresql://nobody@/x?host=/nowhere", "/nowhere port 5432: No such file or directory"),
    ],
)
def test_a_server_that_is_not_there(url: str, expected: str) -> None:
    free = str(free_port())
    said = refused(url.replace("{free}", free))
    assert said.startswith("PostgreSQL cannot be used: ")
    assert expected.replace("{free}", free) in said


def test_a_database_that_does_not_exist(postgres: PostgresServer) -> None:
    assert 'database "nowhere" does not exist' in refused(postgres.url("nowhere"))


def test_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
    try:
        assert "its encoding is SQL_ASCII" in refused(postgres.url("ascii"))
    finally:
        postgres.drop_database("ascii")


def test_commits_that_are_not_synced_are_refused(postgres: PostgresServer, store_url: str) -> None:
    name = StoreUrl(store_url).database
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = 'off'")
    assert "its setting synchronous_commit is off: a crash would lose writes" in refused(store_url)


def test_a_database_whose_transactions_are_read_only_by_default_is_written(
    postgres: PostgresServer, store_url: str
) -> None:
    name = StoreUrl(store_url).database
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert with_connection(store_url, lambda c: c.fetchval("SHOW transaction_read_only")) == "off"


def test_a_server_that_does_not_sync_is_refused() -> None:
    with running({"fsync": "off"}) as careless:
        assert "its setting fsync is off" in refused(careless.url())


@pytest.mark.parametrize(
    "order", ["{dead},{good}", "{good},{dead}", "{dead},{dead},{good},{good}", "host.invalid,{good}"]
)
def test_the_primary_is_found_among_several_hosts(store_url: str, order: str) -> None:
    good = str(StoreUrl(store_url).hosts[0])
    hosts = order.format(good=good, dead=f"127.0.0.1:{free_port()}")
    url = store_url.replace(good, hosts)
    assert with_connection(url, lambda connection: connection.fetchval("SELECT 1")) == 1


def test_each_host_is_asked_once() -> None:
    dead = free_port()
    url = f"postgresql://u@127.0.0.1:{dead},127.0.0.1:{dead}/x"
    assert refused(url).count(f"127.0.0.1:{dead}: ") == 1


def test_a_setting_up_that_happens_four_times_at_once_happens_once(postgres_url: str) -> None:
    async def one() -> bool:
        connection = await Connector(StoreUrl(postgres_url), wants_store=False).connect()
        try:
            return await schema_versions.initialize(connection, "blotter", None)
        finally:
            await connection.close()

    async def four() -> list[bool]:
        return await asyncio.gather(one(), one(), one(), one())

    assert sorted(asyncio.run(four())) == [False, False, False, True]


def test_a_schema_that_holds_something_else_is_left_alone(postgres: PostgresServer, postgres_url: str) -> None:
    name = StoreUrl(postgres_url).database
    postgres.execute("CREATE SCHEMA blotter", "CREATE TABLE blotter.items (mine int)", database=name)
    with pytest.raises(schema_versions.NotAStore, match="holds something else"):
        initialize(postgres_url)
    found = with_connection(
        postgres_url,
        lambda c: c.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'blotter'"),
        wants_store=False,
    )
    assert [row["tablename"] for row in found] == ["items"]


# An upgrade to a format that only these tests know.


async def _add_column(connection: Any) -> None:
    await connection.execute("ALTER TABLE items ADD COLUMN added int8")


_MIGRATIONS = {SCHEMA_VERSION: _add_column}


def _upgrade(
    url: str, migrations: dict[int, Any] = _MIGRATIONS, target: int = SCHEMA_VERSION + 1
) -> tuple[int, int]:
    async def work(connection: StoreConnection) -> tuple[int, int]:
        other = await Connector(StoreUrl(url), wants_store=False).connect()
        try:
            return await schema_versions.upgrade(connection, other, "blotter", target, migrations)
        finally:
            await other.close()

    return with_connection(url, work, wants_store=False)


def test_an_upgrade_ends_the_older_front_ends_and_they_are_refused_then(store_url: str) -> None:
    assert _upgrade(store_url) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)
    assert _upgrade(store_url) == (SCHEMA_VERSION + 1, SCHEMA_VERSION + 1)
    assert f"has format {SCHEMA_VERSION + 1}, and this version of blotter knows {SCHEMA_VERSION}" in refused(
        store_url
    )


def test_an_upgrade_that_fails_changes_nothing(store_url: str) -> None:
    async def fail(connection: Any) -> None:
        await _add_column(connection)
        await connection.execute("SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        _upgrade(store_url, {SCHEMA_VERSION: fail})
    with_connection(store_url, lambda connection: connection.fetchval("SELECT count(*) FROM items"))
    assert _upgrade(store_url) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)


def test_an_upgrade_from_an_unknown_format_is_refused(store_url: str) -> None:
    with pytest.raises(schema_versions.NotAStore, match="which this version of blotter cannot upgrade"):
        _upgrade(store_url, {})
    with pytest.raises(schema_versions.NotAStore, match="use a newer one"):
        _upgrade(store_url, target=0)


def test_an_upgrade_of_nothing_is_refused(postgres_url: str) -> None:
    with pytest.raises(schema_versions.NotAStore, match="there is no store yet"):
        _upgrade(postgres_url)
