"""The geometry of the charts: numbers in, positions and classes out; templates draw them as SVG on the server.

Horizontal positions are percentages and vertical ones pixels, so that a chart fills any width while its text
keeps its size. Colors are never decided here: bars and areas carry a level (0–4) or a kind, the style sheet
gives light and dark palettes. Every chart also exists as a table, so nothing here is the only way to a number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LEVELS = 5
_GAP = 0.16  # share of a column's slot left empty


@dataclass(frozen=True, slots=True)
class Column:
    """One bar: `x` and `width` in percent of the plot, `y` and `height` in pixels, `kind` a CSS class.

    `part` is the height of its lower, hatched piece; `mark` the position of a dot that stands for a second value.
    """

    label: str
    value: float
    title: str
    x: float
    width: float
    y: float
    height: float
    kind: str = ""
    part: float = 0.0
    mark: float | None = None

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Tick:
    """A horizontal line at `y` pixels with its text."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class ColumnChart:
    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    height: float


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One class of a choropleth: its level (0 light … 4 dark), the range it really holds, how many areas."""

    level: int
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Classes:
    """A classification of areas: level by key (absent = no data) and the legend, lowest first."""

    levels: Mapping[int, int]
    legend: tuple[LegendEntry, ...]


def column_chart(
    points: Sequence[tuple[str, float | None, str, str]],
    *,
    height: float,
    as_text: Callable[[float], str],
    whole: bool,
    parts: Mapping[int, float] | None = None,
    marks: Sequence[float | None] = (),
) -> ColumnChart:
    """Vertical bars from (label, value, title, kind); a missing value leaves its slot empty.

    `whole` keeps the tick marks on integers (counts); `as_text` writes them. `parts` gives the hatched piece of
    some columns by their place, `marks` a second value for every column.
    """
    values = [value or 0.0 for _, value, _, _ in points] + [mark or 0.0 for mark in marks]
    top, step = axis(max(values, default=0.0), whole=whole)
    slot = 100 / max(len(points), 1)
    columns = []
    for place, (label, value, title, kind) in enumerate(points):
        tall = height * (value or 0.0) / top
        if value:
            tall = max(tall, 1.0)  # something is always visible where there is something
        columns.append(
            Column(
                label=label,
                value=value or 0.0,
                title=title,
                x=round(place * slot + slot * _GAP / 2, 3),
                width=round(slot * (1 - _GAP), 3),
                y=round(height - tall, 2),
                height=round(tall, 2),
                kind=kind,
                part=round(height * (parts or {}).get(place, 0.0) / top, 2),
                mark=_mark(marks[place], height, top) if place < len(marks) else None,
            )
        )
    steps = round(top / step)
    ticks = tuple(
        Tick(round(height - height * number / steps, 2), as_text(step * number)) for number in range(steps + 1)
    )
    return ColumnChart(tuple(columns), ticks, height)


def _mark(value: float | None, height: float, top: float) -> float | None:
    return None if value is None else round(height - height * value / top, 2)


def axis(largest: float, *, whole: bool) -> tuple[float, float]:
    """A round upper end (≥ largest, > 0) and the distance between tick marks: 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return 1.0, 1.0
    rough = largest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(step, 1.0)
    return math.ceil(largest / step - 1e-9) * step, step


def classify(values: Mapping[int, float], as_text: Callable[[float], str]) -> Classes:
    """Up to five classes of about equal size (quantiles), equal values always together.

    The legend names the smallest and largest value that each class really holds, so no number is rounded into a
    class it is not in.
    """
    ordered = sorted(values.values())
    breaks = sorted({ordered[len(ordered) * part // LEVELS] for part in range(1, LEVELS)} if ordered else set())
    if breaks and breaks[0] == ordered[0]:
        breaks = breaks[1:]
    groups: dict[int, list[float]] = {}
    for value in ordered:
        groups.setdefault(bisect_right(breaks, value), []).append(value)
    spread = {group: _level(place, len(groups)) for place, group in enumerate(sorted(groups))}
    legend = tuple(
        LegendEntry(spread[group], _range(members[0], members[-1], as_text), len(members))
        for group, members in sorted(groups.items())
    )
    return Classes({key: spread[bisect_right(breaks, value)] for key, value in values.items()}, legend)


def _level(place: int, count: int) -> int:
    return LEVELS // 2 if count == 1 else round(place * (LEVELS - 1) / (count - 1))


def _range(low: float, high: float, as_text: Callable[[float], str]) -> str:
    first, last = as_text(low), as_text(high)
    return first if first == last else f"{first} – {last}"
