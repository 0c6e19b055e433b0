"""What is in PostgreSQL: the tables of one schema and the functions that write them.

As in SQLite, no PostgreSQL table belongs to one DynamoDB table: a DynamoDB table is a row of `catalog` and some
numbers of key spaces, so creating one runs no DDL, and every prepared statement of every front end stays valid.
`schema_versions` decides whether a front end may use what it finds and runs `create` for a new store.

    items          the items of every key space whose keys an index can hold; a row has changed if its xmin has
                   (`version` is for tables with replicas)
    long_items     those with longer keys: an entry of PostgreSQL's B-tree has at most 2,704 bytes
    catalog        the tables' descriptions; names are bytes, so that their order is that of UTF-8
    catalog_state  one row: the generation, which every change of the catalog raises, and the last key space
    changes        the change log; `log_counter`, one row, has its last sequence; `log_readers`: its readers
    statistics     items and bytes of a key space: the sum of one row for each writer, so that writers do not wait
                   for each other
    leader         one row: the term of the server that leads the background work

`apply_batch` writes a batch, as a rule in a transaction of its own. Its first lock keeps the catalog as it is; its
last, of the row of `log_counter`, is held until the commit is visible, so that the log has no gap and its order is
that of the commits. In between it takes locks in the order of the keys, so that two batches do not wait for each
other. Its arguments are arrays of equal length for each kind of row, named by their first letter (`writes` makes
them):

    l  rows to lock in the order of their keys, where more than one of the following would lock some
    s  rows that were only read, locked in share mode
    u  rows to update
    d  rows to delete
    i  rows to insert; among them p, placeholders for keys that were read and have no row, which are deleted at
       once: until the commit they make others wait who insert such a key
    b  rows to write, and e, rows to delete, whether or not there is one
    g  the growth of key spaces
    c  entries of the change log

With l, s, u and d comes the xmin that was read: if a row has another one now, the batch is refused (`CONFLICT`).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

from blotter.database.storage.change_log import STREAMS

SCHEMA_VERSION: Final = 1
"""Raised by every change of what this file creates."""

APPLY_ARGUMENTS: Final = 46
"""How many arguments `apply_batch` has."""
LONGEST_KEY: Final = 2600
"""Bytes of a key that an index entry can hold, beside the number of its space. Longer ones are in `long_items`."""

HEAD_BYTES: Final = 2500
"""Bytes of a longer key that an index entry holds, beside a digest of all of it."""

STALE: Final = "BL001"
"""SQLSTATE of `apply_batch`: the catalog has changed since the batch's handlers were run."""
CONFLICT: Final = "BL002"
"""SQLSTATE of `apply_batch`: a row that the batch has read has changed since."""
DEPOSED: Final = "BL003"
"""SQLSTATE of `apply_batch`: this process has led, and another one leads now."""

SESSION: Final = {
    "plan_cache_mode": "force_generic_plan",  # plans for arrays cost as much as running them
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "synchronous_commit": "on",
    "statement_timeout": "0",  # a commit must not be canceled
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    # The only plan for `unnest … JOIN items` that takes locks in the order of the keys.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_material": "off",
}
"""Settings of every connection."""


def lock_key(schema: str) -> int:
    """The advisory lock of the catalog: shared by batches, exclusive for those that change more than items."""
    return 0x426C6F74 << 32 | crc32(schema.encode())


