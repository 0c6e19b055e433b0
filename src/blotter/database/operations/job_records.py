"""The records of what runs for long: exports, imports, bulk operations. They outlive their tables.

A record is JSON, found by account, region and id. An id begins with the time, so that the newest is the last:

    import/123456789012/us-east-1/01795911600000-1f2e3d4c          {"id": …, "table": "books", "status": …}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Generic, TypeVar

import msgspec

from blotter.database.model.arns import part_arn, table_arn
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record

_AT_ONCE: Final = 50


class JobRecord(msgspec.Struct, frozen=True):
    """What every record has. `ARN_PART` is what stands before the id in its ARN, after that of the table."""

    ARN_PART: ClassVar[str]

    id: str
    account: str
    region: str
    table: str

    @property
    def table_arn(self) -> str:
        return table_arn(self.region, self.account, self.table)

    @property
    def arn(self) -> str:
        return part_arn(self.region, self.account, self.table, self.ARN_PART, self.id)


R = TypeVar("R", bound=JobRecord)


class JobRecords(Generic[R]):
    """The records of one kind: `prefix` begins their keys."""

    def __init__(self, prefix: str, kind: type[R]) -> None:
        self._prefix = prefix
        self._decode = msgspec.json.Decoder(kind).decode

    def key(self, account: str, region: str, record_id: str) -> bytes:
        return f"{self._prefix}/{account}/{region}/{record_id}".encode()

    def find(self, tx: ReadTransaction, account: str, region: str, record_id: str) -> R | None:
        found = tx.get(RECORDS_SPACE, self.key(account, region, record_id))
        return None if found is None else self._decode(found.body)

    def save(self, tx: WriteTransaction, record: R) -> None:
        """Adds the record, or replaces it."""
        save_record(tx, self.key(record.account, record.region, record.id), msgspec.json.encode(record))

    def newest(
        self, tx: ReadTransaction, account: str, region: str, before: str | None
    ) -> Iterator[tuple[R, int]]:
        """The records of an account and region, the newest first, each with its length in bytes; with `before`,
        those older than the one of this id."""
        start = self.key(account, region, "")
        end = self.key(account, region, before) if before else start[:-1] + b"0"
        for _, _, body in records_in(tx, start, end, _AT_ONCE, reverse=True):
            yield self._decode(body), len(body)

    def oldest(self, tx: ReadTransaction, account: str, region: str, most: int) -> list[R]:
        """Up to so many, the oldest first."""
        start = self.key(account, region, "")
        return [self._decode(body) for _, _, body in tx.items(RECORDS_SPACE, start, start[:-1] + b"0", most)]

    def remove(self, tx: WriteTransaction, record: R) -> None:
        delete_record(tx, self.key(record.account, record.region, record.id))

    def forget_before(self, tx: WriteTransaction, account: str, region: str, oldest: str) -> None:
        """Removes some of the records with ids before `oldest`."""
        start, end = self.key(account, region, ""), self.key(account, region, oldest)
        for key, _, _ in tx.items(RECORDS_SPACE, start, end, _AT_ONCE):
            delete_record(tx, key)
