"""What PostgreSQL and the network refuse, as the protocol names it. No text shows a connection's password:
asyncpg's errors do not have it, and addresses are left out."""

from __future__ import annotations

from typing import Final

import asyncpg

from blotter.database.storage.postgres.layout.schema import CONFLICT, DEPOSED, STALE
from blotter.database.storage.protocol import StorageUnavailable

STORE_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What the server, the network or the client library refuse; the library's internal errors are what it says of a
connection that the server ends at that moment. Everything else is the handler's own mistake."""
DEPOSED_TEXT: Final = "another server leads"
REPEATABLE: Final = frozenset([CONFLICT, "40001", "40P01"])
"""A batch that met one of these was not stored and is run again: a row had changed, or transactions waited for
each other."""
_DATA: Final = ("22", "23", "54")
"""Classes: of one handler's data; the other handlers of its batch can be stored."""
_LOST: Final = ("08", "57P", "25006")
"""Classes: the server ends the connection, or is no primary any more."""


def code_of(error: BaseException) -> str:
    """The SQLSTATE, "" for an error that is none of PostgreSQL."""
    return getattr(error, "sqlstate", None) or ""


def is_stale(error: BaseException) -> bool:
    return code_of(error) == STALE


def is_conflict(error: BaseException) -> bool:
    return code_of(error) in REPEATABLE


def is_of_connection(error: BaseException) -> bool:
    """Whether the connection has ended, or is about to."""
    return not isinstance(error, asyncpg.PostgresError) or code_of(error).startswith(_LOST)


def is_of_data(error: BaseException) -> bool:
    """Whether the statement was refused for what one of several handlers has put into it."""
    return code_of(error).startswith(_DATA)


def unavailable(error: BaseException) -> StorageUnavailable:
    """What callers are told."""
    if isinstance(error, StorageUnavailable):
        return error
    if code_of(error) == DEPOSED:
        return StorageUnavailable(DEPOSED_TEXT)
    code = code_of(error)
    text = str(error).partition("\n")[0] if code else ""
    return StorageUnavailable(f"PostgreSQL: {type(error).__name__}" + (f" {code}: {text}" if code else ""))
