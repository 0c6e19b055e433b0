"""TLS to PostgreSQL, as libpq's parameters demand it: who the server is can be verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import sign
from tests.postgres_server import PostgresServer
from tests.unit.database.storage.postgres.test_connecting import initialize, refused, with_connection

_IS_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def url(authority: Path) -> Iterator[str]:
    """Of a server with a certificate for 127.0.0.1."""
    ours, another = sign("authority", authority=True), sign("another", authority=True)
    (authority / "ca.pem").write_bytes(ours.pem)
    (authority / "other.pem").write_bytes(another.pem)
    server = PostgresServer({"ssl": "on"})
    try:
        server.initialize()
        signed = sign("server", ours)
        owner = server.data.stat()
        for name, content in (("server.crt", signed.pem), ("server.key", signed.key_pem())):
            path = server.data / name
            path.write_bytes(content)
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        server.start()
        initialize(server.url())
        yield server.url()
    finally:
        server.remove()


def test_a_server_is_verified_by_its_authority_and_name(url: str, authority: Path) -> None:
    verified = f"{url}?sslmode=verify-full&sslrootcert={authority / 'ca.pem'}"
    assert with_connection(verified, lambda connection: connection.fetchval(_IS_ENCRYPTED)) is True


def test_encryption_alone_can_be_demanded(url: str) -> None:
    assert with_connection(f"{url}?sslmode=require", lambda c: c.fetchval(_IS_ENCRYPTED)) is True
    assert with_connection(f"{url}?sslmode=disable", lambda c: c.fetchval(_IS_ENCRYPTED)) is False


def test_a_server_of_another_authority_is_refused(url: str, authority: Path) -> None:
    said = refused(f"{url}?sslmode=verify-full&sslrootcert={authority / 'other.pem'}")
    assert "its certificate is not to be trusted: unable to get local issuer certificate" in said


def test_a_missing_file_is_named(url: str, authority: Path) -> None:
    said = refused(f"{url}?sslmode=verify-full&sslrootcert={authority / 'none.pem'}")
    assert said.endswith(f"sslrootcert {authority / 'none.pem'} cannot be read")


def test_a_server_without_tls_is_refused(postgres_url: str) -> None:
    said = refused(f"{postgres_url}?sslmode=require")
    assert "rejected SSL upgrade" in said
