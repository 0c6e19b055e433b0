"""A result as the result page shows it: charts, tables and the map, computed before the template runs.

Pure: a `Result` in, frozen values out, so that templates only place things. Names of primary types come from the
user's file and are untrusted text; they are escaped by the templates and never used as classes or identifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blotter.crimes.item import Group, Result
from blotter.crimes.web import charts, community_map, text

BINS = 20
_MEDIUM_FROM, _HIGH_FROM = 6, 14  # bins of 5 %: the levels begin at 30 % and 70 %
_PLOT_HEIGHT = 200.0
_SMALL_PLOT_HEIGHT = 96.0
FOLDED_AFTER = 12


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A line of a breakdown's table; the bars are in percent of the largest line."""

    name: str
    group: Group
    rows_bar: float
    probability_bar: float


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
    """An area of the map: outline, classes by metric ("p2 r4 a0"), and what its tooltip says."""

    path: str
    name: str
    classes: str
    title: str


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
    histogram: charts.ColumnChart
    risk: tuple[RiskPart, ...]
    hours: PairOfCharts
    weekdays: PairOfCharts
    types: tuple[GroupRow, ...]
    community: CommunityMap


def charts_of(result: Result) -> Charts | None:
    """Everything drawn for a completed result; None when nothing was scored."""
    if result.status != "COMPLETED" or not result.rows_scored:
        return None
    return Charts(
        histogram=_histogram(result.probability_histogram),
        risk=_risk(result),
        hours=_pair(result.by_hour, [str(hour) for hour in range(24)], [f"{hour:02d}:00" for hour in range(24)]),
        weekdays=_pair(result.by_weekday, [str(day) for day in range(7)], list(text.WEEKDAYS)),
        types=_rows({text.title(name): group for name, group in result.by_primary_type.items()}),
        community=_community(result.by_community_area),
    )


def bin_range(place: int) -> str:
    """The probabilities of a bin: 0 → "0–5%"."""
    return f"{place * 100 // BINS}–{(place + 1) * 100 // BINS}%"


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
    return charts.column_chart(points, height=_PLOT_HEIGHT, as_text=text.number, whole=True)


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


def _pair(groups: Mapping[str, Group], keys: list[str], names: list[str]) -> PairOfCharts:
    def points(value_of: str) -> list[tuple[str, float | None, str, str]]:
        return [
            (
                name,
                None if key not in groups else float(getattr(groups[key], value_of)),
                f"{name}: {_sentence(groups.get(key))}",
                "",
            )
            for key, name in zip(keys, names, strict=True)
        ]

    return PairOfCharts(
        charts.column_chart(points("rows"), height=_SMALL_PLOT_HEIGHT, as_text=text.number, whole=True),
        charts.column_chart(
            points("mean_probability"),
            height=_SMALL_PLOT_HEIGHT,
            as_text=lambda share: f"{share * 100:g}%",
            whole=False,
        ),
        _rows({name: groups[key] for key, name in zip(keys, names, strict=True) if key in groups}, sort=False),
    )


def _sentence(group: Group | None) -> str:
    if group is None:
        return "no incidents"
    incidents = "1 incident" if group.rows == 1 else f"{text.number(group.rows)} incidents"
    arrests = "1 predicted arrest" if group.predicted_arrests == 1 else (
        f"{text.number(group.predicted_arrests)} predicted arrests"
    )  # fmt: skip
    return f"{incidents}, mean probability {text.share(group.mean_probability)}, {arrests}"


def _rows(groups: Mapping[str, Group], *, sort: bool = True) -> tuple[GroupRow, ...]:
    most = max((group.rows for group in groups.values()), default=0) or 1
    likeliest = max((group.mean_probability for group in groups.values()), default=0.0) or 1.0
    rows = [
        GroupRow(
            name,
            group,
            round(100 * group.rows / most, 2),
            round(100 * group.mean_probability / likeliest, 2),
        )
        for name, group in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.group.rows, row.name)) if sort else rows)


def _community(groups: Mapping[str, Group]) -> CommunityMap:
    placed: dict[int, Group] = {}
    unplaced: dict[str, Group] = {}
    for name, group in groups.items():
        number = community_map.find_number(name)
        if number is None:
            unplaced[text.title(name) if name != "unknown" else "Not given"] = group
        else:
            placed[number] = group
    scales = {
        "p": ("Mean probability", _classes(placed, "mean_probability", text.share)),
        "r": ("Incidents", _classes(placed, "rows", text.number)),
        "a": ("Predicted arrests", _classes(placed, "predicted_arrests", text.number)),
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
            f"{area.name} ({area.side}): {_sentence(placed.get(area.number))}",
        )
        for area in community_map.areas()
    )
    named = {area.name: placed[area.number] for area in community_map.areas() if area.number in placed}
    width, height = community_map.view_box()
    return CommunityMap(
        width=width,
        height=height,
        areas=areas,
        metrics=tuple(Metric(letter, label, scale.legend) for letter, (label, scale) in scales.items()),
        rows=_rows({**named, **unplaced}),
        unplaced=sum(group.rows for group in unplaced.values()),
        without_data=len(areas) - len(placed),
    )


def _classes(placed: Mapping[int, Group], value_of: str, as_text: Callable[[Any], str]) -> charts.Classes:
    return charts.classify({number: float(getattr(group, value_of)) for number, group in placed.items()}, as_text)
