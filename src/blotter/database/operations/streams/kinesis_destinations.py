"""The Kinesis data streams that tables send their changes to: one record for each, in the store's own key space.

    kinesis/<table id>/<hash of the stream's ARN>

At most one destination of a table is live: ENABLING, ACTIVE or DISABLING. A live one has a reader of the change
log of its own, and the table is logged for it (`Table.log_readers`), both from the transaction that enables it, so
that no later change is missed. The record holds all that delivery needs, because a destination outlives its table
until the last change is delivered (`background.kinesis`). What is over stays listed, DISABLED or ENABLE_FAILED,
until it is enabled again. Everything here is written inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from blotter.database.model.table import PAST, KeySchema, Table, is_over
from blotter.database.model.timestamps import iso
from blotter.database.operations.tables.catalog import save_table
from blotter.database.storage.change_log import add_reader
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record

READER: Final = "kinesis"
"""What tables with a live destination have in `Table.log_readers`."""
KEPT_WHEN_OVER: Final = 20
"""Destinations of a table that stay listed after their end; the oldest are forgotten."""
RECORDS: Final = (b"kinesis/", b"kinesis0")
"""Between these are the keys of all records; "0" follows "/" in ASCII."""

Precision = Literal["MILLISECOND", "MICROSECOND"]
State = Literal["ENABLING", "ACTIVE", "DISABLING", "DISABLED", "ENABLE_FAILED"]
LIVE: Final = frozenset({"ENABLING", "ACTIVE", "DISABLING"})

_RECORDS_AT_ONCE = 100


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream that a table's changes go to. Times are seconds since the epoch."""

    account: str
    region: str
    table_name: str
    table_id: str
    keys: KeySchema
    stream_arn: str
    state: State
    changed_at: float
    """When the state began."""
    enabled_at: float
    precision: Precision | None = None
    """None until one is requested; times are in milliseconds then."""
    settles_at: float = PAST
    """Until then it is ENABLING, DISABLING, or UPDATING to its precision."""
    last_sequence: int | None = None
    """The last change that a DISABLING destination still gets."""
    table_is_gone: bool = False
    problem: str = ""
    """Why it could not be enabled, or why records cannot be delivered now."""
    failing_since: float | None = None
    """Since when records cannot be delivered."""
    lost_at: float | None = None
    """When changes were dropped from the log before they could be delivered."""

    @property
    def key(self) -> bytes:
        return _key(self.table_id, self.stream_arn)

    @property
    def reader(self) -> str:
        """Its name among the readers of the change log."""
        return f"{READER}/{self.table_id}"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def is_updating_at(self, now: float) -> bool:
        return self.state == "ACTIVE" and not is_over(self.settles_at, now)

    @property
    def description(self) -> str:
        """DestinationStatusDescription; empty for none."""
        lines = []
        if self.failing_since is not None:
            since = iso(self.failing_since)
            lines.append(f"Records cannot be delivered since {since} and are kept: {self.problem}")
        elif self.problem:
            lines.append(self.problem)
        if self.lost_at is not None:
            lines.append(f"Changes that waited for too long were lost at {iso(self.lost_at)}")
        return ". ".join(lines)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Destination).decode


def destinations(tx: ReadTransaction, table: Table) -> list[Destination]:
    """Those of a table, the one that was enabled last first."""
    prefix = f"kinesis/{table.id}".encode()
    found = list(_records(tx, prefix + b"/", prefix + b"0"))
    return sorted(found, key=lambda destination: destination.enabled_at, reverse=True)


def live_destinations(tx: ReadTransaction) -> list[Destination]:
    """Those of all tables that something may have to be delivered to."""
    return [destination for destination in _records(tx, *RECORDS) if destination.is_live]


def read_destination(tx: ReadTransaction, key: bytes) -> Destination | None:
    stored = tx.get(RECORDS_SPACE, key)
    return None if stored is None else _decode(stored.body)


def save_destination(tx: WriteTransaction, destination: Destination) -> None:
    save_record(tx, destination.key, _encode(destination))


