"""Two results beside each other: the headline figures, the distribution, hours, and types by what changed most.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blotter.crimes.item import Group, Result
from blotter.crimes.web import charts, headline, text, views

_HEIGHT = 120.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the comparison; `difference` is the second minus the first, as text."""

    label: str
    first: str
    second: str
    difference: str


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A crime type in both files; shares are of the scored incidents, means None where there is no incident."""

    name: str
    first: Group | None
    second: Group | None
    first_share: float
    second_share: float

    @property
    def share_difference(self) -> float:
        return self.second_share - self.first_share

    @property
    def mean_difference(self) -> float | None:
        if self.first is None or self.second is None:
            return None
        return self.second.mean_probability - self.first.mean_probability


@dataclass(frozen=True, slots=True)
class Overlay:
    """The same slots of both files as shares of their incidents: columns for the first, dots for the second."""

    heading: str
    chart: charts.ColumnChart
    step: int


@dataclass(frozen=True, slots=True)
class Comparison:
    figures: tuple[Figure, ...]
    overlays: tuple[Overlay, ...]
    types: tuple[TypeRow, ...]


def compare(first: Result, second: Result) -> Comparison:
    """Both must be COMPLETED."""
    hours = [str(hour) for hour in range(24)]
    return Comparison(
        _figures(first, second),
        (
            _overlay(
                "Distribution of probabilities",
                [float(rows) for rows in first.probability_histogram],
                [float(rows) for rows in second.probability_histogram],
                [views.bin_range(place) for place in range(views.BINS)],
                4,
            ),
            _overlay(
                "Hour of the day",
                [_rows(first.by_hour, hour) for hour in hours],
                [_rows(second.by_hour, hour) for hour in hours],
                [f"{int(hour):02d}" for hour in hours],
                3,
            ),
        ),
        _types(first, second),
    )


def _figures(first: Result, second: Result) -> tuple[Figure, ...]:
    def count(label: str, one: float | None, other: float | None) -> Figure:
        return Figure(label, text.number(one), text.number(other), text.signed(_minus(other, one)))

    def expected(label: str, one: float | None, other: float | None) -> Figure:
        return Figure(label, text.amount(one), text.amount(other), text.signed(_minus(other, one)))

    def share(label: str, one: float | None, other: float | None) -> Figure:
        return Figure(label, text.share(one), text.share(other), text.points(_minus(other, one)))

    first_outcomes, second_outcomes = headline.comparison_of(first), headline.comparison_of(second)
    figures = [
        expected("Expected arrests", headline.expected_arrests(first), headline.expected_arrests(second)),
        share("Mean probability", first.mean_probability, second.mean_probability),
        count("Incidents scored", first.rows_scored, second.rows_scored),
        count("Rows skipped", first.rows_skipped, second.rows_skipped),
    ]
    if first_outcomes or second_outcomes:
        figures.insert(
            1,
            count(
                "Recorded arrests",
                first_outcomes.actual if first_outcomes else None,
                second_outcomes.actual if second_outcomes else None,
            ),
        )
    if first.risk and second.risk:
        figures.append(
            share(
                "Above 70%",
                first.risk.high / (first.rows_scored or 1),
                second.risk.high / (second.rows_scored or 1),
            )
        )
    figures.append(Figure("First day", text.day(first.first_day), text.day(second.first_day), ""))
    figures.append(Figure("Last day", text.day(first.last_day), text.day(second.last_day), ""))
    figures.append(Figure("Model", first.model_version or "–", second.model_version or "–", ""))
    return tuple(figures)


def _overlay(heading: str, first: list[float], second: list[float], names: list[str], step: int) -> Overlay:
    one, other = _shares(first, len(names)), _shares(second, len(names))
    points = [
        (name, share, f"{name}: {text.share(share)} of the first, {text.share(dot)} of the second file", "")
        for name, share, dot in zip(names, one, other, strict=True)
    ]
    chart = charts.column_chart(
        points, height=_HEIGHT, as_text=lambda share: f"{share * 100:g}%", whole=False, marks=other
    )
    return Overlay(heading, chart, step)


def _shares(rows: list[float], length: int) -> list[float]:
    total = sum(rows) or 1.0
    return [value / total for value in (rows + [0.0] * length)[:length]]


def _rows(groups: Mapping[str, Group], key: str) -> float:
    return float(groups[key].rows) if key in groups else 0.0


def _types(first: Result, second: Result) -> tuple[TypeRow, ...]:
    names = first.by_primary_type.keys() | second.by_primary_type.keys()
    rows = []
    for name in names:
        one, other = first.by_primary_type.get(name), second.by_primary_type.get(name)
        rows.append(
            TypeRow(
                text.title(name),
                one,
                other,
                one.rows / (first.rows_scored or 1) if one else 0.0,
                other.rows / (second.rows_scored or 1) if other else 0.0,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-abs(row.share_difference), row.name)))


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
