"""Items into a table: in batches from several threads, at the pace that the endpoint takes, resumable.

The rows are taken in chunks. Of those with the same key, a chunk writes the last one only, so its batches can be
written in any order; the next chunk begins when all of them are. After each chunk the notes say how far the import
has come: one that was interrupted goes on there, and repeats some puts, which changes nothing. Throttling halves
the pace, calm lets it grow. A batch that the endpoint refuses is written item by item, to find the row at fault.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from blotter.loading.types import AttributeValue
from blotter.tables.calls.endpoint import Caller
from blotter.tables.calls.wait import Backoff, Clock
from blotter.tables.copying import BATCH, TRIES, Pace
from blotter.tables.errors import Exit, Retry, SetupError

CHUNK_ROWS: Final = 2000
BATCH_BYTES: Final = 8 * 1024 * 1024
"""A batch takes no further items after so many bytes, about; BatchWriteItem takes 16 MB."""

Item = dict[str, AttributeValue]


class Notes(msgspec.Struct):
    """What an interrupted import needs to go on: of which file into which table, and how far it has come."""

    file: str
    table: str
    rows: int = 0
    """The rows of the file, counted from its beginning, with which it is done."""
    written: int = 0
    refused: int = 0

    def save(self, path: Path) -> None:
        """Replaced as a whole, so that a kill leaves the old or the new notes."""
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(msgspec.json.encode(self))
        part.replace(path)


class Work(NamedTuple):
    """One row: its number in the file, its item, and the item's bytes, about. No item: the row cannot be one."""

    number: int
    item: Item | None
    size: int = 0


class Writer:
    """Writes items to one table, which has the key attributes `keys`. `skip_refused`: a row that the endpoint
    refuses is left out and given to `refused`; otherwise it ends the import."""

    def __init__(
        self,
        endpoint: Caller,
        table: str,
        keys: tuple[str, ...],
        clock: Clock,
        *,
        threads: int = 4,
        rate: float | None = None,
        skip_refused: bool = False,
        refused: Callable[[int, str], None] = lambda _number, _reason: None,
    ) -> None:
        self._endpoint, self._table, self._keys, self._clock = endpoint, table, keys, clock
        self._threads, self._skip_refused, self._refused = threads, skip_refused, refused
        self._pace = Pace(clock, rate)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._written = self._left_out = 0

    def run(self, works: Iterable[Work], notes: Notes, done: Callable[[Notes], None]) -> None:
        """Writes all rows. `done` is called after each chunk. Raises SetupError; what ends it early leaves the
        notes as they were after the last whole chunk."""
        rows = iter(works)
        with ThreadPoolExecutor(self._threads, "blotter-import") as pool:
            while chunk := list(islice(rows, CHUNK_ROWS)):
                self._written, self._left_out = 0, sum(work.item is None for work in chunk)
                try:
                    writes = [pool.submit(self._write, batch) for batch in self._batches(chunk)]
                    for write in wait(writes, return_when=FIRST_EXCEPTION).done:
                        write.result()
                except BaseException:
                    self._stop.set()  # the others stop before their next request
                    raise
                notes.rows += len(chunk)
                notes.written += self._written
                notes.refused += self._left_out
                done(notes)

    def _batches(self, chunk: list[Work]) -> Iterator[list[Work]]:
        """The rows of a chunk without those that a later one replaces, in batches."""
        last: dict[str, Work] = {}
        for work in chunk:
            if work.item is not None:
                last[repr([work.item.get(name) for name in self._keys])] = work
        batch: list[Work] = []
        size = 0
        for work in last.values():
            if batch and (len(batch) == BATCH or size + work.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(work)
            size += work.size
        if batch:
            yield batch

    # On the threads

    def _write(self, batch: list[Work]) -> None:
        requests = [{"PutRequest": {"Item": work.item}} for work in batch]
        left = {self._table: requests}
        backoff = Backoff(self._clock)
        while left:
            self._pace.take(sum(map(len, left.values())))
            try:
                answer = self._call("BatchWriteItem", RequestItems=left)
            except SetupError as error:
                if error.code != "ValidationException":
                    raise
                self._write_singly(batch)
                return
            unprocessed = answer.get("UnprocessedItems") or {}
            if any(name != self._table for name in unprocessed) or any(
                request not in requests for each in unprocessed.values() for request in each
            ):
                raise SetupError("BatchWriteItem: the answer names items that were not sent", Exit.UNREACHABLE)
            left = {name: each for name, each in unprocessed.items() if each}
            if left:
                self._pace.slow()
                self._clock.sleep(backoff.next())
        self._count(written=len(batch))

    def _write_singly(self, batch: list[Work]) -> None:
        for work in batch:
            self._pace.take(1)
            try:
                self._call("PutItem", TableName=self._table, Item=work.item)
            except SetupError as error:
                if error.code != "ValidationException":
                    raise
                if not self._skip_refused:
                    raise SetupError(f"row {work.number}: {error}", Exit.REFUSED) from None
                self._refused(work.number, str(error))
                self._count(left_out=1)
            else:
                self._count(written=1)

    def _count(self, written: int = 0, left_out: int = 0) -> None:
        with self._lock:
            self._written += written
            self._left_out += left_out

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The request, repeated while that is worth it. Throttling also slows the pace down."""
        backoff = Backoff(self._clock)
        while not self._stop.is_set():
            try:
                answer: dict[str, Any] = self._endpoint.call(operation, **parameters)
                return answer
            except SetupError as error:
                brief = error.retry is Retry.BRIEFLY and backoff.tries + 1 < TRIES
                passes = error.retry is Retry.UNTIL_DEADLINE and error.code != "ResourceNotFoundException"
                if not (brief or passes):
                    raise
                if passes:
                    self._pace.slow()
            self._clock.sleep(backoff.next())
        raise SetupError(f"{operation} was not sent: the import was ended", Exit.INTERRUPTED)
