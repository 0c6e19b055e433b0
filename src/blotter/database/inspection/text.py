"""The reports of `blotter check` and `blotter inspect` for people."""

from __future__ import annotations

import time
from collections.abc import Iterator

from blotter.database.inspection.check import Report
from blotter.database.inspection.contents import Contents, EncryptionContents, TableContents
from blotter.database.storage.protocol import LogReader


def report_lines(report: Report) -> Iterator[str]:
    yield report.path
    width = max(len(result.name) for result in report.results)
    for result in report.results:
        count = len(result.problems) + result.more
        yield f"  {result.name:{width}}  {'ok' if not count else _counted(count, 'problem')}"
        for problem in result.problems:
            yield f"    {problem}"
        if result.more:
            yield f"    and {result.more} more"
    yield "no damage found" if report.is_sound else "DAMAGED: keep a copy of the store before anything else"


def contents_lines(contents: Contents) -> Iterator[str]:
    yield contents.path
    yield f"  server           {'none' if contents.server is None else f'process {contents.server}'}"
    yield f"  format           {contents.format}, keys {contents.key_format}"
    if contents.encryption is None:
        found = "on every page" if contents.checksums else "none: damage in items is not noticed"
        yield f"  checksums        {found}"
        yield "  encryption       none"
    else:
        yield from _encryption_lines(contents.encryption)
    yield f"  file             {size(contents.file_bytes)}, of which {size(contents.free_bytes)} free"
    yield f"  write-ahead log  {size(contents.wal_bytes)}"
    if contents.dropped_spaces:
        yield f"  to be emptied    {_counted(contents.dropped_spaces, 'deleted table or index', 's')}"
    yield f"  own records      {contents.own_records:,}"
    yield from _log_lines(contents)
    yield f"  tables           {len(contents.tables):,}"
    for table in contents.tables:
        yield from _table_lines(table)


def _encryption_lines(found: EncryptionContents) -> Iterator[str]:
    if found.data_key is not None:
        yield f"  encryption       {found.cipher}, data key {found.data_key} of {found.created}"
        yield f"    master key     {found.master_key}, since {found.wrapped_at}"
    if found.changing:
        yield "    unfinished     a change of keys was interrupted; `blotter keys status` says how to finish it"


def _log_lines(contents: Contents) -> Iterator[str]:
    log = contents.log
    since = "" if log.oldest is None else f", since {_date(log.oldest)}"
    yield f"  change log       {_counted(log.entries, 'entry', 'ies')}, {size(log.bytes)}{since}"
    for reader in log.readers:
        yield f"    reader {reader.name}: {_reader(reader, log.last)}"


def _reader(reader: LogReader, last: int) -> str:
    if reader.lost_at is not None:
        return f"lost since {_date(reader.lost_at)}, has to start again from a copy"
    if reader.retention is not None:
        return f"keeps {reader.retention / 3600:g} hours"
    return f"has read up to {reader.position}, {_counted(max(0, last - reader.position), 'entry', 'ies')} behind"


def _table_lines(table: TableContents) -> Iterator[str]:
    yield f"    {table.arn}"
    yield f"      {table.state}, key {table.keys}, {_counted(table.items, 'item')}, {size(table.bytes)}"
    for index in table.indexes:
        yield (
            f"      {index.kind} index {index.name}: {index.state}, key {index.keys}, "
            f"{_counted(index.items, 'item')}, {size(index.bytes)}"
        )
    if table.stream is not None:
        yield f"      stream: {table.stream}"
    if table.time_to_live is not None:
        yield f"      time to live: {table.time_to_live}"
    if table.log_readers:
        yield f"      changes are read by {', '.join(table.log_readers)}"


def size(count: int) -> str:
    """A number of bytes for people: "512 bytes", "1.5 MB"."""
    if count < 1000:
        return _counted(count, "byte")
    amount, unit = float(count), ""
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007
        amount /= 1000
        if amount < 999.95:
            break
    return f"{amount:,.1f} {unit}"


def _counted(count: int, what: str, plural: str = "s") -> str:
    if count == 1:
        return f"1 {what}"
    return f"{count:,} {what.removesuffix('y') if plural == 'ies' else what}{plural}"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
