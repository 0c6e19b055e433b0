"""The streams of all tables and their life cycle: enabled, rolled over, disabled, forgotten.

Writers find the stream they write to in their table. Readers find streams here, because a stream stays readable
for a day after it is disabled or its table is deleted: one record for each stream in the store's own key space, in
the order of ListStreams. Both are written in one transaction, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from blotter.database.model.arns import stream_arn
from blotter.database.model.streams import (
    ON_DEMAND_SLOTS,
    PROVISIONED_SLOTS,
    closed,
    is_rollover_due,
    is_trimmed,
    new_stream,
    next_first_shard,
    open_shard,
    rolled_over,
    stream_label,
)
from blotter.database.model.table import KeySchema, StreamSettings, StreamViewType, Table
from blotter.database.operations.context import Context
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record


class Stream(msgspec.Struct, frozen=True):
    """A stream as its readers see it, whether or not its table still exists."""

    account: str
    region: str
    table_name: str
    table_id: str
    keys: KeySchema
    settings: StreamSettings

    @property
    def arn(self) -> str:
        return stream_arn(self.region, self.account, self.table_name, self.settings.label)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stream).decode

_RECORDS_AT_ONCE = 100


def enable_stream(tx: WriteTransaction, table: Table, view_type: StreamViewType, context: Context) -> Table:
    """The table with a new stream; the caller saves the table."""
    slots = ON_DEMAND_SLOTS if table.billing_mode == "PAY_PER_REQUEST" else PROVISIONED_SLOTS
    stream = new_stream(
        view_type,
        _unused_label(tx, table, context.now),
        slots,
        first_shard=next_first_shard(table.stream),
        first_sequence=tx.last_change() + 1,
        now=context.now,
    )
    return change_stream(tx, table, replace(stream, settles_at=context.settled_at))


def disable_stream(tx: WriteTransaction, table: Table, context: Context) -> Table:
    """The table with its stream closed, if it has an open one; the caller saves the table."""
    if table.stream is None or not table.stream.enabled:
        return table
    stream = closed(table.stream, tx.last_change(), context.now)
    return change_stream(tx, table, replace(stream, settles_at=context.settled_at))


def shard_for_write(tx: WriteTransaction, table: Table, key: bytes, now: float) -> int:
    """The shard of the change log for a change to an item of a table with an enabled stream. Begins a new
    generation of shards when one is due."""
    stream = table.stream
    assert stream is not None
    if is_rollover_due(stream, now):
        stream = _roll_over(tx, table, now)
    return open_shard(stream, key)


def find_stream(tx: ReadTransaction, account: str, region: str, table_name: str, label: str) -> Stream | None:
    """The stream, or None when there is no record of it. It may be trimmed already: the caller checks
    `is_trimmed`."""
    stored = tx.get(RECORDS_SPACE, _key(account, region, table_name, label))
    return None if stored is None else _decode(stored.body)


def streams(
    tx: ReadTransaction, account: str, region: str, table_name: str | None, after: tuple[str, str] | None
) -> Iterator[Stream]:
    """The streams of an account and region, or of one table name, by table name and label, after one of them."""
    start, end = _range(account, region, table_name)
    if after is not None:
        start = max(start, _key(account, region, *after) + b"\x00")
    for _, _, body in records_in(tx, start, end, _RECORDS_AT_ONCE):
        yield _decode(body)


def trimmed_streams(tx: ReadTransaction, now: float, limit: int) -> list[bytes]:
    """Keys of the records of streams that were disabled longer ago than the retention, up to `limit`."""
    found: list[bytes] = []
    for key, _, body in records_in(tx, b"stream/", b"stream0", _RECORDS_AT_ONCE):
        if is_trimmed(_decode(body).settings, now):
            found.append(key)
            if len(found) == limit:
                break
    return found


def forget_streams(tx: WriteTransaction, keys: list[bytes]) -> None:
    """Removes the records of trimmed streams."""
    for key in keys:
        delete_record(tx, key)


def _roll_over(tx: WriteTransaction, table: Table, now: float) -> StreamSettings:
    """The caller's table may be from before an earlier write of its transaction, which has rolled over already."""
    current = tx.find_table(table.account, table.region, table.name)
    assert current is not None
    assert current.stream is not None
    if not is_rollover_due(current.stream, now):
        return current.stream
    stream = rolled_over(current.stream, tx.last_change() + 1, now)
    tx.save_table(change_stream(tx, current, stream))
    return stream


def change_stream(tx: WriteTransaction, table: Table, stream: StreamSettings) -> Table:
    """The table with another stream setting, which is noted for the stream's readers; the caller saves the
    table."""
    key = _key(table.account, table.region, table.name, stream.label)
    record = Stream(table.account, table.region, table.name, table.id, table.keys, stream)
    save_record(tx, key, _encode(record))
    return replace(table, stream=stream)


def _unused_label(tx: ReadTransaction, table: Table, now: float) -> str:
    """The label for a stream enabled now; a table of this name may have had one in the same millisecond."""
    label = stream_label(now)
    while find_stream(tx, table.account, table.region, table.name, label) is not None:
        now += 0.001
        label = stream_label(now)
    return label


def _key(account: str, region: str, table_name: str, label: str) -> bytes:
    return f"stream/{account}/{region}/{table_name}/{label}".encode()


def _range(account: str, region: str, table_name: str | None) -> tuple[bytes, bytes]:
    """The keys of an account and region, or of one table name in it. "0" follows "/" in ASCII."""
    prefix = f"stream/{account}/{region}" + ("" if table_name is None else f"/{table_name}")
    return f"{prefix}/".encode(), f"{prefix}0".encode()