_TABLES = f"""
CREATE TABLE items (
    space int8 NOT NULL, size int4 NOT NULL, key bytea NOT NULL, body bytea NOT NULL, version int8,
    PRIMARY KEY (space, key)) WITH (fillfactor = 90);
ALTER TABLE items ALTER COLUMN key SET STORAGE PLAIN, ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE long_items (
    space int8 NOT NULL, size int4 NOT NULL, head bytea NOT NULL, digest bytea NOT NULL, key bytea NOT NULL,
    body bytea NOT NULL, version int8, PRIMARY KEY (space, head, digest));
ALTER TABLE long_items ALTER COLUMN head SET STORAGE PLAIN, ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE catalog (
    account bytea NOT NULL, region bytea NOT NULL, name bytea NOT NULL, description bytea NOT NULL,
    PRIMARY KEY (account, region, name));
CREATE TABLE catalog_state (generation int8 NOT NULL, last_space int8 NOT NULL, long_keys bool NOT NULL);
INSERT INTO catalog_state VALUES (1, 0, false);

CREATE TABLE statistics (
    space int8 NOT NULL, writer int4 NOT NULL, items int8 NOT NULL, bytes int8 NOT NULL,
    PRIMARY KEY (space, writer)) WITH (fillfactor = 20);
CREATE TABLE dropped_spaces (space int8 PRIMARY KEY);
CREATE TABLE leader (one bool PRIMARY KEY DEFAULT true CHECK (one), term int8 NOT NULL);
INSERT INTO leader VALUES (true, 0);

CREATE TABLE log_counter (last int8 NOT NULL) WITH (fillfactor = 20);
INSERT INTO log_counter VALUES (0);
CREATE TABLE changes (
    sequence int8 PRIMARY KEY, time float8 NOT NULL, shard int8 NOT NULL, version int8, table_id text NOT NULL,
    origin text NOT NULL, kind text NOT NULL, key bytea NOT NULL, old bytea, new bytea);
ALTER TABLE changes ALTER COLUMN old SET STORAGE EXTERNAL, ALTER COLUMN new SET STORAGE EXTERNAL;
CREATE INDEX changes_of_shard ON changes (table_id COLLATE "C", shard, sequence) WHERE shard >= 0;
CREATE TABLE log_readers (
    name text COLLATE "C" PRIMARY KEY, position int8 NOT NULL, retention float8, progressed_at float8 NOT NULL,
    lost_at float8);
INSERT INTO log_readers VALUES ('{STREAMS.name}', 0, {STREAMS.retention}, 0, NULL);
"""

