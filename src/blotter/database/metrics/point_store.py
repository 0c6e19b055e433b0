"""Points in the store, in CloudWatch's periods: minutes for 15 days, five minutes for 63, hours for 455.

    p <period> <time> <group>                   points of a group: sums of what was added so far
    s <account> <region> <namespace> <group>    the metrics of a group: `Known`s, in the order of their ids
    c <run>                                     which counted minutes of a server are stored (`stored`)

A group is all of the server's metrics of one table, or one metric that a client has made. Points of one time lie
side by side, so that a minute is written, and later trimmed, in one place; a metric is read period by period.
Every point is added to all three periods at once. The store makes it crash-safe and encrypts it with all else.
Source of the periods: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from blotter.database.metrics.buckets import bucket_of, middle_of
from blotter.database.metrics.names import TABLE, Metric, declared
from blotter.database.metrics.points import Point, Value
from blotter.database.storage.protocol import METRICS_SPACE, ReadTransaction, StoredItem, WriteTransaction

DAY: Final = 86_400
RETENTION: Final = {60: 15 * DAY, 300: 63 * DAY, 3600: 455 * DAY}
"""Seconds of a period → seconds that its points are kept."""
PERIODS: Final = tuple(RETENTION)
_LETTERS: Final = {60: b"1", 300: b"5", 3600: b"h"}

_POINTS: Final = b"p"
_GROUPS: Final = b"s"
_GROUP_BYTES: Final = 12
_SEEN_SECONDS: Final = 600
"""How exact `Known.last` is: so seldom is a group written for it alone."""
_AT_ONCE: Final = 200


class Known(msgspec.Struct, array_like=True):
    """A metric of a group in one unit. Its id is its place in the group. `first` and `last` are the times of its
    first and, to ten minutes, its last point."""

    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    first: int
    last: int


class Listed(NamedTuple):
    """A metric that has points in a unit. `last` is exact to ten minutes."""

    metric: Metric
    unit: str
    first: int
    last: int


class _Stored(msgspec.Struct, array_like=True):
    """A point as a group's row has it. `values` alternates values and counts; a value that is the middle of its
    bucket is given as the bucket's number, an int."""

    id: int
    count: int | float
    total: int | float
    low: int | float
    high: int | float
    values: list[int | float] = []


_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(list[_Stored]).decode
_decode_group = msgspec.msgpack.Decoder(list[Known]).decode


def group_of(metric: Metric) -> bytes:
    """The group that a metric belongs to. Groups are stored in the order of these."""
    if declared(metric.namespace, metric.name) is not None:
        member = metric.value_of(TABLE) or ""
    else:
        member = repr((metric.name, metric.dimensions))
    text = "\0".join((metric.account, metric.region, metric.namespace, member))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_GROUP_BYTES).digest()


def add_points(tx: WriteTransaction, metrics: Iterable[tuple[Metric, str, Iterable[Point]]], now: float) -> None:
    """Adds points to those that are stored: of metrics of one group, with their units. What is older than its
    period is kept is left out."""
    group = b""
    known: list[Known] = []
    found: StoredItem | None = None
    rows: dict[tuple[int, int], dict[int, Point]] = {}
    changed = False
    for metric, unit, points in metrics:
        if not group:
            group = group_of(metric)
            found = tx.get(METRICS_SPACE, _group_key(metric, group))
            known = [] if found is None else _decode_group(found.body)
            key = _group_key(metric, group)
        number = _find(known, metric, unit)
        for point in points:
            if number is None:
                number = len(known)
                known.append(Known(metric.name, metric.dimensions, unit, point.time, point.time))
                changed = True
            changed = _seen(known[number], point.time) or changed
            _sum_up(rows, number, point, now)
    for (period, time), sums in rows.items():
        _add_row(tx, _point_key(period, time, group), sums)
    if changed:
        _put(tx, key, _encode(known), found)


def find_known(tx: ReadTransaction, metric: Metric) -> list[tuple[int, Known]]:
    """A metric's ids in its group, one for each unit."""
    found = tx.get(METRICS_SPACE, _group_key(metric, group_of(metric)))
    known = [] if found is None else _decode_group(found.body)
    return [(number, each) for number, each in enumerate(known) if _is(each, metric)]


