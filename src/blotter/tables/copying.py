"""Moving data between two tables or endpoints: `blotter tables copy`, the way out when a key schema must change.

Several threads scan the source in parallel segments and put every page into the destination before they note how
far they came; the notes lie in a file, so an interrupted copy goes on where it stopped and repeats at most a page
of each segment (puts are idempotent). The pace adapts: throttling halves it, calm lets it grow. In the end both
tables are read again and their counts and checksums compared. Rules: the destination begins empty; items written
to the source meanwhile are not followed, the comparison finds them. Must not depend on what the items mean.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from blotter.tables.calls.endpoint import Caller
from blotter.tables.calls.wait import Backoff, Clock
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.tables.planning.observed import Observed, describe

BATCH = 25  # BatchWriteItem's most
TRIES = 8  # of one request in a row; throttling is tried for as long as it lasts
TELL_EVERY_S = 2.0
SLOWEST = 5.0  # items a second below which the pace does not fall

Item = dict[str, Any]


class Side(NamedTuple):
    """A table at an endpoint."""

    endpoint: Caller
    name: str


class Digest(msgspec.Struct):
    """Count and checksum of items in any order: the sum of their hashes, so that segments add up."""

    items: int = 0
    checksum: str = "0"

    def add(self, other: Digest) -> None:
        self.items += other.items
        total = int(self.checksum, 16) + int(other.checksum, 16)
        self.checksum = f"{total % 2**128:x}"


class Segment(msgspec.Struct):
    """How far one segment of the scan has come. `next` is in the form JSON can keep (binary as base64)."""

    next: Item | None = None
    finished: bool = False
    done: Digest = msgspec.field(default_factory=Digest)


class Notes(msgspec.Struct):
    """What an interrupted copy needs to go on; `source` and `destination` are the tables' ARNs and ids."""

    source: str
    destination: str
    segments: list[Segment]

    def save(self, path: Path) -> None:
        """Replaced as a whole, so that a kill leaves the old or the new notes."""
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self))
        os.replace(part, path)


class Pace:
    """How many items a second are written at most: halved by throttling, growing by a tenth a second in calm."""

    def __init__(self, clock: Clock, most: float | None = None) -> None:
        self._clock, self._most = clock, most
        self._rate = most  # None: as fast as the threads can
        self._lock = threading.Lock()
        self._due = self._since = clock.now()
        self._slowed = clock.now() - 1.0
        self._written = 0
        self._start = clock.now()

    @property
    def rate(self) -> float | None:
        return self._rate

    def take(self, items: int) -> None:
        """Wait until so many items may be written."""
        with self._lock:
            now = self._clock.now()
            self._written += items
            if self._rate is None:
                return
            self._rate *= 1.1 ** (now - self._since)
            self._since = now
            if self._most is not None:
                self._rate = min(self._rate, self._most)
            self._due = max(self._due, now) + items / self._rate
            pause = self._due - items / self._rate - now
        if pause > 0:
            self._clock.sleep(pause)

    def slow(self) -> None:
        """The endpoint throttles. All threads hear it at once, so within a second it counts once."""
        with self._lock:
            now = self._clock.now()
            if now - self._slowed < 1.0:
                return
            self._slowed = now
            so_far = self._rate or self._written / max(now - self._start, 0.1)
            self._rate, self._since = max(so_far / 2, SLOWEST), now


