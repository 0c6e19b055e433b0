"""Which format a store in PostgreSQL has, and who may use it: `blotter store init` and `upgrade`.

The table `meta` says of a store, by name:

    format     of the tables and functions (`schema.SCHEMA_VERSION`), in decimal digits
    keys_made  by which layout of keys (`model.keys.KEY_FORMAT`)
    timeline   of PostgreSQL's write-ahead log in which the store was last written (`connecting`)
    secret     32 bytes, of a store without a master key
    keys       the data key and the secret, wrapped by a master key (`encryption.key_file`)
    copy       present while a copy into the store is not complete

A front end uses a store of exactly its own format. `upgrade` has the store alone, so that no front end of the
older format is connected while it works, and is one transaction: interrupted, it has not happened.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import asyncpg
import msgspec

from blotter.database.encryption import key_file
from blotter.database.encryption.data_keys import KEY_BYTES, DataKey
from blotter.database.encryption.key_file import KeyFile
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.model.keys import KEY_FORMAT
from blotter.database.storage.postgres.connections import occupancy
from blotter.database.storage.postgres.connections.watching import TIMELINE as CURRENT_TIMELINE
from blotter.database.storage.postgres.layout import schema
from blotter.database.storage.postgres.layout.schema import SCHEMA_VERSION

FORMAT: Final = "format"
KEYS_MADE: Final = "keys_made"
TIMELINE: Final = "timeline"
SECRET: Final = "secret"
KEYS: Final = "keys"
COPY: Final = "copy"

MIGRATIONS: Final[dict[int, Callable[[Any], Awaitable[None]]]] = {}
"""Format → what makes the next one of it, in the transaction of the connection that it gets."""


class NotAStore(Exception):
    """The schema cannot be set up or upgraded; the message is for the operator. Nothing was changed."""


async def read_state(connection: Any) -> Mapping[str, bytes] | None:
    """The entries of `meta`; None if the connection's schema has no such table. Raises what PostgreSQL refuses,
    for instance when its table `meta` is something else's."""
    try:
        rows = await connection.fetch("SELECT name, value FROM meta")
    except asyncpg.UndefinedTableError:
        return None
    return {row["name"]: row["value"] for row in rows}


async def save_state(connection: Any, name: str, value: bytes | None) -> None:
    """Replaces one entry, or removes it."""
    if value is None:
        await connection.execute("DELETE FROM meta WHERE name = $1", name)
    else:
        await connection.execute(
            "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value
        )


def refusal(state: Mapping[str, bytes] | None, shown: str) -> str | None:
    """Why a front end does not use a store with this state; None if it does. `shown` names the store."""
    if state is None:
        return f"{shown} holds no store yet: `blotter store init` makes one"
    found = _format(state)
    if found > SCHEMA_VERSION:
        return f"{shown} has format {found}, and this version of blotter knows {SCHEMA_VERSION}: use a newer one"
    if found < SCHEMA_VERSION:
        return f"{shown} has the older format {found}: `blotter store upgrade` makes format {SCHEMA_VERSION} of it"
    if state.get(KEYS_MADE) != KEY_FORMAT.encode():
        return f"{shown} has another layout of keys than this version of blotter: use the version that made it"
    if COPY in state:
        return f"{shown} is the target of a copy that is not complete: repeat `blotter store copy`, or wait for it"
    return None


def _format(state: Mapping[str, bytes]) -> int:
    text = state.get(FORMAT, b"")
    return int(text) if text.isdigit() else 0


async def initialize(connection: Any, name: str, master: MasterKey | None) -> bool:
    """Makes a store in the schema `name`; returns whether there was none. Run many times at once, it makes one.
    Raises NotAStore, and what PostgreSQL refuses."""
    async with connection.transaction():
        await occupancy.set_up_alone(connection, name)
        state = await read_state_inside(connection)
        if state is not None:
            problem = refusal(state, f"the schema {name}")
            if problem is not None:
                raise NotAStore(problem)
            return False
        try:
            await schema.create(connection, name)
        except (
            asyncpg.DuplicateTableError,
            asyncpg.DuplicateObjectError,
            asyncpg.DuplicateFunctionError,
        ) as error:
            raise NotAStore(f"the schema {name} holds something else: {error}; choose another schema") from None
        await connection.execute("CREATE TABLE meta (name text PRIMARY KEY, value bytea NOT NULL)")
        for entry, value in (
            (FORMAT, str(SCHEMA_VERSION).encode()),
            (KEYS_MADE, KEY_FORMAT.encode()),
            (TIMELINE, str(await connection.fetchval(f"SELECT {CURRENT_TIMELINE}")).encode()),
            _new_secret(master),
        ):
            await save_state(connection, entry, value)
    return True


async def read_state_inside(connection: Any) -> Mapping[str, bytes] | None:
    """`read_state` for use in a transaction, which the error for a missing table would end."""
    if await connection.fetchval("SELECT to_regclass('meta') IS NULL"):
        return None
    return await read_state(connection)


def _new_secret(master: MasterKey | None) -> tuple[str, bytes]:
    secret = secrets.token_bytes(KEY_BYTES)
    if master is None:
        return SECRET, secret
    key = DataKey.generate()
    wrapped = key_file.wrap(key, secret, master)
    return KEYS, msgspec.json.encode(KeyFile(key_file.FORMAT, key.id.hex(), (wrapped,)))


async def upgrade(
    connection: Any,
    other: Any,
    name: str,
    target: int = SCHEMA_VERSION,
    migrations: Mapping[int, Callable[[Any], Awaitable[None]]] = MIGRATIONS,
) -> tuple[int, int]:
    """Brings the store to our format; returns the formats before and after. Ends the connections of front ends, if
    there is something to do. Raises NotAStore, and what PostgreSQL refuses."""
    before = await _known_format(connection, target, migrations)
    if before == target:
        return before, target
    await occupancy.take_alone(connection, other, name)
    async with connection.transaction():
        await occupancy.set_up_alone(connection, name)
        before = await _known_format(connection, target, migrations)  # another upgrade may have been faster
        for version in range(before, target):
            await migrations[version](connection)
        await save_state(connection, FORMAT, str(target).encode())
    return before, target


async def _known_format(connection: Any, target: int, migrations: Mapping[int, Any]) -> int:
    state = await read_state(connection)
    if state is None:
        raise NotAStore("there is no store yet: `blotter store init` makes one")
    found = _format(state)
    if found > target:
        raise NotAStore(
            f"the store has format {found}, and this version of blotter knows {target}: use a newer one"
        )
    if missing := [version for version in range(found, target) if version not in migrations]:
        raise NotAStore(f"the store has format {missing[0]}, which this version of blotter cannot upgrade")
    return found
