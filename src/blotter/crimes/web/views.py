"""A result as the result page shows it: charts, tables and the map, computed before the template runs.

Pure: a `Result` in, frozen values out, so that templates only place things. Maps of an item come in no order
and are sorted here. Names of primary types come from the user's file and are untrusted text; they are escaped
by the templates and never used as classes or identifiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blotter.crimes.item import Group, Result
from blotter.crimes.web import charts, community_map, paths, text, timeline
from blotter.crimes.web.headline import group_expected

BINS = 20
_MEDIUM_FROM, _HIGH_FROM = 6, 14  # bins of 5 %: the levels begin at 30 % and 70 %
_PLOT_HEIGHT = 200.0
_SMALL_PLOT_HEIGHT = 96.0
FOLDED_AFTER = 12
_OTHER = "OTHER"  # types beyond the limit of an item, taken together: no filter finds them


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A line of a breakdown's table; the bars are in percent of the largest line. `href` lists its incidents."""

    name: str
    group: Group
    expected: float
    rows_bar: float
    probability_bar: float
    href: str | None = None


@dataclass(frozen=True, slots=True)
class RiskPart:
    """A level of risk: its rows, its share (0–1), and where its piece of the bar lies, in percent."""

    level: str
    range: str
    rows: int
    share: float
    start: float


@dataclass(frozen=True, slots=True)
class PairOfCharts:
    """Incidents and mean probability over the same slots (hours, weekdays)."""

    incidents: charts.ColumnChart
    probability: charts.ColumnChart
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True)
class MapArea:
    """An area of the map: outline, classes by metric ("p2 r4 a0"), tooltip, address of its incidents."""

    path: str
    name: str
    classes: str
    title: str
    href: str | None


@dataclass(frozen=True, slots=True)
class Metric:
    """What the map can show: letter in the areas' classes, label, legend."""

    letter: str
    label: str
    legend: tuple[charts.LegendEntry, ...]