class Copy:
    """One copy from source to destination, resumable through its notes."""

    def __init__(
        self,
        source: Side,
        destination: Side,
        notes: Path,
        clock: Clock,
        *,
        segments: int = 8,
        rate: float | None = None,
        notify: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._source, self._destination, self._path, self._clock = source, destination, notes, clock
        self._segments, self._notify = segments, notify
        self._pace = Pace(clock, rate)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._told = clock.now()
        self._notes: Notes
        self._key: list[tuple[str, str]] = []

    def run(self) -> Digest:
        """Copy what is left and return what was copied in all. Raises SetupError; Ctrl-C leaves good notes."""
        source, destination = self._described(self._source), self._described(self._destination)
        types = destination.attribute_types()
        self._key = [
            (part["AttributeName"], types[part["AttributeName"]]) for part in destination.table["KeySchema"]
        ]
        self._notes = self._begin(source, destination)
        with ThreadPoolExecutor(self._segments) as pool:
            try:
                parts = [pool.submit(self._copy_segment, n) for n in range(len(self._notes.segments))]
                for part in wait(parts, return_when=FIRST_EXCEPTION).done:
                    part.result()
            except BaseException:
                self._stop.set()  # the others finish their page and note it
                raise
        return self._total()

    def verify(self) -> tuple[Digest, Digest]:
        """Read both tables again, consistently: source and destination."""
        return self._digest(self._source), self._digest(self._destination)

    def finish(self) -> None:
        """The copy is complete: no notes are needed."""
        self._path.unlink(missing_ok=True)

    def _described(self, side: Side) -> Observed:
        observed: Observed | None = self._patiently(lambda: describe(side.endpoint, side.name))
        if observed is None:
            raise SetupError(f"{side.name} does not exist; `blotter tables apply` makes tables", Exit.REFUSED)
        if observed.status not in ("ACTIVE", "UPDATING"):
            raise SetupError(f"{side.name} is {observed.status}; wait until it is ACTIVE", Exit.UNUSABLE)
        return observed

    def _begin(self, source: Observed, destination: Observed) -> Notes:
        """The notes of an interrupted copy of the same two tables, or fresh ones for an empty destination."""
        names = [f"{side.arn} {side.table.get('TableId', '')}".strip() for side in (source, destination)]
        if self._path.exists():
            try:
                notes = msgspec.json.decode(self._path.read_bytes(), type=Notes)
            except msgspec.MsgspecError:
                raise SetupError(
                    f"{self._path} is not the notes of a copy; move it away", Exit.CONFIGURATION
                ) from None
            if [notes.source, notes.destination] != names:
                raise SetupError(
                    f"{self._path} is of a copy between other tables; move it away", Exit.CONFIGURATION
                )
            self._notify(f"going on after {sum(segment.done.items for segment in notes.segments):,} items")
            return notes
        if names[0] == names[1]:
            raise SetupError("source and destination are the same table", Exit.CONFIGURATION)
        first = self._call(self._destination, "Scan", TableName=self._destination.name, Limit=1)
        if first.get("Items"):
            raise SetupError(
                f"{self._destination.name} is not empty; a copy begins with an empty table", Exit.REFUSED
            )
        notes = Notes(names[0], names[1], [Segment() for _ in range(self._segments)])
        notes.save(self._path)
        return notes

    def _copy_segment(self, number: int) -> None:
        segment = self._notes.segments[number]
        start = decode_key(segment.next)
        while not segment.finished and not self._stop.is_set():
            page = self._page(self._source, number, len(self._notes.segments), start)
            self._write(page["Items"])
            start = self._next(self._source, page, start)
            with self._lock:
                segment.done.add(digest(page["Items"]))
                segment.next, segment.finished = encode_key(start), start is None
                self._notes.save(self._path)
                self._progress()

    def _page(self, side: Side, number: int, segments: int, start: Item | None) -> dict[str, Any]:
        more = {"ExclusiveStartKey": start} if start else {}
        return self._call(
            side, "Scan", TableName=side.name, Segment=number, TotalSegments=segments, ConsistentRead=True, **more
        )

    @staticmethod
    def _next(side: Side, page: dict[str, Any], start: Item | None) -> Item | None:
        """Where the next page begins, None after the last. A repeated page would never end."""
        following: Item | None = page.get("LastEvaluatedKey") or None
        if following is not None and following == start:
            raise SetupError(
                f"Scan of {side.name}: the endpoint gives the same page again and again", Exit.REFUSED
            )
        return following

    def _write(self, items: list[Item]) -> None:
        for item in items:
            self._check_key(item)
        for begin in range(0, len(items), BATCH):
            self._write_batch(items[begin : begin + BATCH])

    def _check_key(self, item: Item) -> None:
        for name, kind in self._key:
            if kind not in item.get(name, {}):
                shown = json.dumps(encode_key(item))[:200]
                raise SetupError(
                    f"an item has no {name} ({kind}), which the key of {self._destination.name} needs: {shown}",
                    Exit.REFUSED,
                )

    def _write_batch(self, items: list[Item]) -> None:
        keys = {json.dumps(encode_key({name: item[name] for name, _ in self._key})) for item in items}
        if len(keys) < len(items):
            raise SetupError(f"several items have the same key in {self._destination.name}", Exit.REFUSED)
        left = {self._destination.name: [{"PutRequest": {"Item": item}} for item in items]}
        backoff = Backoff(self._clock)
        while left:
            self._pace.take(sum(map(len, left.values())))
            answer = self._call(self._destination, "BatchWriteItem", RequestItems=left)
            unprocessed = answer.get("UnprocessedItems") or {}
            sent = left[self._destination.name]
            if any(name != self._destination.name for name in unprocessed) or any(
                request not in sent for requests in unprocessed.values() for request in requests
            ):
                raise SetupError("BatchWriteItem: the answer names items that were not sent", Exit.UNREACHABLE)
            left = {name: requests for name, requests in unprocessed.items() if requests}
            if left:
                self._pace.slow()
                self._clock.sleep(backoff.next())

    def _digest(self, side: Side) -> Digest:
        total = Digest()

        def read(number: int) -> Digest:
            part, start = Digest(), None
            while True:
                page = self._page(side, number, self._segments, start)
                part.add(digest(page["Items"]))
                start = self._next(side, page, start)
                if start is None:
                    return part

        with ThreadPoolExecutor(self._segments) as pool:
            for part in pool.map(read, range(self._segments)):
                total.add(part)
        return total

    def _progress(self) -> None:
        if (now := self._clock.now()) - self._told >= TELL_EVERY_S:
            self._told = now
            self._notify(f"{self._total().items:,} items copied")

    def _total(self) -> Digest:
        total = Digest()
        for segment in self._notes.segments:
            total.add(segment.done)
        return total

    def _call(self, side: Side, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._patiently(lambda: side.endpoint.call(operation, **parameters))
        return answer

    def _patiently(self, request: Callable[[], Any]) -> Any:
        """The request again while that is worth it. Throttling also slows the pace down."""
        backoff = Backoff(self._clock)
        while True:
            try:
                return request()
            except SetupError as error:
                brief = error.retry is Retry.BRIEFLY and backoff.tries + 1 < TRIES
                passes = error.retry is Retry.UNTIL_DEADLINE and error.code != "ResourceNotFoundException"
                if self._stop.is_set() or not (brief or passes):
                    raise
                if passes:
                    self._pace.slow()
            self._clock.sleep(backoff.next())


def digest(items: list[Item]) -> Digest:
    """Count and checksum of some items."""
    total = Digest()
    for item in items:
        text = json.dumps(canonical({"M": item}), separators=(",", ":"), ensure_ascii=False)
        total.add(Digest(1, hashlib.blake2b(text.encode(), digest_size=16).hexdigest()))
    return total


def canonical(value: Item) -> list[Any]:
    """An attribute value in one form only: sets and maps sorted, binary as base64."""
    ((kind, inner),) = value.items()
    if kind == "M":
        return [kind, [[name, canonical(inner[name])] for name in sorted(inner)]]
    if kind == "L":
        return [kind, [canonical(element) for element in inner]]
    if kind == "B":
        return [kind, base64.b64encode(inner).decode()]
    if kind == "BS":
        return [kind, sorted(base64.b64encode(element).decode() for element in inner)]
    return [kind, sorted(inner) if kind in ("SS", "NS") else inner]


def encode_key(key: Item | None) -> Item | None:
    """A key (or an item's scalars) as JSON can keep it."""
    if key is None:
        return None
    return {name: dict(_encoded(value)) for name, value in key.items()}


def _encoded(value: Item) -> Iterator[tuple[str, Any]]:
    for kind, inner in value.items():
        yield kind, base64.b64encode(inner).decode() if isinstance(inner, bytes) else _plain(inner)


def _plain(inner: Any) -> Any:
    return inner if isinstance(inner, (str, bool, int, type(None))) else "…"


def decode_key(key: Item | None) -> Item | None:
    """The inverse of `encode_key`, for keys."""
    if key is None:
        return None
    return {
        name: {kind: base64.b64decode(inner) if kind == "B" else inner for kind, inner in value.items()}
        for name, value in key.items()
    }
