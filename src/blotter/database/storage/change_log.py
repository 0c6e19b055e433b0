"""The readers of the change log, and how long entries are kept for them.

A reader has a name and a persisted position: streams, which let people read the last day; later recovery, replicas
and archives, which confirm what they have read. Trimming removes only what every reader has passed. So that one
reader that never comes back does not fill the disk, it waits within bounds: a reader that has fallen back too far
is declared lost, with a line in the log, and must start again from a copy. Works on every store: it uses only the
protocol. The background process calls it (`background.change_log`).
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from msgspec.structs import replace

from blotter.database.model.streams import RETENTION
from blotter.database.storage.protocol import LOG_SPACE, LogReader, ReadTransaction, WriteTransaction

log = logging.getLogger(__name__)

STREAMS: Final = LogReader("streams", 0, RETENTION)
"""The reader that every store has from the start."""

ARCHIVE: Final = "archive"
"""The reader that reads the changes of every table and of the database's records."""

STORE_COPY: Final = "store-copy"
"""The reader that reads the changes of every table while the store is copied to another one (`store_copy`)."""

SLICE: Final = 500
"""Entries that one call of `trim` looks at for each reader and removes at most, so that writers need not wait."""


class Bounds(NamedTuple):
    """How far a reader without a retention may fall back."""

    seconds: float = 7 * 86_400.0
    bytes: int = 16 << 30


def add_reader(tx: WriteTransaction, name: str, now: float, retention: float | None = None) -> LogReader:
    """Registers a reader that begins after the last entry. A reader of that name, lost or not, begins anew."""
    reader = LogReader(name, tx.last_change(), retention, now)
    tx.save_log_reader(reader)
    return reader


def find_reader(tx: ReadTransaction, name: str) -> LogReader | None:
    """The reader unless it was never registered; `lost_at` is set if it is lost."""
    return next((reader for reader in tx.log_readers() if reader.name == name), None)


def is_archived(tx: ReadTransaction) -> bool:
    """Whether an archive reads the log."""
    reader = find_reader(tx, ARCHIVE)
    return reader is not None and reader.lost_at is None


def readers_of_new_table(tx: ReadTransaction) -> tuple[str, ...]:
    """The `log_readers` that a table has from the start."""
    registered = {reader.name for reader in tx.log_readers() if reader.lost_at is None}
    return tuple(name for name in (ARCHIVE, STORE_COPY) if name in registered)


def confirm(tx: WriteTransaction, name: str, position: int, now: float) -> None:
    """Moves a reader forward, once what it read is safe elsewhere. Does nothing if no such reader is registered,
    and never moves one back."""
    reader = find_reader(tx, name)
    if reader is not None and position > reader.position:
        tx.save_log_reader(replace(reader, position=position, progressed_at=now))


def is_due(tx: ReadTransaction, now: float, bounds: Bounds = Bounds()) -> bool:  # noqa: B008 (a constant)
    """Whether `trim` would do anything: so that no writer waits for the lock in vain."""
    readers = [reader for reader in tx.log_readers() if reader.lost_at is None]
    if any(_is_behind(tx, reader, now - (reader.retention or bounds.seconds)) for reader in readers):
        return True
    if any(reader.retention is None for reader in readers) and tx.statistics(LOG_SPACE).bytes > bounds.bytes:
        return True
    through = min((reader.position for reader in readers), default=tx.last_change())
    return tx.first_change() <= min(through, tx.last_change())


def trim(tx: WriteTransaction, now: float, bounds: Bounds = Bounds()) -> bool:  # noqa: B008 (a constant)
    """Removes entries that no reader needs any more, in a bounded slice; returns whether there may be more to
    do."""
    readers = [reader for reader in tx.log_readers() if reader.lost_at is None]
    moved = False
    for number, reader in enumerate(readers):
        if reader.retention is not None:
            readers[number] = _follow_time(tx, reader, now)
            moved = moved or readers[number].position != reader.position
    waited_for = _without_lost(tx, readers, now, bounds)
    through = min((reader.position for reader in waited_for), default=tx.last_change())
    return tx.trim_log(through, SLICE) > 0 or moved


def _follow_time(tx: WriteTransaction, reader: LogReader, now: float) -> LogReader:
    """The reader after the entries that are older than its retention."""
    assert reader.retention is not None
    position = reader.position
    for sequence, time in tx.log_times(position, SLICE):
        if time >= now - reader.retention:
            break
        position = sequence
    if position == reader.position:
        return reader
    reader = replace(reader, position=position, progressed_at=now)
    tx.save_log_reader(reader)
    return reader


def _without_lost(tx: WriteTransaction, readers: list[LogReader], now: float, bounds: Bounds) -> list[LogReader]:
    """Those that trimming waits for; the others are marked as lost."""
    kept = []
    too_much = tx.statistics(LOG_SPACE).bytes > bounds.bytes
    last = min((reader.position for reader in readers), default=0)
    for reader in readers:
        if reader.retention is None and (
            (too_much and reader.position == last) or _is_behind(tx, reader, now - bounds.seconds)
        ):
            _lose(tx, reader, now)
        else:
            kept.append(reader)
    return kept


def _is_behind(tx: ReadTransaction, reader: LogReader, oldest: float) -> bool:
    """Whether an entry that it has not read is older than a time."""
    return any(time < oldest for _, time in tx.log_times(reader.position, 1))


def _lose(tx: WriteTransaction, reader: LogReader, now: float) -> None:
    tx.save_log_reader(replace(reader, lost_at=now))
    missing = tx.last_change() - reader.position
    tx.after_commit(
        lambda: log.warning(
            "the change log no longer waits for its reader %r, which is %d entries behind: it has to start again "
            "from a copy",
            reader.name,
            missing,
        )
    )
