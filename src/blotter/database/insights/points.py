"""What the rules of contributor insights have found, minute by minute, beside the metrics in the store.

    insight/<id of the insights>/<kind>/m/<minute>      the last day
    insight/<id of the insights>/<kind>/h/<minute of the hour's begin>      CloudWatch's 15 days

A process adds what it has counted to both every few seconds (`add_counted`), so sums of all processes meet here. A
point has the heaviest `CONTRIBUTORS` keys; what was lighter is part of its total only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from blotter.database.insights.settings import Insights, Kind
from blotter.database.insights.sketch import Sketch
from blotter.database.storage.protocol import METRICS_SPACE, ReadTransaction, StoredItem, WriteTransaction

CONTRIBUTORS: Final = 100
MINUTES_KEPT: Final = 1440
HOURS_KEPT: Final = 15 * 1440
"""In minutes."""
POINTS: Final = (b"insight/", b"insight0")
_AT_ONCE = 200


class Counted(NamedTuple):
    """What one process has counted for a rule in a minute since the epoch."""

    insights: Insights
    kind: Kind
    minute: int
    sketch: Sketch


class Point(msgspec.Struct, array_like=True):
    """The contributors of one minute or hour: JSON arrays of their key values, with their sums."""

    total: float = 0.0
    largest: float = 0.0
    bitmap: bytes = b""
    """Big-endian; see `sketch`."""
    contributors: dict[str, float] = {}
    spread: list[float] = []

    def add(self, other: Point) -> None:
        self.total += other.total
        self.largest = max(self.largest, other.largest)
        self.bitmap = _bytes(self.bits | other.bits)
        for key, amount in other.contributors.items():
            self.contributors[key] = self.contributors.get(key, 0.0) + amount
        if other.spread:
            spread = self.spread or [0.0] * len(other.spread)
            self.spread = [one + another for one, another in zip(spread, other.spread, strict=True)]

    @property
    def bits(self) -> int:
        return int.from_bytes(self.bitmap, "big")

    def heaviest(self, count: int) -> list[tuple[str, float]]:
        return sorted(self.contributors.items(), key=lambda entry: (-entry[1], entry[0]))[:count]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Point).decode


def point_of(sketch: Sketch) -> Point:
    heaviest = dict(sketch.heaviest(CONTRIBUTORS))
    return Point(sketch.total, sketch.largest, _bytes(sketch.bitmap), heaviest, list(sketch.spread))


def add_counted(tx: WriteTransaction, counted: Iterable[Counted]) -> None:
    """Adds what a process has counted to the points of its minutes and hours."""
    for each in counted:
        added = point_of(each.sketch)
        for letter, minute in (("m", each.minute), ("h", each.minute // 60 * 60)):
            key = _key(each.insights.id, each.kind, letter, minute)
            stored = tx.get(METRICS_SPACE, key)
            point = Point() if stored is None else _decode(stored.body)
            point.add(added)
            point.contributors = dict(point.heaviest(CONTRIBUTORS))
            tx.put(METRICS_SPACE, StoredItem(key, 0, _encode(point)), stored)


def read_points(
    tx: ReadTransaction, insights: Insights, kind: Kind, start: int, end: int, *, hourly: bool
) -> Iterator[tuple[int, Point]]:
    """(minute, point) from minute `start` up to but without `end`: of minutes, or of hours by their first
    minute."""
    letter = "h" if hourly else "m"
    first, last = (_key(insights.id, kind, letter, max(0, minute)) for minute in (start, end))
    while rows := tx.items(METRICS_SPACE, first, last, _AT_ONCE):
        for key, _, body in rows:
            yield int(key[-10:]), _decode(body)
        first = rows[-1][0] + b"\x00"


def stale_points(
    tx: ReadTransaction, kept: set[str], now: float, after: bytes
) -> tuple[list[bytes], bytes | None]:
    """Keys of points that are too old or whose insights are not among `kept` (ids), from after a key on, in a
    bounded slice; and the key to go on after, None at the end."""
    minute = int(now // 60)
    rows = tx.items(METRICS_SPACE, max(POINTS[0], after + b"\x00" if after else b""), POINTS[1], _AT_ONCE)
    stale = []
    for key, _, _ in rows:
        owner, _, letter, at = key.removeprefix(POINTS[0]).rsplit(b"/", 3)
        age = minute - int(at)
        limit = MINUTES_KEPT if letter == b"m" else HOURS_KEPT
        if owner.decode() not in kept or age > limit:
            stale.append(key)
    return stale, rows[-1][0] if len(rows) == _AT_ONCE else None


def remove_points(tx: WriteTransaction, keys: Iterable[bytes]) -> None:
    for key in keys:
        stored = tx.get(METRICS_SPACE, key)
        if stored is not None:
            tx.delete(METRICS_SPACE, stored)


def _key(owner: str, kind: str, letter: str, minute: int) -> bytes:
    return f"insight/{owner}/{kind}/{letter}/{minute:010d}".encode()


def _bytes(bitmap: int) -> bytes:
    return bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "big")
