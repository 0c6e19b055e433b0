"""The text of the SQL statements that read and write the store, for every lane.

A range of a key space is read up to a number of rows and a number of bytes: the statement sums up the sizes and
drops the rows after those, whose bodies are then not even read where they are stored outside of their row. How
many rows are asked for is an estimate from the sizes that the space had before.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from blotter.database.storage.postgres.layout.schema import APPLY_ARGUMENTS

Connection: TypeAlias = Any
"""An `asyncpg.Connection`; asyncpg has no types and is imported only where connections are made."""

Point: TypeAlias = tuple[int, bytes]
"""A key space and a key."""
Found: TypeAlias = tuple[int, bytes, int | None, int]
"""What is stored under a key: size, body, version, and the transaction that stored it (xmin)."""

GENERATION: Final = "SELECT generation, long_keys FROM catalog_state"
STATISTICS_AND_GENERATION: Final = (
    "SELECT generation, coalesce(sum(items), 0)::int8, coalesce(sum(bytes), 0)::int8"
    " FROM catalog_state LEFT JOIN statistics ON space = $1 GROUP BY generation"
)
LOCK_CATALOG: Final = "SELECT pg_advisory_xact_lock_shared($1)"
LOCK_CATALOG_ALONE: Final = "SELECT pg_advisory_xact_lock($1)"
HAS_WRITTEN: Final = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
FENCE: Final = "SELECT term FROM leader WHERE term = $1 FOR SHARE"
TABLE: Final = (
    "SELECT generation, description FROM catalog_state LEFT JOIN catalog"
    " ON account = $1 AND region = $2 AND name = $3"
)
TABLES: Final = "SELECT description FROM catalog"
TABLE_NAMES: Final = (
    "SELECT name FROM catalog WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4"
)
TABLE_NAMES_AND_GENERATION: Final = (
    f"SELECT generation, name FROM catalog_state LEFT JOIN LATERAL ({TABLE_NAMES}) AS found ON true"
)
POINTS: Final = (
    "SELECT t.number, i.size, i.body, i.version, i.xmin FROM unnest($1::int8[], $2::bytea[])"
    " WITH ORDINALITY AS t (space, key, number) JOIN items AS i ON i.space = t.space AND i.key = t.key"
)
POINTS_AND_GENERATION: Final = (
    "SELECT t.number, i.size, i.body, i.version, i.xmin, (SELECT generation FROM catalog_state)"
    " FROM unnest($1::int8[], $2::bytea[]) WITH ORDINALITY AS t (space, key, number)"
    " LEFT JOIN items AS i ON i.space = t.space AND i.key = t.key"
)
LOCKED_POINTS: Final = (
    "SELECT number, size, body, version, xmin FROM (SELECT t.number, i.size, i.body, i.version, i.xmin"
    " FROM unnest($1::int8[], $2::bytea[]) WITH ORDINALITY AS t (space, key, number)"
    " JOIN items AS i ON i.space = t.space AND i.key = t.key"
    " ORDER BY t.space, t.key FOR NO KEY UPDATE OF i) AS locked"
)
SIZED_POINTS: Final = (
    "SELECT number, size, body FROM (SELECT t.number, i.size, i.body, sum(i.size) OVER"
    " (ORDER BY t.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
    " FROM unnest($2::bytea[]) WITH ORDINALITY AS t (key, number)"
    " JOIN items AS i ON i.space = $1 AND i.key = t.key) AS rows WHERE coalesce(before, 0) < $3"
)
SIZED_POINTS_AND_GENERATION: Final = (
    "SELECT number, size, body, version, xmin, (SELECT generation FROM catalog_state) FROM"
    " (SELECT t.number, i.size, i.body, i.version, i.xmin, sum(i.size) OVER"
    " (ORDER BY t.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
    " FROM unnest($1::int8[], $2::bytea[]) WITH ORDINALITY AS t (space, key, number)"
    " LEFT JOIN items AS i ON i.space = t.space AND i.key = t.key) AS rows WHERE coalesce(before, 0) < $3"
)
LONG_POINT: Final = (
    "SELECT size, body, version, xmin FROM long_items WHERE space = $1 AND head = $2 AND digest = $3"
)
STATISTICS: Final = (
    "SELECT coalesce(sum(items), 0)::int8, coalesce(sum(bytes), 0)::int8 FROM statistics WHERE space = $1"
)
NEW_SPACE: Final = "UPDATE catalog_state SET last_space = last_space + 1 RETURNING last_space"
SAVE_TABLE: Final = (
    "INSERT INTO catalog VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (account, region, name) DO UPDATE SET description = excluded.description"
)
REMOVE_TABLE: Final = "DELETE FROM catalog WHERE account = $1 AND region = $2 AND name = $3"
RAISE_GENERATION: Final = "UPDATE catalog_state SET generation = generation + 1"
NOTE_LONG_KEYS: Final = "UPDATE catalog_state SET long_keys = true"
FORGET_STATISTICS: Final = "DELETE FROM statistics WHERE space = $1"
NOTIFY: Final = "SELECT pg_notify($1, '')"
DROPPED_SPACE: Final = "SELECT space FROM dropped_spaces ORDER BY space LIMIT 1"
DROPPED_SPACE_LOCKED: Final = "SELECT space FROM dropped_spaces WHERE space = $1 FOR UPDATE SKIP LOCKED"
EMPTY_DROPPED: Final = (
    "WITH gone AS (DELETE FROM items WHERE space = $1 AND key = ANY (ARRAY("
    "SELECT key FROM items WHERE space = $1 ORDER BY key LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone"
)
EMPTY_DROPPED_LONG: Final = (
    "WITH gone AS (DELETE FROM long_items WHERE space = $1 AND head = ANY (ARRAY("
    "SELECT head FROM long_items WHERE space = $1 ORDER BY head LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone"
)
DROP_SPACE: Final = "INSERT INTO dropped_spaces VALUES ($1) ON CONFLICT DO NOTHING"
SAVE_LOG_READER: Final = (
    "INSERT INTO log_readers VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE"
    " SET position = excluded.position, retention = excluded.retention, progressed_at = excluded.progressed_at,"
    " lost_at = excluded.lost_at"
)
REMOVE_LOG_READER: Final = "DELETE FROM log_readers WHERE name = $1"
TRIM_LOG: Final = (
    "WITH gone AS (DELETE FROM changes WHERE sequence <= (SELECT max(sequence) FROM"
    " (SELECT sequence FROM changes WHERE sequence <= $1 ORDER BY sequence LIMIT $2) AS oldest)"
    " RETURNING length(key) + coalesce(length(old), 0) + coalesce(length(new), 0) AS size)"
    " SELECT count(*), coalesce(sum(size), 0)::int8 FROM gone"
)
RESTORE_CHANGES: Final = (
    "INSERT INTO changes (time, table_id, shard, key, old, new, origin, kind, version, sequence) SELECT * FROM"
    " unnest($1::float8[], $2::text[], $3::int8[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[], $8::text[],"
    " $9::int8[], $10::int8[])"
)
RAISE_LOG_COUNTER: Final = "UPDATE log_counter SET last = greatest(last, $1)"
RAISE_LAST_SPACE: Final = "UPDATE catalog_state SET last_space = greatest(last_space, $1)"
SAVE_LONG: Final = (
    "INSERT INTO long_items (space, head, digest, key, size, body, version) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " ON CONFLICT (space, head, digest) DO UPDATE"
    " SET size = excluded.size, body = excluded.body, version = excluded.version"
)
REMOVE_LONG: Final = "DELETE FROM long_items WHERE space = $1 AND head = $2 AND digest = $3"
_CHANGE = "SELECT sequence, time, table_id, shard, key, old, new, origin, kind, version FROM"
_OF_SHARD = 'table_id COLLATE "C" = $1 AND shard = $2 AND shard >= 0 AND sequence > $3 ORDER BY sequence LIMIT $4'


def _change_sizes(chosen: str) -> str:
    """Chosen changes, each with the bytes of those before it."""
    return (
        "(SELECT *, sum(length(key) + coalesce(length(old), 0) + coalesce(length(new), 0)) OVER"
        " (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
        f" FROM changes WHERE {chosen}) AS entries"
    )


CHANGES: Final = f"{_CHANGE} changes WHERE {_OF_SHARD}"
LOG: Final = (
    f"{_CHANGE} {_change_sizes('sequence > $1 ORDER BY sequence LIMIT $2')}"
    " WHERE coalesce(before, 0) < $3 ORDER BY sequence"
)
LOG_TIMES: Final = "SELECT sequence, time FROM changes WHERE sequence > $1 ORDER BY sequence LIMIT $2"
LOG_READERS: Final = "SELECT name, position, retention, progressed_at, lost_at FROM log_readers ORDER BY name"
FIRST_CHANGE: Final = "SELECT sequence FROM changes ORDER BY sequence LIMIT 1"
LAST_CHANGE: Final = "SELECT last FROM log_counter"
_STATE_OF_LOG = f"generation, coalesce(({FIRST_CHANGE}), last + 1), last"
LOG_ENDS_AND_GENERATION: Final = f"SELECT {_STATE_OF_LOG} FROM catalog_state, log_counter"
CHANGES_AND_GENERATION: Final = (
    f"SELECT {_STATE_OF_LOG}, found.* FROM catalog_state, log_counter LEFT JOIN LATERAL"
    f" ({_CHANGE} {_change_sizes(_OF_SHARD)} WHERE coalesce(before, 0) < $5 ORDER BY sequence) AS found ON true"
)
"""With the ends of the log in each row, of which there is at least one; `sequence` is NULL if nothing is found."""


def _range_statement(source: str, ends: bool, reverse: bool) -> str:
    order = "ORDER BY key DESC" if reverse else "ORDER BY key"
    end = " AND key < $5" if ends else ""
    return (
        f"SELECT key, size, body FROM (SELECT key, size, body, sum(size) OVER"
        f" ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
        f" FROM {source} WHERE space = $1 AND key >= $2{end} {order} LIMIT $3) AS rows"
        f" WHERE coalesce(before, 0) < $4 {order}"
    )


_WITH_LONG_KEYS = (
    "(SELECT space, key, size, body FROM items UNION ALL SELECT space, key, size, body FROM long_items)"
    " AS all_items"
)
RANGES: Final = {
    (long_keys, ends, reverse): _range_statement(_WITH_LONG_KEYS if long_keys else "items", ends, reverse)
    for long_keys in (False, True)
    for ends in (False, True)
    for reverse in (False, True)
}
"""(whether there are items with long keys, whether the range has an end, whether it is read in reverse)."""

APPLY: Final = f"SELECT apply_batch({', '.join(f'${number}' for number in range(1, APPLY_ARGUMENTS + 1))})"

RANGES_AND_GENERATION: Final = {
    (ends, reverse): (
        "SELECT generation, long_keys, key, size, body FROM catalog_state"
        f" LEFT JOIN LATERAL ({_range_statement('items', ends, reverse)}) AS found ON true"
    )
    for ends in (False, True)
    for reverse in (False, True)
}
"""The same without long keys, with the state of the catalog in each row, of which there is at least one."""
