"""The location of a PostgreSQL store is read as libpq reads it, and never shown with its password."""

from __future__ import annotations

import pytest

from blotter.database.storage.postgres.connections.url import Host, StoreUrl


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://db/x", [("db", 5432)]),
        ("postgres://u@db:6000/x", [("db", 6000)]),
        ("postgresql://u@db1,db2:6000/x", [("db1", 5432), ("db2", 6000)]),
        ("postgresql://[::1]:6000,127.0.0.1/x", [("::1", 6000), ("127.0.0.1", 5432)]),
        ("postgresql://u@/x?host=/run/pg&port=6000", [("/run/pg", 6000)]),
        ("postgresql://%2Frun%2Fpg/x", [("/run/pg", 5432)]),
        ("postgresql:///x?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql:///x?host=a,b&port=7", [("a", 7), ("b", 7)]),
        ("postgresql:///x", [("", 5432)]),
    ],
)
def test_every_form_of_hosts(text: str, hosts: list[tuple[str, int]]) -> None:
    assert StoreUrl(text).hosts == tuple(Host(*host) for host in hosts)


def test_user_password_database_and_schema_are_decoded() -> None:
    url = StoreUrl("postgresql://an%40na:p%3Aw%2F%20x@db/my%2Fdata?schema=%C3%A9t%C3%A9")
    assert (url.user, url.password, url.database, url.schema) == ("an@na", "p:w/ x", "my/data", "été")


def test_parameters_are_taken_as_well() -> None:
    url = StoreUrl(
        "postgresql:///?user=u&password=geheim&dbname=d&sslmode=verify-full&sslrootcert=/ca.pem&passfile=/pw"
        "&application_name=shop&connect_timeout=3&target_session_attrs=read-write"
    )
    assert (url.user, url.password, url.database, url.application) == ("u", "geheim", "d", "shop")
    assert (url.ssl_mode, url.files) == ("verify-full", {"sslrootcert": "/ca.pem", "passfile": "/pw"})
    assert url.connect_timeout == 3.0
    assert StoreUrl("postgresql://db/x").schema == "blotter"


@pytest.mark.parametrize("text", ["postgresql://u:geheim@db/x", "postgresql://u@db/x?password=geheim"])
def test_the_password_is_shown_nowhere(text: str) -> None:
    url = StoreUrl(text)
    assert url.password == "geheim"
    assert "geheim" not in repr(url) + str(url) + url.shown
    assert url.shown == "postgresql://u@db:5432/x"


def test_what_is_shown_names_hosts_sockets_and_schema() -> None:
    assert StoreUrl("postgresql://u@a,b:7/x?schema=s").shown == "postgresql://u@a:5432,b:7/x?schema=s"
    assert StoreUrl("postgresql://u@/x?host=/run").shown == "postgresql://u@/x?host=/run&port=5432"
    assert StoreUrl("postgresql://u@/x").shown == "postgresql://u@/x"


@pytest.mark.parametrize(
    "text",
    [
        "mysql://db/x",
        "postgresql://db:http/x",
        "postgresql://db:0/x",
        "postgresql://db:65536/x",
        "postgresql://[::1/x",
        "postgresql://[::1]x/x",
        "postgresql://db/x#part",
        "postgresql://db/x?nonsense",
        "postgresql://db/x?sslmode=maybe",
        "postgresql://db/x?target_session_attrs=standby",
        "postgresql://db/x?connect_timeout=soon",
        "postgresql://db/x?schema=",
        "postgresql://db/x?schema=pg_catalog",
        "postgresql://db/x?schema=" + "s" * 64,
        "postgresql://a,b/x?port=1,2,3",
        "postgresql://u:geheim@db/x?fsync=off",
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="postgresql://USER@HOST:PORT/DATABASE") as raised:
        StoreUrl(text)
    assert "geheim" not in str(raised.value)


def test_the_same_place_is_the_same_url() -> None:
    url = StoreUrl("postgresql://u@db/x")
    assert url == StoreUrl("postgres://u@db:5432/x")
    assert len({url, StoreUrl("postgres://u@db:5432/x")}) == 1
    assert url != StoreUrl("postgresql://u@db/y")
    assert url != "postgresql://u@db/x"
