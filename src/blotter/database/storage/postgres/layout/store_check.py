"""What must hold in a store in PostgreSQL whatever its tables mean: statistics, counters, key spaces, the log.

Used by `blotter store check`. Each check is a coroutine from a connection to the problems that it found, over one
snapshot, so that it can run beside servers. Whether PostgreSQL's own files are sound is for its own tools to say
(`pg_amcheck`, data checksums).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from blotter.database.model.table import Table
from blotter.database.storage.postgres.catalog import decode_table
from blotter.database.storage.postgres.layout.schema import HEAD_BYTES, LONGEST_KEY, digest_of
from blotter.database.storage.protocol import LOG_SPACE, METRICS_SPACE, RECORDS_SPACE

_COUNTED = f"""
SELECT coalesce(counted.space, noted.space) AS space, coalesce(counted.items, 0) AS items,
    coalesce(counted.bytes, 0) AS bytes, coalesce(noted.items, 0) AS noted_items,
    coalesce(noted.bytes, 0) AS noted_bytes
FROM (SELECT space, count(*) AS items, sum(size)::int8 AS bytes
    FROM (SELECT space, size FROM items UNION ALL SELECT space, size FROM long_items) AS everything GROUP BY space
    UNION ALL SELECT {LOG_SPACE}, count(*), coalesce(sum(length(key) + coalesce(length(old), 0)
        + coalesce(length(new), 0)), 0)::int8 FROM changes) AS counted
FULL JOIN (SELECT space, sum(items)::int8 AS items, sum(bytes)::int8 AS bytes FROM statistics GROUP BY space)
    AS noted USING (space)
WHERE coalesce(counted.space, noted.space) NOT IN (SELECT space FROM dropped_spaces)
ORDER BY 1
"""
_LOG = """
SELECT (SELECT count(*) FROM log_counter) AS counters, (SELECT max(last) FROM log_counter) AS last,
    count(*) AS entries, coalesce(min(sequence), 0) AS first, coalesce(max(sequence), 0) AS newest FROM changes
"""
_SPACES = (
    "SELECT DISTINCT space FROM (SELECT space FROM items UNION ALL SELECT space FROM long_items) AS everything"
)


async def check_statistics(connection: Any) -> list[str]:
    """The item count and size of every key space, and those of the log, are those of what is stored."""
    problems = []
    for row in await connection.fetch(_COUNTED):
        stored, noted = (row["items"], row["bytes"]), (row["noted_items"], row["noted_bytes"])
        if stored != noted:
            what = "the change log" if row["space"] == LOG_SPACE else f"key space {row['space']}"
            problems.append(f"{what} has {_counts(stored)}, its statistics say {_counts(noted)}")
    return problems


async def check_counters(connection: Any) -> list[str]:
    """Numbers that only rise are not below what was given, the log has no gap, and no reader is ahead of it."""
    problems = []
    states = await connection.fetch("SELECT generation, last_space FROM catalog_state")
    if len(states) != 1 or states[0]["generation"] < 1 or states[0]["last_space"] < 0:
        problems.append("the state of the catalog is not one row with a generation and a last key space")
    leaders = await connection.fetchval("SELECT count(*) FROM leader")
    if leaders != 1:
        problems.append(f"the table leader has {leaders} rows instead of one")
    log = await connection.fetchrow(_LOG)
    if log["counters"] != 1:
        problems.append(f"the log has {log['counters']} counters instead of one")
    elif log["newest"] > log["last"]:
        problems.append(f"the log holds sequence {log['newest']}, but its counter says {log['last']}")
    if log["entries"] and log["entries"] != log["newest"] - log["first"] + 1:
        problems.append(
            f"the log has {log['entries']} entries from {log['first']} to {log['newest']}: some are missing"
        )
    for name, position in await connection.fetch("SELECT name, position FROM log_readers ORDER BY name"):
        if log["last"] is not None and position > log["last"]:
            problems.append(f"the log's reader {name} stands at {position}, after the last sequence {log['last']}")
    return problems


async def check_long_keys(connection: Any) -> list[str]:
    """Each key is where its length puts it, under the head and digest that are its own."""
    problems = []
    misplaced = await connection.fetchval("SELECT count(*) FROM items WHERE length(key) > $1", LONGEST_KEY)
    if misplaced:
        problems.append(f"{misplaced} items with long keys are in the table for shorter ones")
    noted = await connection.fetchval("SELECT bool_or(long_keys) FROM catalog_state")
    async for row in connection.cursor("SELECT space, head, digest, key FROM long_items", prefetch=100):
        key = row["key"]
        if len(key) <= LONGEST_KEY or row["head"] != key[:HEAD_BYTES] or row["digest"] != digest_of(key):
            problems.append(
                f"an item of key space {row['space']} has not the place of its long key: {key[:40].hex()}…"
            )
        if not noted:
            problems.append("there are items with long keys, but the catalog says there are none")
            noted = True
    return problems


async def check_spaces(connection: Any) -> list[str]:
    """Every key space that holds something belongs to a table or an index, or was dropped, and was once given."""
    tables: list[Table] = [
        decode_table(row[0]) for row in await connection.fetch("SELECT description FROM catalog")
    ]
    owned = {RECORDS_SPACE, METRICS_SPACE}
    for table in tables:
        owned.update([table.space, *(space for index in table.indexes for space in index.spaces)])
    dropped = {row[0] for row in await connection.fetch("SELECT space FROM dropped_spaces")}
    last = await connection.fetchval("SELECT max(last_space) FROM catalog_state") or 0
    problems = [
        f"key space {row[0]} belongs to no table and no index"
        for row in await connection.fetch(f"{_SPACES} ORDER BY 1")
        if row[0] not in owned | dropped
    ]
    return problems + [
        f"key space {space} is in use, but the last one given is {last}"
        for space in sorted(owned | dropped)
        if space > last
    ]


STORE_CHECKS: Final[dict[str, Callable[[Any], Awaitable[list[str]]]]] = {
    "statistics": check_statistics,
    "counters": check_counters,
    "long keys": check_long_keys,
    "key spaces": check_spaces,
}


def _counts(counts: tuple[int, int]) -> str:
    return f"{counts[0]} items of {counts[1]} bytes"
