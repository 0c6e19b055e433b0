"""What a statement answers that is for one handler alone (`points`). Each function runs the statement for what a
handler has asked its transaction, and returns what it has found, with the generation of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.catalog import encoded_name
from blotter.database.storage.postgres.connections.pool import fetch
from blotter.database.storage.postgres.point_transaction import LOG_ENDS, NeedsSnapshot, Request
from blotter.database.storage.protocol import Change, SpaceStatistics, change_size

_CHANGES_BYTES: Final = 256 * 1024

Answers: TypeAlias = tuple[dict[Request, Any], int]
"""By what was asked, and the catalog's generation."""


async def sized_points(
    connection: sql.Connection, points: list[sql.Point], size: int
) -> tuple[dict[sql.Point, sql.Found | None], int]:
    """What is stored under points, in their order up to the one with which sizes reach `size` bytes, and the
    generation."""
    spaces, keys = [point[0] for point in points], [point[1] for point in points]
    rows = await fetch(connection, sql.SIZED_POINTS_AND_GENERATION, spaces, keys, size)
    found: dict[sql.Point, sql.Found | None] = {}
    for number, of, body, version, xmin, _ in rows:
        found[points[number - 1]] = None if of is None else (of, body, version, xmin)
    return found, int(rows[0][5])


async def _answer_statistics(connection: sql.Connection, request: Request, space: int) -> Answers:
    generation, items, size = await connection.fetchrow(sql.STATISTICS_AND_GENERATION, space)
    return {request: SpaceStatistics(items, size)}, generation


async def _answer_get_many(
    connection: sql.Connection, request: Request, space: int, keys: tuple[bytes, ...], size: int
) -> Answers:
    found, generation = await sized_points(connection, [(space, key) for key in keys], size)
    return {request: found}, generation


async def _answer_items(
    connection: sql.Connection,
    request: Request,
    space: int,
    start: bytes,
    end: bytes | None,
    limit: int,
    size: int,
    reverse: bool,
) -> Answers:
    statement = sql.RANGES_AND_GENERATION[end is not None, reverse]
    rows = await fetch(connection, statement, space, start, limit, size, *(() if end is None else (end,)))
    if rows[0][1]:  # there are long keys, which this statement does not look for
        raise NeedsSnapshot
    return {request: [(key, of, body) for _, _, key, of, body in rows if key is not None]}, rows[0][0]


async def _answer_table_names(
    connection: sql.Connection, request: Request, account: str, region: str, after: str, limit: int
) -> Answers:
    place = encoded_name((account, region, after))
    rows = await fetch(connection, sql.TABLE_NAMES_AND_GENERATION, *place, limit)
    return {request: [name.decode() for _, name in rows if name is not None]}, rows[0][0]


async def _answer_changes(
    connection: sql.Connection, request: Request, table_id: str, shard: int, after: int, limit: int
) -> Answers:
    """The changes, up to `_CHANGES_BYTES` of them, and whether there are no more."""
    rows = await fetch(connection, sql.CHANGES_AND_GENERATION, table_id, shard, after, limit, _CHANGES_BYTES)
    generation, first, last, sequence, *_ = rows[0]
    changes = [] if sequence is None else [Change(*each) for _, _, _, *each in rows]
    is_end = len(changes) < limit and sum(map(change_size, changes)) < _CHANGES_BYTES
    return {request: (changes, is_end), LOG_ENDS: (first, last)}, generation


async def _answer_log_ends(connection: sql.Connection, request: Request) -> Answers:
    generation, first, last = await connection.fetchrow(sql.LOG_ENDS_AND_GENERATION)
    return {request: (first, last)}, generation


ANSWERS: Final[dict[str, Callable[..., Coroutine[Any, Any, Answers]]]] = {
    "statistics": _answer_statistics,
    "get_many": _answer_get_many,
    "items": _answer_items,
    "table_names": _answer_table_names,
    "changes": _answer_changes,
    "log_ends": _answer_log_ends,
}