def begin(
    tx: WriteTransaction,
    table: Table,
    stream_arn: str,
    precision: Precision | None,
    now: float,
    settles_at: float,
) -> Destination:
    """A new destination, which gets every change after this transaction; the caller has seen that the table has no
    live one."""
    _forget_oldest(tx, table, stream_arn)
    destination = Destination(
        table.account,
        table.region,
        table.name,
        table.id,
        table.keys,
        stream_arn,
        "ENABLING",
        changed_at=now,
        enabled_at=now,
        precision=precision,
        settles_at=settles_at,
    )
    add_reader(tx, destination.reader, now)
    save_destination(tx, destination)
    save_table(tx, replace(table, log_readers=(*_without_reader(table), READER)))
    return destination


def disable(
    tx: WriteTransaction, destination: Destination, table: Table | None, now: float, settles_at: float = PAST
) -> Destination:
    """The destination, DISABLING: it gets what was written before this transaction. `table` is None when it is
    gone."""
    ending = replace(
        destination,
        state="DISABLING",
        changed_at=now,
        settles_at=settles_at,
        last_sequence=tx.last_change(),
        table_is_gone=table is None,
    )
    save_destination(tx, ending)
    _stop_logging(tx, table)
    return ending


def end(
    tx: WriteTransaction, destination: Destination, state: State, now: float, problem: str = ""
) -> Destination | None:
    """The destination, DISABLED or ENABLE_FAILED; None, and no record of it, if its table is gone."""
    tx.remove_log_reader(destination.reader)
    table = tx.find_table(destination.account, destination.region, destination.table_name)
    if table is None or table.id != destination.table_id:
        delete_record(tx, destination.key)
        return None
    if state == "ENABLE_FAILED":
        _stop_logging(tx, table)
    over = replace(
        destination,
        state=state,
        changed_at=now,
        settles_at=PAST,
        precision=None,
        last_sequence=None,
        problem=problem,
        failing_since=None,
        lost_at=None,
    )
    save_destination(tx, over)
    return over


def begin_anew(tx: WriteTransaction, destination: Destination, now: float) -> Destination | None:
    """The destination with a new reader at the oldest change that is there: what its old one was waiting for is
    gone, or it came without one, from an archive. None, and no record of it, if its table is gone."""
    table = tx.find_table(destination.account, destination.region, destination.table_name)
    is_there = table is not None and table.id == destination.table_id
    if not is_there and not destination.table_is_gone:
        delete_record(tx, destination.key)
        return None
    reader = add_reader(tx, destination.reader, now)
    tx.save_log_reader(replace(reader, position=min(reader.position, tx.first_change() - 1)))
    if table is not None and is_there and destination.state != "DISABLING" and READER not in table.log_readers:
        save_table(tx, replace(table, log_readers=(*table.log_readers, READER)))
    anew = replace(destination, lost_at=now)
    save_destination(tx, anew)
    return anew


def remove_destinations(tx: WriteTransaction, table: Table, now: float) -> None:
    """Those of a table that is being removed from the catalog: what was written is still delivered."""
    for destination in destinations(tx, table):
        if not destination.is_live:
            delete_record(tx, destination.key)
        elif destination.state == "ENABLING":
            tx.remove_log_reader(destination.reader)
            delete_record(tx, destination.key)
        elif destination.state == "DISABLING":
            save_destination(tx, replace(destination, table_is_gone=True, changed_at=now))
        else:
            disable(tx, destination, None, now)


def _stop_logging(tx: WriteTransaction, table: Table | None) -> None:
    if table is not None and READER in table.log_readers:
        save_table(tx, replace(table, log_readers=_without_reader(table)))


def _without_reader(table: Table) -> tuple[str, ...]:
    return tuple(name for name in table.log_readers if name != READER)


def _forget_oldest(tx: WriteTransaction, table: Table, enabled: str) -> None:
    others = [each for each in destinations(tx, table) if each.stream_arn != enabled]
    for destination in others[KEPT_WHEN_OVER:]:
        delete_record(tx, destination.key)


def _records(tx: ReadTransaction, start: bytes, end: bytes) -> Iterator[Destination]:
    for _, _, body in records_in(tx, start, end, _RECORDS_AT_ONCE):
        yield _decode(body)


def _key(table_id: str, stream_arn: str) -> bytes:
    return f"kinesis/{table_id}/{blake2b(stream_arn.encode(), digest_size=16).hexdigest()}".encode()