@dataclass(frozen=True, slots=True)
class CommunityMap:
    width: float
    height: float
    areas: tuple[MapArea, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[GroupRow, ...]
    unplaced: int
    without_data: int


@dataclass(frozen=True, slots=True)
class Charts:
    """`outcomes`: whether the tables have a column of recorded arrests."""

    histogram: charts.ColumnChart
    risk: tuple[RiskPart, ...]
    timeline: timeline.TimelineCharts | None
    hours: PairOfCharts
    weekdays: PairOfCharts
    types: tuple[GroupRow, ...]
    community: CommunityMap
    outcomes: bool


def charts_of(result: Result) -> Charts | None:
    """Everything drawn for a completed result; None when nothing was scored."""
    if result.status != "COMPLETED" or not result.rows_scored:
        return None
    hours = [str(hour) for hour in range(24)]
    midnight = {0: float(result.midnight_rows)} if result.midnight_rows else {}
    return Charts(
        histogram=_histogram(result.probability_histogram),
        risk=_risk(result),
        timeline=timeline.charts_of(result.timeline),
        hours=_pair(result, "hour", result.by_hour, hours, [f"{hour}:00".zfill(5) for hour in hours], midnight),
        weekdays=_pair(
            result, "weekday", result.by_weekday, [str(day) for day in range(7)], list(text.WEEKDAYS), {}
        ),
        types=_by_rows(
            _row(result, text.title(name), group, {} if name == _OTHER else {"type": name})
            for name, group in result.by_primary_type.items()
        ),
        community=_community(result),
        outcomes=result.outcomes is not None,
    )


def bin_range(place: int) -> str:
    """The probabilities of a bin: 0 → "0–5%"."""
    return f"{place * 100 // BINS}–{(place + 1) * 100 // BINS}%"


def sentence(group: Group | None) -> str:
    """The tooltip of a group."""
    if group is None:
        return "no incidents"
    incidents = "1 incident" if group.rows == 1 else f"{text.number(group.rows)} incidents"
    expected = text.amount(group_expected(group))
    sentence = f"{incidents}, mean probability {text.share(group.mean_probability)}, {expected} expected arrests"
    return (
        sentence if group.actual_arrests is None else f"{sentence}, {text.number(group.actual_arrests)} recorded"
    )


def _histogram(counts: list[int]) -> charts.ColumnChart:
    total = sum(counts) or 1
    points = [
        (
            bin_range(place),
            float(count),
            f"{bin_range(place)}: {text.number(count)} incidents ({text.share(count / total)})",
            _level_of_bin(place),
        )
        for place, count in enumerate(counts)
    ]
    return charts.column_chart(points, height=_PLOT_HEIGHT, as_text=text.tick, whole=True)


def _level_of_bin(place: int) -> str:
    return "high" if place >= _HIGH_FROM else "medium" if place >= _MEDIUM_FROM else "low"


def _risk(result: Result) -> tuple[RiskPart, ...]:
    if result.risk is None:
        return ()
    levels = (
        ("High", "above 70%", result.risk.high),
        ("Medium", "30–70%", result.risk.medium),
        ("Low", "up to 30%", result.risk.low),
    )
    total = sum(rows for _, _, rows in levels) or 1
    parts, start = [], 0.0
    for level, span, rows in levels:
        parts.append(RiskPart(level, span, rows, rows / total, round(start, 3)))
        start += 100 * rows / total
    return tuple(parts)


def _pair(
    result: Result,
    filter_name: str,
    groups: Mapping[str, Group],
    keys: list[str],
    names: list[str],
    hatched: Mapping[int, float],
) -> PairOfCharts:
    def points(value_of: str) -> list[tuple[str, float | None, str, str]]:
        return [
            (
                name,
                None if key not in groups else float(getattr(groups[key], value_of)),
                f"{name}: {sentence(groups.get(key))}",
                "",
            )
            for key, name in zip(keys, names, strict=True)
        ]

    rows = [
        _row(result, name, groups[key], {filter_name: key})
        for key, name in zip(keys, names, strict=True)
        if key in groups
    ]
    return PairOfCharts(
        charts.column_chart(
            points("rows"), height=_SMALL_PLOT_HEIGHT, as_text=text.tick, whole=True, parts=hatched
        ),
        charts.column_chart(
            points("mean_probability"),
            height=_SMALL_PLOT_HEIGHT,
            as_text=lambda share: f"{share * 100:g}%",
            whole=False,
        ),
        with_bars(rows),
    )


def _row(result: Result, name: str, group: Group, filters: Mapping[str, str]) -> GroupRow:
    href = paths.incidents_page(result.file_key, **filters) if filters and result.predictions_key else None
    return GroupRow(name, group, group_expected(group), 0.0, 0.0, href)


def with_bars(rows: list[GroupRow]) -> tuple[GroupRow, ...]:
    """The rows with their bars in percent of the largest."""
    most = max((row.group.rows for row in rows), default=0) or 1
    likeliest = max((row.group.mean_probability for row in rows), default=0.0) or 1.0
    return tuple(
        GroupRow(
            row.name,
            row.group,
            row.expected,
            round(100 * row.group.rows / most, 2),
            round(100 * row.group.mean_probability / likeliest, 2),
            row.href,
        )
        for row in rows
    )


def _by_rows(rows: Iterable[GroupRow]) -> tuple[GroupRow, ...]:
    return with_bars(sorted(rows, key=lambda row: (-row.group.rows, row.name)))


def _community(result: Result) -> CommunityMap:
    placed: dict[int, Group] = {}
    unplaced: dict[str, Group] = {}
    for name, group in result.by_community_area.items():
        number = community_map.find_number(name)
        if number is None:
            unplaced[name] = group
        else:
            placed[number] = group
    expected = {number: group_expected(group) for number, group in placed.items()}
    scales = {
        "p": ("Mean probability", charts.classify(_values(placed, "mean_probability"), text.share)),
        "r": ("Incidents", charts.classify(_values(placed, "rows"), text.number)),
        "a": ("Expected arrests", charts.classify(expected, text.amount)),
    }
    rows = {
        area.number: _row(result, area.name, placed[area.number], {"area": str(area.number)})
        for area in community_map.areas()
        if area.number in placed
    }
    areas = tuple(
        MapArea(
            area.path,
            area.name,
            " ".join(
                f"{letter}{scale.levels[area.number]}"
                for letter, (_, scale) in scales.items()
                if area.number in placed
            ),
            f"{area.name} ({area.side}): {sentence(placed.get(area.number))}",
            rows[area.number].href if area.number in rows else None,
        )
        for area in community_map.areas()
    )
    nowhere = [
        _row(result, text.title(name), group, {})
        if name != "unknown"
        else _row(result, "Not given", group, {"area": "unknown"})
        for name, group in unplaced.items()
    ]
    width, height = community_map.view_box()
    return CommunityMap(
        width=width,
        height=height,
        areas=areas,
        metrics=tuple(Metric(letter, label, scale.legend) for letter, (label, scale) in scales.items()),
        rows=_by_rows([*rows.values(), *nowhere]),
        unplaced=sum(group.rows for group in unplaced.values()),
        without_data=len(areas) - len(placed),
    )


def _values(placed: Mapping[int, Group], value_of: str) -> dict[int, float]:
    return {number: float(getattr(group, value_of)) for number, group in placed.items()}