def read_points(
    tx: ReadTransaction, metric: Metric, period: int, start: int, end: int, unit: str | None = None
) -> Iterator[tuple[str, Point]]:
    """The stored points of one of PERIODS with start <= time < end, ascending, with their units."""
    wanted = {number: known for number, known in find_known(tx, metric) if unit in (None, known.unit)}
    if not wanted:
        return
    group = group_of(metric)
    first = max(start, min(known.first for known in wanted.values()) // period * period)
    last = min(end, max(known.last for known in wanted.values()) + _SEEN_SECONDS + 1)
    for time in range(-(-first // period) * period, last, period):
        row = tx.get(METRICS_SPACE, _point_key(period, time, group))
        if row is None:
            continue
        for stored in _decode_row(row.body):
            if stored.id in wanted:
                yield wanted[stored.id].unit, _loaded(stored, time)


def known_metrics(tx: ReadTransaction, account: str, region: str, namespace: str | None) -> Iterator[Listed]:
    """Every metric that has points, by namespace."""
    start = _scope(account, region) if namespace is None else _scope(account, region, namespace)
    end = start[:-1] + b"\1"
    while rows := tx.items(METRICS_SPACE, start, end, _AT_ONCE):
        for key, _, body in rows:
            found = key[len(_GROUPS) : -_GROUP_BYTES].decode().split("\0")[2]
            for known in _decode_group(body):
                metric = Metric(account, region, found, known.name, known.dimensions)
                yield Listed(metric, known.unit, known.first, known.last)
        start = rows[-1][0] + b"\0"


def trim(tx: WriteTransaction, now: float, most_bytes: int, limit: int) -> int:
    """Removes up to `limit` rows that are older than they are kept or, oldest minutes first, more than may be
    stored; returns how many. 0: nothing is left to remove."""
    for period in PERIODS:
        rows = tx.items(METRICS_SPACE, *_before(period, now - RETENTION[period]), limit)
        if not rows and tx.statistics(METRICS_SPACE).bytes > most_bytes:
            # Never the newest: what was just added has to be there when it is read.
            rows = tx.items(METRICS_SPACE, *_before(period, now - 3 * 3600), limit)
        for row in rows:
            tx.delete(METRICS_SPACE, StoredItem(*row))
        if rows:
            return len(rows)
    return 0


def trim_groups(tx: WriteTransaction, now: float, start: bytes, limit: int) -> tuple[int, bytes | None]:
    """Removes groups none of whose metrics has a point any more, among the next `limit`; returns how many, and
    where to go on, None at the end."""
    rows = tx.items(METRICS_SPACE, start or _GROUPS, _GROUPS + b"\xff", limit)
    removed = 0
    for row in rows:
        if all(known.last < now - RETENTION[3600] - DAY for known in _decode_group(row[2])):
            tx.delete(METRICS_SPACE, StoredItem(*row))
            removed += 1
    return removed, rows[-1][0] + b"\0" if len(rows) == limit else None


def _sum_up(rows: dict[tuple[int, int], dict[int, Point]], number: int, point: Point, now: float) -> None:
    """Adds a point to its row of each period."""
    for period, kept in RETENTION.items():
        time = point.time - point.time % period
        if time < now - kept:
            continue
        sums = rows.setdefault((period, time), {})
        if number in sums:
            sums[number].add(point)
        else:
            sums[number] = point.copy(time)


def _add_row(tx: WriteTransaction, key: bytes, sums: dict[int, Point]) -> None:
    found = tx.get(METRICS_SPACE, key)
    row = [] if found is None else _decode_row(found.body)
    for place, stored in enumerate(row):
        added = sums.pop(stored.id, None)
        if added is not None:
            point = _loaded(stored, added.time)
            point.add(added)
            row[place] = _stored(stored.id, point)
    row += [_stored(number, point) for number, point in sums.items()]
    _put(tx, key, _encode(row), found)


def _put(tx: WriteTransaction, key: bytes, body: bytes, previous: StoredItem | None) -> None:
    tx.put(METRICS_SPACE, StoredItem(key, len(key) + len(body), body), previous)


def _stored(number: int, point: Point) -> _Stored:
    values: list[int | float] = []
    for bucket, (value, count) in point.values.items():
        values += (bucket if value == middle_of(bucket) else float(value), _whole(count))
    return _Stored(number, _whole(point.count), _whole(point.total), _whole(point.low), _whole(point.high), values)


def _loaded(stored: _Stored, time: int) -> Point:
    flat = stored.values
    values: dict[int, Value] = {}
    for at in range(0, len(flat), 2):
        value = flat[at]
        if isinstance(value, int):
            values[value] = middle_of(value), flat[at + 1]
        else:
            values[bucket_of(value)] = value, flat[at + 1]
    return Point(time, stored.count, stored.total, stored.low, stored.high, values)


def _whole(value: float) -> int | float:
    """The number as an int where it is one: that takes fewer bytes."""
    return int(value) if -(1 << 53) < value < 1 << 53 and value == int(value) else value


def _is(known: Known, metric: Metric) -> bool:
    return known.name == metric.name and known.dimensions == metric.dimensions


def _find(known: list[Known], metric: Metric, unit: str) -> int | None:
    for number, each in enumerate(known):
        if each.unit == unit and _is(each, metric):
            return number
    return None


def _seen(known: Known, time: int) -> bool:
    """Notes a point; whether that has to be stored."""
    if time < known.first:
        known.first = time
        return True
    if time > known.last + _SEEN_SECONDS:
        known.last = time
        return True
    return False


def _scope(*parts: str) -> bytes:
    return _GROUPS + "".join(f"{part}\0" for part in parts).encode()


def _group_key(metric: Metric, group: bytes) -> bytes:
    return _scope(metric.account, metric.region, metric.namespace) + group


def _point_key(period: int, time: int, group: bytes) -> bytes:
    return _POINTS + _LETTERS[period] + time.to_bytes(8, "big") + group


def _before(period: int, time: float) -> tuple[bytes, bytes]:
    """The keys of a period's points before a time."""
    start = _POINTS + _LETTERS[period]
    return start, start + max(0, int(time)).to_bytes(8, "big")
