"""The store in PostgreSQL as a server sees it before it forks: where it is, that it can be used, its secrets.

Nothing of it belongs to one server, so `claim` reserves nothing: it connects once, so that whatever is wrong is
said in one line before anything runs, and reads the secrets that all front ends share. The processes connect for
themselves, after the fork, when they first need to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from blotter.database.encryption.directory_keys import DirectoryKeys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.files import FileCipher
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.coroutines import open_and_run
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.searching import ConnectError
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.store_keys import open_keys
from blotter.database.storage.postgres.storage import PostgresStorage
from blotter.database.storage.protocol import DataDirectoryError, Storage

T = TypeVar("T")

log = logging.getLogger(__name__)

_SCARCE: Final = 72
"""Connections that a server with two workers may open."""


class PostgresStore:
    """See `protocol.Store`."""

    single_process = False
    several_servers = True

    def __init__(self, url: StoreUrl, master_key: MasterKey | None = None) -> None:
        self.url = url
        self.description = f"data in {url.shown}"
        self._master_key = master_key
        self._keys: DirectoryKeys | None = None

    def claim(self) -> None:
        """Connects, and looks whether the store can be used. Raises DataDirectoryError."""
        self._keys = asyncio.run(self._look())

    async def _look(self) -> DirectoryKeys:
        connection = await self._connect()
        try:
            state = await schema_versions.read_state(connection)
            await _warn_of_few_connections(connection)
        finally:
            connection.terminate()
        try:
            return open_keys(state or {}, self._master_key, self.url.shown)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None

    async def _connect(self) -> StoreConnection:
        try:
            return await Connector(self.url).connect_patiently(self.url.connect_timeout)
        except ConnectError as error:
            raise DataDirectoryError(str(error)) from None

    def open(self) -> Storage:
        connector = Connector(self.url)
        return PostgresStorage(connector, self.url.schema)

    def run_apart(self, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(open_and_run(self, work))

    def secret_key(self, purpose: str) -> bytes:
        return self._claimed().secret_key(purpose)

    def file_cipher(self) -> FileCipher:
        return self._claimed().file_cipher()

    def key_files(self) -> dict[str, bytes]:
        return self._claimed().as_files()

    def kms_key(self) -> str | None:
        return self._claimed().kms_key

    def log_bytes(self) -> int | None:
        return None

    def spare_bytes(self) -> int | None:
        """The store's disk is another one."""
        return None

    def _claimed(self) -> DirectoryKeys:
        if self._keys is None:
            self.claim()
        assert self._keys is not None
        return self._keys

    def release(self) -> None:
        """There is nothing to give back."""


async def _warn_of_few_connections(connection: StoreConnection) -> None:
    allowed = await connection.fetchval(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    if allowed < _SCARCE:
        log.warning("PostgreSQL allows %d connections: too few for several servers (docs/operations.md)", allowed)
