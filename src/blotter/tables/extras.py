"""What a month of a table costs beside reads, writes and storage: streams, backups, exports and the like.

Sources of what is charged for: https://aws.amazon.com/dynamodb/pricing/. A GetRecords call of a stream is one
read; Lambda's and replication's are free. A Kinesis destination is charged for each KB written. Continuous backups
and on-demand backups are charged for their size.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from blotter.tables.prices import Prices

HOURS = 730
"""Of a month."""
GB = 1024**3


class Extras(msgspec.Struct, frozen=True):
    """What else is used. Sizes are bytes; exports, restores and imports are those of a month."""

    point_in_time_recovery: bool = False
    stream_reads: float = 0.0
    """GetRecords calls a second, without those of Lambda."""
    kinesis: bool = False
    backup_bytes: int = 0
    export_bytes: int = 0
    restore_bytes: int = 0
    import_bytes: int = 0


class Charge(msgspec.Struct, frozen=True):
    """One line: `dollars` a month, None if the price list does not say. `key` is its name in JSON."""

    key: str
    name: str
    dollars: float | None
    meaning: str


def charges(extras: Extras, write_units: float, table_bytes: int, prices: Prices) -> list[Charge]:
    """The charges of a table with so many bytes, which is written so many units a second."""
    return list(_charges(extras, write_units, table_bytes, prices))


def _charges(extras: Extras, write_units: float, table_bytes: int, prices: Prices) -> Iterator[Charge]:
    seconds = HOURS * 3600
    if extras.point_in_time_recovery:
        amount = table_bytes / GB
        dollars = _times(amount, prices.point_in_time_recovery_gb_month)
        yield Charge("point_in_time_recovery", "recovery", dollars, f"continuous backups of {amount:,.1f} GB")
    if extras.backup_bytes:
        amount = extras.backup_bytes / GB
        yield Charge("backups", "backups", _times(amount, prices.backup_gb_month), f"{amount:,.1f} GB kept")
    for key, size, price in (
        ("exports", extras.export_bytes, prices.export_gb),
        ("restores", extras.restore_bytes, prices.restore_gb),
        ("imports", extras.import_bytes, prices.import_gb),
    ):
        if size:
            yield Charge(key, key, _times(size / GB, price), f"{size / GB:,.1f} GB a month")
    if extras.stream_reads:
        dollars = _times(extras.stream_reads * seconds / 100_000, prices.stream_reads_per_100_000)
        yield Charge("stream", "stream", dollars, f"{extras.stream_reads:,.1f} GetRecords calls a second")
    if extras.kinesis:
        dollars = _times(write_units * seconds / 1e6, prices.kinesis_units_per_million)
        yield Charge("kinesis", "kinesis", dollars, "every write to a Kinesis data stream, without Kinesis itself")


def _times(amount: float, price: float | None) -> float | None:
    return None if price is None else amount * price
