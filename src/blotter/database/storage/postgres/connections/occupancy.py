"""Who works on a store: every connection of a front end has a shared advisory lock while it lasts.

Whoever needs the store alone (`blotter store upgrade`, the last step of a copy) takes the same lock exclusively.
New connections are refused from the moment at which that is asked for; those that exist are ended by the server.
What they had not committed is undone, and front ends answer with an error that clients repeat, until they can
connect again. As everything is released by the end of a connection, an interruption leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from zlib import crc32

_USED: Final = 0x626C6F01
"""The class of the lock; its other half names the schema."""
_SETTING_UP: Final = 0x626C6F02
_COPYING: Final = 0x626C6F03
_PAUSE: Final = 0.1

TAKEN: Final = "is being upgraded, or is the target of a copy: front ends cannot use it meanwhile"

_OTHERS = """
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = $1::int8::oid AND objid = $2::int8::oid AND objsubid = 2
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode = 'ShareLock' AND granted AND pid <> pg_backend_pid()
"""


def _signed(schema: str) -> int:
    return crc32(schema.encode()) - (1 << 31)


def _unsigned(schema: str) -> int:
    return _signed(schema) % (1 << 32)


async def enter(connection: Any, schema: str) -> bool:
    """Counts the connection among those that use the store, until it ends; False if somebody has it alone."""
    entered: bool = await connection.fetchval(
        "SELECT pg_try_advisory_lock_shared($1::int4, $2::int4)", _USED, _signed(schema)
    )
    return entered


async def set_up_alone(connection: Any, schema: str) -> None:
    """Waits until no other transaction sets the schema up; lasts to the end of the connection's transaction."""
    await connection.execute(f"SELECT pg_advisory_xact_lock({_SETTING_UP}, {_signed(schema)})")


async def users(connection: Any, schema: str) -> list[str]:
    """Where the connections come from that use the store, one entry for each."""
    rows = await connection.fetch(
        f"SELECT coalesce(host(client_addr), 'this machine') AS place {_OTHERS} ORDER BY 1",
        _USED,
        _unsigned(schema),
    )
    return [row["place"] for row in rows]


async def try_alone(connection: Any, schema: str) -> bool:
    """Has the store alone with `connection`, until that ends, unless somebody uses it."""
    taken: bool = await connection.fetchval(
        "SELECT pg_try_advisory_lock($1::int4, $2::int4)", _USED, _signed(schema)
    )
    return taken


async def try_copy(connection: Any, schema: str) -> bool:
    """Is the only one that copies the store to another one with `connection`, until that ends; False if there is
    one."""
    taken: bool = await connection.fetchval(
        "SELECT pg_try_advisory_lock($1::int4, $2::int4)", _COPYING, _signed(schema)
    )
    return taken


async def take_alone(connection: Any, other: Any, schema: str) -> None:
    """Has the store alone with `connection`, until that ends. `other` is a second connection of the same role,
    which ends those of front ends. Raises what PostgreSQL refuses: those of another role cannot be ended."""
    waiting = asyncio.ensure_future(
        connection.fetchval("SELECT pg_advisory_lock($1::int4, $2::int4)", _USED, _signed(schema))
    )
    try:
        while not waiting.done():
            await other.fetch(f"SELECT pg_terminate_backend(pid) {_OTHERS}", _USED, _unsigned(schema))
            await asyncio.wait({waiting}, timeout=_PAUSE)
        await waiting
    finally:
        waiting.cancel()
