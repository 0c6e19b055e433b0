"""The view of `blotter inspect partitions` for people: two bar charts over the hash space, and the keys that stand
out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from blotter.database.inspection.partitions import (
    PARTITION_READS,
    HotKey,
    LargePartition,
    Partitions,
    Traffic,
)
from blotter.database.inspection.text import size
from blotter.printable import printable

ROWS = 5
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = "  ..::##@"
_LONGEST_KEY = 60


def partition_lines(found: Partitions, *, unicode: bool = True) -> Iterator[str]:
    """`unicode` for a terminal that has block characters."""
    where = found.arn if found.index is None else f"{found.arn} index {found.index}"
    yield f"{where}, partition key {', '.join(found.keys)}"
    parts = len(found.parts)
    yield ""
    yield f"  items: {found.items:,}, {size(found.bytes)}, in {parts} parts of the hash space"
    yield from _chart([float(part.items) for part in found.parts], unicode)
    if found.items:
        yield f"  the fullest part holds {found.fullest:.2f} times its even share"
    yield f"  on AWS the data would fill {found.by_size:,} partition{'' if found.by_size == 1 else 's'} of 10 GB"
    if found.largest:
        yield ""
        yield "  largest partition keys"
        yield from _table([_large(found, each) for each in found.largest])
    yield ""
    if found.traffic is None:
        yield "  traffic is not counted: UpdateContributorInsights with ENABLE counts it"
        return
    yield from _traffic_lines(found, found.traffic, unicode)


def _traffic_lines(found: Partitions, traffic: Traffic, unicode: bool) -> Iterator[str]:
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(traffic.since))
    counted = f"{traffic.units:,.1f} units (three for a write unit), about {traffic.keys:,} keys"
    yield f"  traffic since {since}: {counted}"
    yield from _chart([part.units for part in found.parts], unicode)
    if found.busiest is not None:
        yield f"  the busiest part had {found.busiest:.2f} times its even share"
    if traffic.hottest:
        yield ""
        yield "  hottest partition keys, and the average of their busiest minute"
        yield from _table([_hot(traffic, each) for each in traffic.hottest])


def _large(found: Partitions, each: LargePartition) -> tuple[str, str, str]:
    share = each.items / found.items if found.items else 0.0
    return _shown(each.key.values()), f"{each.items:,} items, {size(each.bytes)}", f"{share:.1%}"


def _hot(traffic: Traffic, each: HotKey) -> tuple[str, str, str]:
    share = each.units / traffic.units if traffic.units else 0.0
    limit = each.peak / PARTITION_READS
    peak = f"{each.peak:,.2f} units/s, {limit:.1%} of what a partition of AWS serves"
    return _cut(", ".join(each.key)), f"{each.units:,.1f} units", f"{share:5.1%}  {peak}"


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for first, second, third in rows:
        yield f"    {first:{widths[0]}}  {second:>{widths[1]}}  {third}"


def _chart(amounts: list[float], unicode: bool) -> Iterator[str]:
    """Bars of equal width, the highest of which has ROWS rows."""
    highest = max(amounts)
    characters = _EIGHTHS if unicode else _PLAIN
    steps = len(characters) - 1
    levels = [round(amount / highest * ROWS * steps) if highest else 0 for amount in amounts]
    levels = [max(level, 1) if amount else 0 for level, amount in zip(levels, amounts, strict=True)]
    edge = "│" if unicode else "|"
    for row in range(ROWS - 1, -1, -1):
        bars = "".join(characters[min(max(level - row * steps, 0), steps)] for level in levels)
        yield f"    {edge}{bars}{edge}"
    line = ("─" if unicode else "-") * len(amounts)
    corners = "└┘" if unicode else "++"
    yield f"    {corners[0]}{line}{corners[1]}"


def _shown(values: Iterable[dict[str, str] | None]) -> str:
    return _cut(", ".join("?" if not value else next(iter(value.values())) for value in values))


def _cut(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"
