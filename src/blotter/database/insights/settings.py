"""Which tables and global indexes have contributor insights: one record for each, in the store's own key space.

    insights/<account>/<region>/<table>/<index, or nothing for the table itself>
    insights-generation                         raised by every change, so that processes notice it with one read

A record stays when insights are disabled, as AWS's does (it still shows its mode), and goes with its table or
index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from blotter.database.model.table import PAST, KeySchema, is_over
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record

Mode = Literal["ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS"]
Status = Literal["ENABLING", "ENABLED", "DISABLING", "DISABLED", "FAILED"]
Kind = Literal["PKC", "SKC", "PKT", "SKT"]
"""Of a rule: partition keys (P) or partition and sort keys (S), accessed (C) or throttled (T)."""

RECORDS: Final = (b"insights/", b"insights0")
_GENERATION: Final = b"insights-generation"
_AT_ONCE = 200
_LONGEST_RESOURCE = 82


class Insights(msgspec.Struct, frozen=True, omit_defaults=True):
    """The contributor insights of a table or global index. Times are seconds since the epoch."""

    account: str
    region: str
    table: str
    table_id: str
    keys: KeySchema
    mode: Mode
    enabled: bool
    created: int
    """When its rules were created, in milliseconds since the epoch: the end of their names."""
    updated_at: float
    index: str = ""
    """Empty for the table itself."""
    settles_at: float = PAST
    """Until then it is ENABLING or DISABLING."""
    failed: bool = False
    """Whether it was to be enabled and there were too many rules; it is not `enabled` then."""
    disabling: bool = False
    """Whether it failed and was disabled since."""

    @property
    def key(self) -> bytes:
        return _key(self.account, self.region, self.table, self.index)

    @property
    def id(self) -> str:
        """What its points are stored under; others after it was disabled and enabled again."""
        return f"{self.table_id}/{self.index}/{self.created}"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Its rules, in the order in which DescribeContributorInsights lists them."""
        kinds: list[Kind] = []
        if self.mode == "ACCESSED_AND_THROTTLED_KEYS":
            kinds += ["PKC", "SKC"] if self.keys.sort else ["PKC"]
        kinds += ["PKT", "SKT"] if self.keys.sort else ["PKT"]
        return tuple(kinds)

    def rule(self, kind: Kind) -> str:
        """The name of a rule; CloudWatch's have no more than 128 characters."""
        resource = f"{self.table}-{self.index}" if self.index else self.table
        return f"DynamoDBContributorInsights-{kind}-{resource[:_LONGEST_RESOURCE]}-{self.created}"

    def status_at(self, now: float) -> Status:
        is_settled = is_over(self.settles_at, now)
        if self.failed and not self.disabling:
            return "FAILED" if is_settled else "ENABLING"
        if is_settled:
            return "ENABLED" if self.enabled else "DISABLED"
        return "ENABLING" if self.enabled else "DISABLING"

    def shows_failure_at(self, now: float) -> bool:
        return self.failed and self.status_at(now) in ("FAILED", "DISABLING")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Insights).decode


def find_insights(tx: ReadTransaction, account: str, region: str, table: str, index: str = "") -> Insights | None:
    stored = tx.get(RECORDS_SPACE, _key(account, region, table, index))
    return None if stored is None else _decode(stored.body)


def save_insights(tx: WriteTransaction, insights: Insights) -> None:
    save_record(tx, insights.key, _encode(insights))
    _note_change(tx)


def insights_of_table(tx: ReadTransaction, account: str, region: str, table: str) -> list[Insights]:
    """Those of a table and its indexes, the table's first."""
    prefix = f"insights/{account}/{region}/{table}"
    return [each for _, each in _records(tx, f"{prefix}/".encode(), f"{prefix}0".encode())]


def insights_of_region(
    tx: ReadTransaction, account: str, region: str, after: bytes = b""
) -> Iterator[tuple[bytes, Insights]]:
    """Keys and records of an account and region, in the order of their tables, after a key."""
    prefix = f"insights/{account}/{region}"
    start = after + b"\x00" if after else f"{prefix}/".encode()
    return _records(tx, start, f"{prefix}0".encode())


def every_insights(tx: ReadTransaction) -> Iterator[Insights]:
    return (each for _, each in _records(tx, *RECORDS))


def remove_insights(tx: WriteTransaction, insights: list[Insights]) -> None:
    """Removes records; their points go in the background."""
    for each in insights:
        delete_record(tx, each.key)
    if insights:
        _note_change(tx)


def insights_generation(tx: ReadTransaction) -> bytes:
    """Other bytes after every change of a record."""
    stored = tx.get(RECORDS_SPACE, _GENERATION)
    return b"" if stored is None else stored.body


def _note_change(tx: WriteTransaction) -> None:
    previous = tx.get(RECORDS_SPACE, _GENERATION)
    number = 1 if previous is None else int(previous.body) + 1
    tx.put(RECORDS_SPACE, StoredItem(_GENERATION, 0, b"%d" % number), previous)


def _records(tx: ReadTransaction, start: bytes, end: bytes) -> Iterator[tuple[bytes, Insights]]:
    for key, _, body in records_in(tx, start, end, _AT_ONCE):
        yield key, _decode(body)


def _key(account: str, region: str, table: str, index: str) -> bytes:
    return f"insights/{account}/{region}/{table}/{index}".encode()
