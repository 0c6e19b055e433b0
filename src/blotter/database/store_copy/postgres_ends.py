"""Stores in PostgreSQL as the ends of a copy.

Both ends connect without counting among the front ends. A source has stopped when no front end is connected: then
the copy has it alone, and new front ends are refused until it is over. A target is taken alone from the start; the
entry `copy` of `meta` keeps front ends from it until it is complete, also when the copy was killed. The next copy
removes what such a one has left, and begins anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from blotter.database.encryption import key_file
from blotter.database.encryption.data_keys import DataKey
from blotter.database.encryption.directory_keys import DirectoryKeys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.key_file import KeyFile
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.connections import occupancy
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.searching import ConnectError
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema_versions import COPY, KEYS, SECRET, NotAStore
from blotter.database.storage.postgres.layout.store_keys import open_keys
from blotter.database.storage.postgres.storage import PostgresStorage
from blotter.database.storage.protocol import DataDirectoryError, Storage

_IN_PROGRESS: Final = b"in progress"

_IS_EMPTY: Final = """
SELECT NOT EXISTS (SELECT FROM catalog) AND NOT EXISTS (SELECT FROM items) AND NOT EXISTS (SELECT FROM long_items)
    AND (SELECT last FROM log_counter) = 0
"""
_OURS: Final = """
SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables WHERE schemaname = $1
UNION ALL
SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
"""


class _End:
    """What both ends have: a connection of the store's own, with which it can be taken alone."""

    def __init__(self, url: StoreUrl, master_key: MasterKey | None, files: Path | None) -> None:
        self.url = url
        self.description = url.shown
        self.files = files
        self.keys = DirectoryKeys(Path())
        self._master_key = master_key
        self._is_alone = False
        self._connector = Connector(url, wants_store=False)
        self._connection: StoreConnection | None = None

    async def _connect(self) -> StoreConnection:
        try:
            self._connection = await self._connector.connect_patiently(self.url.connect_timeout)
        except ConnectError as error:
            raise DataDirectoryError(str(error)) from None
        return self._connection

    async def _take_alone(self) -> bool:
        """Has the store alone from now on, unless somebody uses it."""
        assert self._connection is not None
        if not self._is_alone:
            try:
                self._is_alone = await occupancy.try_alone(self._connection, self.url.schema)
            except STORE_FAILURES as error:
                raise DataDirectoryError(f"{self.url.shown} cannot be reached any more: {error}") from None
        return self._is_alone

    async def _users(self) -> str:
        assert self._connection is not None
        places = sorted(set(await occupancy.users(self._connection, self.url.schema)))
        return ", ".join(places) or "nowhere any more"

    def _storage(self) -> Storage:
        return PostgresStorage(Connector(self.url, wants_store=False), self.url.schema)

    async def release(self) -> None:
        if self._connection is not None:
            self._connection.terminate()  # and with it the lock
            self._connection = None
        await self._connector.close()


class PostgresSource(_End):
    """See `ends.SourceEnd`."""

    can_stop_others = False

    async def open(self) -> Storage:
        connection = await self._connect()
        state = await schema_versions.read_state(connection)
        problem = schema_versions.refusal(state, self.url.shown)
        if problem is not None or state is None:
            raise DataDirectoryError(problem or self.url.shown)
        if not await occupancy.try_copy(connection, self.url.schema):
            raise DataDirectoryError(f"{self.url.shown} is being copied already")
        try:
            self.keys = open_keys(state, self._master_key, self.url.shown)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None
        return self._storage()

    @property
    def secret(self) -> bytes:
        return self.keys.secret

    async def try_stop(self) -> bool:
        return await self._take_alone()

    async def stop_others(self) -> None:
        raise NotImplementedError  # `can_stop_others`

    async def how_to_stop(self) -> str:
        return f"stop the servers on {self.url.shown} (connected from {await self._users()})"


class PostgresTarget(_End):
    """See `ends.TargetEnd`."""

    async def open(self, secret: bytes) -> Storage:
        connection = await self._connect()
        if not await self._take_alone():
            raise DataDirectoryError(f"{self.url.shown} is in use, by connections from {await self._users()}")
        try:
            async with connection.transaction():
                await self._begin(connection, secret)
        except NotAStore as error:
            raise DataDirectoryError(str(error)) from None
        except asyncpg.PostgresError as error:
            raise DataDirectoryError(f"{self.url.shown} cannot be set up: {error}") from None
        return self._storage()

    async def _begin(self, connection: Any, secret: bytes) -> None:
        """An empty store with the source's secret, which is marked as the target of a copy."""
        state = await schema_versions.read_state_inside(connection)
        if state is not None and COPY in state:
            await _remove_everything(connection, self.url.schema)
            state = None
        if state is None:
            await schema_versions.initialize(connection, self.url.schema, self._master_key)
            state = await schema_versions.read_state(connection)
        problem = schema_versions.refusal(state, self.url.shown)
        if problem is None and not await connection.fetchval(_IS_EMPTY):
            problem = f"{self.url.shown} holds a store that is not empty; nothing was written"
        if problem is not None or state is None:
            raise NotAStore(problem or self.url.shown)
        try:
            self.keys = open_keys(state, self._master_key, self.url.shown)
        except MasterKeyError as error:
            raise NotAStore(str(error)) from None
        await schema_versions.save_state(connection, COPY, _IN_PROGRESS)
        if secret:
            await self._take_over(connection, secret)

    async def _take_over(self, connection: Any, secret: bytes) -> None:
        """Puts the source's secret in the place of the new store's own."""
        if self._master_key is None:
            await schema_versions.save_state(connection, SECRET, secret)
            return
        key = DataKey.generate()
        file = KeyFile(key_file.FORMAT, key.id.hex(), (key_file.wrap(key, secret, self._master_key),))
        await schema_versions.save_state(connection, KEYS, msgspec.json.encode(file))
        self.keys = DirectoryKeys(Path(), file, {key.id.hex(): key}, secret)

    async def complete(self) -> None:
        assert self._connection is not None
        try:
            await schema_versions.save_state(self._connection, COPY, None)
        except STORE_FAILURES as error:
            raise DataDirectoryError(f"{self.url.shown} cannot be completed: {error}") from None

    async def abandon(self) -> None:
        """It stays marked, so that nobody uses it; the next copy removes what is there."""


async def _remove_everything(connection: Any, schema: str) -> None:
    """Empties a schema that a copy has begun to fill."""
    for row in await connection.fetch(_OURS, schema):
        await connection.execute(row[0])
