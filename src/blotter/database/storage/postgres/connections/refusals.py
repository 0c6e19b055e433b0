"""Why a PostgreSQL server, or what it holds, is not used: each reason as one line for the operator.

A connection that is just made is asked once (`QUESTION`), and `refusal` judges the answer. What would lose
acknowledged writes is refused, not corrected: a setting that is wrong for this connection is wrong for the
operator's tools too. Pure, apart from the import of asyncpg's errors.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

OLDEST: Final = 150000
"""`server_version_num` of PostgreSQL 15, the oldest that is tested."""

MARK: Final = "blotter.connection"
"""A setting that a connection is made with. A pooler drops or refuses it: what arrives with another session does
not have it."""

QUESTION: Final = """
SELECT current_setting('server_version_num')::int AS version,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('server_encoding') AS encoding,
    current_setting('blotter.connection', true) AS mark,
    pg_is_in_recovery() AS is_standby,
    current_setting('synchronous_standby_names') <> '' AS is_synchronous
"""

_NUMBERS: Final = re.compile(r"\[Errno (\d+)\]")
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


def refusal(found: Mapping[str, Any], mark: str) -> str | None:
    """Why a server cannot be used that answers `QUESTION` so, on a connection made with `mark`; None if it can."""
    if found["version"] < OLDEST:
        return f"it is PostgreSQL {found['version'] // 10000}; 15 or newer is needed"
    if found["mark"] != mark:
        return POOLER
    for setting in _DURABILITY:
        if found[setting] == "off":
            return f"its setting {setting} is off: a crash would lose writes that were acknowledged; switch it on"
    if found["encoding"] != "UTF8":
        return f"its encoding is {found['encoding']}; a database with encoding UTF8 is needed"
    return None


STANDBY: Final = "it is a standby; the primary is needed"
POOLER: Final = (
    "a connection pooler (such as PgBouncer) is between: its sessions change from one transaction to the next; "
    "connect to PostgreSQL itself"
)


def is_transient(error: BaseException) -> bool:
    """Whether a server that refused a connection so may accept one a little later, without anybody's doing."""
    import asyncpg

    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, _transient_errors())
    return isinstance(error, OSError | TimeoutError) and not isinstance(error, ssl.SSLError)


def _transient_errors() -> tuple[type[BaseException], ...]:
    import asyncpg

    return (
        asyncpg.CannotConnectNowError,  # starting up, shutting down, in recovery
        asyncpg.TooManyConnectionsError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.PostgresConnectionError,
    )


def why(error: BaseException) -> str:
    """What a connection failed with. No message of these errors holds a password."""
    import asyncpg

    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        return f"access was denied: {error} (the password is taken from PGPASSWORD, a password file or the URL)"
    if isinstance(error, asyncpg.PostgresError) and "unsupported startup parameter" in str(error):
        return POOLER
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        # One number; or, of a name with several addresses, one in the text for each of them.
        numbers = [error.errno or 0] if error.errno else map(int, _NUMBERS.findall(str(error)))
        if reasons := [os.strerror(number) for number in dict.fromkeys(numbers) if number > 0]:
            return ", ".join(reasons)
    text = " ".join(str(error).split())
    return text or type(error).__name__
