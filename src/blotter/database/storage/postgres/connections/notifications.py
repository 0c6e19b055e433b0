"""How a process learns that another one has changed the catalog: LISTEN on a connection of its own.

A notification is a hint. When the connection is lost, `wait` returns, and those who wait look for themselves.
"""

from __future__ import annotations

import asyncio
from typing import Any

from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.pool import Connect, discard
from blotter.database.storage.postgres.statements import Connection
from blotter.database.storage.protocol import StorageUnavailable

AGAIN_SECONDS = 1.0
"""Until a lost connection is made again."""


class Notifications:
    """For one waiting task at a time."""

    def __init__(self, connect: Connect, schema: str) -> None:
        self._connect = connect
        self._channel = channel_of(schema)
        self._connection: Connection | None = None
        self._changed = asyncio.Event()
        self._has_waited = False

    async def wait(self) -> None:
        """Returns once a notification has come since this last returned; the first call returns at once."""
        if self._connection is None or self._connection.is_closed():
            await self._listen()
        if self._has_waited:
            await self._changed.wait()
        self._has_waited = True
        self._changed.clear()

    async def _listen(self) -> None:
        """What came while nobody listened is not known: the first wait after this returns at once."""
        try:
            connection = await self._connect()
            connection.add_termination_listener(self._noticed)
            await connection.add_listener(self._channel, self._noticed)
        except (StorageUnavailable, *STORE_FAILURES):
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            self._connection = connection
        self._changed.set()

    def _noticed(self, *_: Any) -> None:
        self._changed.set()

    async def close(self) -> None:
        if self._connection is not None:
            discard(self._connection)
            self._connection = None


def channel_of(schema: str) -> str:
    """The channel of a schema's notifications."""
    return f"blotter_{schema}"[:63]
