"""TLS to PostgreSQL, as libpq's parameters demand it: who the server is can be verified.

Not every build of PostgreSQL speaks TLS, those of wheels for instance. So a front of the test's own does, and
passes what it receives on to a server.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from blotter.database.storage.postgres.connections.url import StoreUrl
from tests.certificates import sign
from tests.unit.database.storage.postgres.test_connecting import initialize, refused, with_connection

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class TlsFront:
    """Listens on loopback, agrees to TLS as PostgreSQL does, and passes the bytes on to `target`, a port there. On
    an event loop of its own, in a thread."""

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        self._context, self._target = context, target
        self.encrypted = 0
        """Connections that have become encrypted ones."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = starting.result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with the certificate of the server's authority, and with that of another one."""
    ours = sign("authority", authority=True)
    signed = sign("server", ours)
    (tmp_path / "ca.pem").write_bytes(ours.pem)
    (tmp_path / "other.pem").write_bytes(sign("another", authority=True).pem)
    (tmp_path / "server.pem").write_bytes(signed.pem + signed.key_pem())
    return tmp_path


@pytest.fixture
def front(postgres_url: str, authority: Path) -> Iterator[TlsFront]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    front = TlsFront(context, StoreUrl(postgres_url).hosts[0].port)
    yield front
    front.close()


@pytest.fixture
def url(postgres_url: str, front: TlsFront) -> str:
    """Of a store behind TLS, on 127.0.0.1."""
    initialize(postgres_url)
    return postgres_url.replace(f":{StoreUrl(postgres_url).hosts[0].port}", f":{front.port}")


def test_a_server_is_verified_by_its_authority_and_name(url: str, front: TlsFront, authority: Path) -> None:
    verified = f"{url}?sslmode=verify-full&sslrootcert={authority / 'ca.pem'}"
    assert with_connection(verified, lambda connection: connection.fetchval("SELECT 1")) == 1
    assert front.encrypted == 1


def test_encryption_alone_can_be_demanded(url: str, front: TlsFront) -> None:
    assert with_connection(f"{url}?sslmode=require", lambda connection: connection.fetchval("SELECT 1")) == 1
    assert front.encrypted == 1


def test_a_server_of_another_authority_is_refused(url: str, authority: Path) -> None:
    said = refused(f"{url}?sslmode=verify-full&sslrootcert={authority / 'other.pem'}")
    assert "its certificate is not to be trusted: unable to get local issuer certificate" in said


def test_a_missing_file_is_named(url: str, authority: Path) -> None:
    said = refused(f"{url}?sslmode=verify-full&sslrootcert={authority / 'none.pem'}")
    assert said.endswith(f"sslrootcert {authority / 'none.pem'} cannot be read")


def test_a_server_without_tls_is_refused(postgres_url: str) -> None:
    said = refused(f"{postgres_url}?sslmode=require")
    assert "rejected SSL upgrade" in said
