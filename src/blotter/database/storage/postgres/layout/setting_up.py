"""`blotter store init` and `upgrade` as functions: they connect, do it, and name what prevents it in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.connections.searching import ConnectError
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema_versions import NotAStore
from blotter.database.storage.postgres.layout.store_keys import open_keys
from blotter.database.storage.protocol import DataDirectoryError

T = TypeVar("T")


def init_store(url: StoreUrl, master: MasterKey | None) -> bool:
    """Makes a store; returns whether there was none. An existing one must have this master key. Raises
    DataDirectoryError."""

    async def work(connection: StoreConnection) -> bool:
        made = await schema_versions.initialize(connection, url.schema, master)
        open_keys(await schema_versions.read_state(connection) or {}, master, url.shown)
        return made

    return _run(url, work)


def upgrade_store(url: StoreUrl) -> tuple[int, int]:
    """Brings a store to our format; returns the formats before and after. Raises DataDirectoryError."""

    async def work(connection: StoreConnection) -> tuple[int, int]:
        other = await Connector(url, wants_store=False).connect_patiently(url.connect_timeout)
        try:
            return await schema_versions.upgrade(connection, other, url.schema)
        finally:
            other.terminate()

    return _run(url, work)


def _run(url: StoreUrl, work: Callable[[StoreConnection], Awaitable[T]]) -> T:
    async def connected() -> T:
        connection = await Connector(url, wants_store=False).connect_patiently(url.connect_timeout)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=5)

    try:
        return asyncio.run(connected())
    except (ConnectError, NotAStore, MasterKeyError) as error:
        raise DataDirectoryError(str(error)) from None
    except STORE_FAILURES as error:
        raise DataDirectoryError(str(unavailable(error))) from None
