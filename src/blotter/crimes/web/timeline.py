"""The time axis: incidents and expected arrests by day, month or year, without gaps, in the order of time. Pure.

Keys that are not of the timeline's unit (another program wrote the item) are left out. Days and months without an
incident between the first and the last one get an empty slot, so that distances on the axis are true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from blotter.crimes.item import Group, Timeline
from blotter.crimes.web import charts, text
from blotter.crimes.web.headline import group_expected

_HEIGHT = 120.0
_MOST_SLOTS = 800
_LABELS = 7


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A line of the table below the charts."""

    name: str
    group: Group
    expected: float


@dataclass(frozen=True, slots=True)
class TimelineCharts:
    """`labels` are the places of the columns that get a label, `minor` those of them that a phone leaves out.

    `actual` is whether the dots are drawn.
    """

    unit: str
    incidents: charts.ColumnChart
    arrests: charts.ColumnChart
    labels: tuple[int, ...]
    minor: tuple[int, ...]
    rows: tuple[TimelineRow, ...]
    actual: bool


def charts_of(found: Timeline | None) -> TimelineCharts | None:
    """None without a timeline, or when it has one slot only."""
    if found is None:
        return None
    groups = {key: group for key, group in found.groups.items() if _parse(key, found.unit) is not None}
    slots = list(_slots(groups, found.unit)) if groups else []
    if len(slots) < 2:
        return None
    names = {slot: _name(slot, found.unit) for slot in slots}
    actual = any(group.actual_arrests is not None for group in groups.values())

    def points(value_of: str) -> list[tuple[str, float | None, str, str]]:
        drawn = []
        for slot in slots:
            group = groups.get(slot)
            value = None if group is None else float(group.rows)
            if group is not None and value_of == "expected":
                value = group_expected(group)
            drawn.append((_label(slot, found.unit), value, f"{names[slot]}: {_sentence(group)}", ""))
        return drawn

    marks = [float(groups[slot].actual_arrests or 0) if slot in groups else None for slot in slots]
    step = max(1, -(-len(slots) // _LABELS))
    labels = tuple(range(step // 2, len(slots), step))
    return TimelineCharts(
        found.unit,
        charts.column_chart(points("rows"), height=_HEIGHT, as_text=text.tick, whole=True),
        charts.column_chart(
            points("expected"), height=_HEIGHT, as_text=text.tick, whole=True, marks=marks if actual else ()
        ),
        labels,
        labels[1::2],
        tuple(
            TimelineRow(names[slot], groups[slot], group_expected(groups[slot]))
            for slot in slots
            if slot in groups
        ),
        actual,
    )


def _sentence(group: Group | None) -> str:
    if group is None:
        return "no incidents"
    sentence = f"{text.number(group.rows)} incidents, {text.amount(group_expected(group))} expected arrests"
    return (
        sentence if group.actual_arrests is None else f"{sentence}, {text.number(group.actual_arrests)} recorded"
    )


def _parse(key: str, unit: str) -> date | None:
    try:
        return date.fromisoformat(key + {"day": "", "month": "-01", "year": "-01-01"}[unit])
    except ValueError:
        return None


def _slots(groups: dict[str, Group], unit: str) -> Iterator[str]:
    """Every key from the first to the last; only the given ones when that would be too many."""
    keys = sorted(groups)
    first, last = _parse(keys[0], unit), _parse(keys[-1], unit)
    assert first is not None
    assert last is not None
    slots: list[str] = []
    moment = first
    while moment <= last:
        slots.append(moment.isoformat()[: len(keys[0])])
        if len(slots) > _MOST_SLOTS:
            yield from keys[:_MOST_SLOTS]
            return
        moment = _next(moment, unit)
    yield from slots


def _next(moment: date, unit: str) -> date:
    if unit == "day":
        return moment + timedelta(days=1)
    if unit == "month":
        return moment.replace(year=moment.year + moment.month // 12, month=moment.month % 12 + 1)
    return moment.replace(year=moment.year + 1)


def _name(key: str, unit: str) -> str:
    """ "2022-01-31" → "Jan 31, 2022"."""
    moment = _parse(key, unit)
    assert moment is not None
    month = text.MONTHS[moment.month - 1]
    if unit == "day":
        return text.day(moment)
    return f"{month} {moment.year}" if unit == "month" else str(moment.year)


def _label(key: str, unit: str) -> str:
    moment = _parse(key, unit)
    assert moment is not None
    month = text.MONTHS[moment.month - 1]
    if unit == "day":
        return f"{month} {moment.day}"
    return f"{month} ’{moment.year % 100:02d}" if unit == "month" else str(moment.year)