_APPLY = f"""
CREATE FUNCTION apply_batch(
    catalog_lock int8, expected int8, fence int8, writer_number int4, channel text,
    l_space int8[], l_key bytea[], l_xmin xid[],
    s_space int8[], s_key bytea[], s_xmin xid[],
    u_space int8[], u_key bytea[], u_xmin xid[], u_size int4[], u_body bytea[], u_version int8[],
    d_space int8[], d_key bytea[], d_xmin xid[],
    i_space int8[], i_key bytea[], i_size int4[], i_body bytea[], i_version int8[],
    p_space int8[], p_key bytea[],
    b_space int8[], b_key bytea[], b_size int4[], b_body bytea[], b_version int8[],
    e_space int8[], e_key bytea[],
    g_space int8[], g_items int8[], g_bytes int8[],
    c_time float8[], c_table text[], c_shard int8[], c_key bytea[], c_old bytea[], c_new bytea[], c_origin text[],
    c_kind text[], c_version int8[]) RETURNS int8 LANGUAGE plpgsql AS $body$
DECLARE
    found_rows int8;
    changes_before int8 := 0;
    appended int8;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a batch must be applied in a READ COMMITTED transaction';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(catalog_lock);
    IF (SELECT generation FROM catalog_state) <> expected THEN
        RAISE EXCEPTION 'the catalog has changed' USING ERRCODE = '{STALE}';
    END IF;
    IF fence IS NOT NULL THEN
        PERFORM 1 FROM leader WHERE term = fence FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'another server leads' USING ERRCODE = '{DEPOSED}';
        END IF;
    END IF;
    IF l_key <> '{{}}' THEN
        SELECT count(*) INTO found_rows FROM (
            SELECT items.xmin AS now, t.was FROM unnest(l_space, l_key, l_xmin) AS t (space, key, was)
            JOIN items ON items.space = t.space AND items.key = t.key
            ORDER BY t.space, t.key FOR NO KEY UPDATE OF items) AS locked WHERE now = was;
        IF found_rows <> cardinality(l_key) THEN
            RAISE EXCEPTION 'a row has changed' USING ERRCODE = '{CONFLICT}';
        END IF;
    END IF;
    IF s_key <> '{{}}' THEN
        SELECT count(*) INTO found_rows FROM (
            SELECT items.xmin AS now, t.was FROM unnest(s_space, s_key, s_xmin) AS t (space, key, was)
            JOIN items ON items.space = t.space AND items.key = t.key
            ORDER BY t.space, t.key FOR SHARE OF items) AS locked WHERE now = was;
        IF found_rows <> cardinality(s_key) THEN
            RAISE EXCEPTION 'a row has changed' USING ERRCODE = '{CONFLICT}';
        END IF;
    END IF;
    IF u_key <> '{{}}' THEN
        UPDATE items SET size = t.size, body = t.body, version = t.version
            FROM unnest(u_space, u_key, u_xmin, u_size, u_body, u_version)
                AS t (space, key, was, size, body, version)
            WHERE items.space = t.space AND items.key = t.key AND items.xmin = t.was;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        IF found_rows <> cardinality(u_key) THEN
            RAISE EXCEPTION 'a row has changed' USING ERRCODE = '{CONFLICT}';
        END IF;
    END IF;
    IF d_key <> '{{}}' THEN
        DELETE FROM items USING unnest(d_space, d_key, d_xmin) AS t (space, key, was)
            WHERE items.space = t.space AND items.key = t.key AND items.xmin = t.was;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        IF found_rows <> cardinality(d_key) THEN
            RAISE EXCEPTION 'a row has changed' USING ERRCODE = '{CONFLICT}';
        END IF;
    END IF;
    IF i_key <> '{{}}' THEN
        INSERT INTO items (space, key, size, body, version)
            SELECT * FROM unnest(i_space, i_key, i_size, i_body, i_version) ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        IF found_rows <> cardinality(i_key) THEN
            RAISE EXCEPTION 'a row has appeared' USING ERRCODE = '{CONFLICT}';
        END IF;
        IF p_key <> '{{}}' THEN
            DELETE FROM items USING unnest(p_space, p_key) AS t (space, key)
                WHERE items.space = t.space AND items.key = t.key;
        END IF;
    END IF;
    IF b_key <> '{{}}' THEN
        INSERT INTO items (space, key, size, body, version)
            SELECT * FROM unnest(b_space, b_key, b_size, b_body, b_version)
            ON CONFLICT (space, key) DO UPDATE
            SET size = excluded.size, body = excluded.body, version = excluded.version;
    END IF;
    IF e_key <> '{{}}' THEN
        DELETE FROM items USING unnest(e_space, e_key) AS t (space, key)
            WHERE items.space = t.space AND items.key = t.key;
    END IF;
    IF g_space <> '{{}}' THEN
        INSERT INTO statistics (space, writer, items, bytes)
            SELECT t.space, writer_number, t.items, t.bytes FROM unnest(g_space, g_items, g_bytes)
            AS t (space, items, bytes)
            ON CONFLICT (space, writer) DO UPDATE
            SET items = statistics.items + excluded.items, bytes = statistics.bytes + excluded.bytes;
    END IF;
    IF c_key <> '{{}}' THEN
        appended := cardinality(c_key);
        UPDATE log_counter SET last = last + appended RETURNING last - appended INTO changes_before;
        INSERT INTO changes (sequence, time, table_id, shard, key, old, new, origin, kind, version)
            SELECT changes_before + t.number, t.time, t.table_id, t.shard, t.key, t.old, t.new, t.origin, t.kind,
                t.version
            FROM unnest(c_time, c_table, c_shard, c_key, c_old, c_new, c_origin, c_kind, c_version)
            WITH ORDINALITY AS t (time, table_id, shard, key, old, new, origin, kind, version, number);
    END IF;
    IF channel IS NOT NULL THEN
        PERFORM pg_notify(channel, '');
    END IF;
    RETURN changes_before;
END
$body$;
"""

SCHEMA_SQL: Final = _TABLES + _APPLY


async def create(connection: Any, schema: str) -> None:
    """Creates the schema with everything in it, in the connection's transaction, which its caller begins and
    commits. Raises what PostgreSQL refuses."""
    quoted = quoted_name(schema)
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
    await connection.execute(f"SET LOCAL search_path = {quoted}")
    await connection.execute(SCHEMA_SQL)


def quoted_name(name: str) -> str:
    """An identifier of SQL, for any name."""
    return '"' + name.replace('"', '""') + '"'


def digest_of(key: bytes) -> bytes:
    """What stands for a long key in the index."""
    return blake2b(key, digest_size=16).digest()
