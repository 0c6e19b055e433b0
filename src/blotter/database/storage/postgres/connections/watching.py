"""Looks at every host of a store's URL, twice a second: is there a newer primary, and does ours still answer? Ten
times a second while standbys do not confirm what ours commits.

A cut network says nothing: requests that were sent just never come back. So what waits for an answer from a
primary that another one has replaced, or that has been silent for seconds, is ended here, and callers get an
error that their SDK repeats. And whether the primary has synchronous standbys can change while we are connected to
it, as after a fail-over, when the second server comes back.

Each process has one connection to each host for this, standbys included; they have no part in anything else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from blotter.database.storage.postgres.connections.deadlines import within
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.url import Host

if TYPE_CHECKING:
    from blotter.database.storage.postgres.connections.connecting import Connector

_EVERY: Final = 0.5
_IN_DOUBT: Final = 0.1
SILENCE: Final = 4.0
"""Seconds without an answer after which a server's connections are ended."""
_CONNECT_SECONDS: Final = 2.0
"""TCP asks a host that was cut off ever more seldom: a new attempt comes through sooner after it is back."""

TIMELINE: Final = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
STARTED: Final = "extract(epoch FROM pg_postmaster_start_time())::float8"
_QUESTION = f"""
SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE {TIMELINE} END AS timeline, {STARTED} AS started,
    current_setting('synchronous_standby_names') <> '' AS is_synchronous
"""
_FAILURES = (*STORE_FAILURES, ValueError)


async def watch(connector: Connector) -> None:
    """Runs until its task is canceled."""
    async with asyncio.TaskGroup() as group:
        for host in dict.fromkeys(connector.url.hosts):
            group.create_task(_watch_host(connector, host))


async def _watch_host(connector: Connector, host: Host) -> None:
    connection: asyncpg.Connection[Any] | None = None
    heard = connector.now()
    try:
        while True:
            await _pause(connector)
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(**connector.arguments(host), timeout=_CONNECT_SECONDS)
                found = await within(SILENCE, connection, connection.fetchrow(_QUESTION))
            except _FAILURES as error:
                if connection is not None:
                    connection.terminate()
                    connection = None
                if not isinstance(error, TimeoutError):
                    heard = connector.now()  # It says something, or its machine does.
                elif connector.now() - heard >= SILENCE:
                    connector.note_silence(host)
                continue
            heard = connector.now()
            if found is not None and found["timeline"]:
                connector.note_primary(host, found["timeline"], found["started"], found["is_synchronous"])
    finally:
        if connection is not None:
            connection.terminate()


async def _pause(connector: Connector) -> None:
    """Until the next look."""
    for _ in range(round(_EVERY / _IN_DOUBT)):
        await asyncio.sleep(_IN_DOUBT)
        if connector.primary is not None and connector.primary.is_in_doubt():
            return
