"""The summary of a file while it is scored: counts by risk, probability, type, hour, weekday, area and day.

Everything is bounded whatever the file contains, because the summary becomes one DynamoDB item (400 KB) and a file
may name a million crime types: known dimensions have fixed sizes, primary types are capped twice (while counting
and when the summary is made), the rest is OTHER. Independent of files and tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from blotter.crimes.item import Group, Reading, Risk, Summary, Timeline
from blotter.crimes.learning.features import FLAGS
from blotter.crimes.learning.model import THRESHOLD, Manifest
from blotter.crimes.reading import spelling
from blotter.crimes.reading.dates import NO_TIME, Order, describe
from blotter.crimes.reading.reader import Batch, IncidentReader
from blotter.crimes.scoring.column_checks import ColumnChecks
from blotter.crimes.scoring.notes import notes_on
from blotter.crimes.scoring.outcomes import OutcomeTally

HIGH, MEDIUM = 0.7, 0.3
HISTOGRAM_STEPS = 20
FINE_STEPS = 100
OTHER = "OTHER"
UNKNOWN = "unknown"
_TYPES_SHOWN = 60
_TYPES_COUNTED = 1000
_TYPE_LENGTH = 64
_DAYS_COUNTED = 80_000  # more than there are from 1900 to 2100
_DAYS_SHOWN, _MONTHS_SHOWN, _YEARS_SHOWN = 62, 120, 201
# What a manifest without a measured drift gets; see `_interval`.
_DRIFT = 0.1
_NORMAL_95 = 1.96

Vector = NDArray[np.float64]


class _Tally:
    """Rows, summed probability, predicted arrests, rows with an outcome and arrests, by name.

    Names beyond the limit are OTHER.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sums: dict[Hashable, NDArray[np.float64]] = {}

    def add(self, names: Sequence[Hashable], probabilities: Vector, outcomes: Vector) -> None:
        index: dict[Hashable, int] = {}
        places = np.array([index.setdefault(name, len(index)) for name in names], dtype=np.int64)
        known = ~np.isnan(outcomes)
        sums = np.column_stack(
            [
                np.bincount(places, weights, len(index))
                for weights in (
                    None,
                    probabilities,
                    probabilities > THRESHOLD,
                    known,
                    np.where(known, outcomes, 0),
                )
            ]
        )
        for name, place in index.items():
            counted = name if name in self._sums or len(self._sums) < self._limit else OTHER
            self._sums[counted] = self._sums.get(counted, 0) + sums[place]

    def groups(self, shown: int) -> dict[str, Group]:
        """The groups with most rows first; those beyond `shown` together as OTHER, at the end."""
        ordered = sorted(self._sums.items(), key=lambda entry: (entry[0] == OTHER, -entry[1][0], str(entry[0])))
        kept = {str(name): sums for name, sums in ordered[:shown]}
        for _, sums in ordered[shown:]:
            kept[OTHER] = kept.get(OTHER, 0) + sums
        return {name: _group(sums) for name, sums in kept.items()}

    def timeline(self) -> Timeline | None:
        """Names that are day ordinals, by day, month or year."""
        days = {date.fromordinal(name): sums for name, sums in self._sums.items() if isinstance(name, int)}
        if not days:
            return None
        months = {(day.year, day.month) for day in days}
        first, last = min(days), max(days)
        if (last - first).days < _DAYS_SHOWN:
            return _timeline("day", {day: day.isoformat() for day in days}, days)
        if len(months) <= _MONTHS_SHOWN:
            return _timeline("month", {day: f"{day:%Y-%m}" for day in days}, days)
        return _timeline("year", {day: f"{day:%Y}" for day in days}, days)

    def span(self) -> tuple[int, int] | None:
        """The first and the last name of those that are numbers."""
        numbers = [name for name in self._sums if isinstance(name, int)]
        return (min(numbers), max(numbers)) if numbers else None

    def rows_between(self, first: int, last: int) -> int:
        """Rows under names that are numbers from `first` to `last`."""
        return int(
            sum(sums[0] for name, sums in self._sums.items() if isinstance(name, int) and first <= name <= last)
        )


def _timeline(unit: str, names: dict[date, str], days: dict[date, NDArray[np.float64]]) -> Timeline:
    sums: dict[str, NDArray[np.float64]] = {}
    for day in sorted(days):
        sums[names[day]] = sums.get(names[day], 0) + days[day]
    shown = dict(list(sums.items())[-_YEARS_SHOWN:])
    return Timeline(unit, {name: _group(each) for name, each in shown.items()})  # type: ignore[arg-type]


def _group(sums: NDArray[np.float64]) -> Group:
    rows, total, predicted, outcome_rows, arrests = sums.tolist()
    return Group(
        rows=int(rows),
        mean_probability=round(total / rows, 6),
        predicted_arrests=int(predicted),
        expected_arrests=round(total, 3),
        outcome_rows=int(outcome_rows),
        actual_arrests=int(arrests) if outcome_rows else None,
    )


class SummaryBuilder:
    """Takes batches with their probabilities; `rows_…` may be read while it runs."""

    def __init__(self, checks: ColumnChecks) -> None:
        self.rows_read = 0
        self.rows_scored = 0
        self.skipped: Counter[str] = Counter()
        self._checks = checks
        self._sum = 0.0
        self._variance = 0.0
        self._arrests = 0
        self._midnight = 0
        self._date_only = 0
        self._risk = [0, 0, 0]
        self._steps = np.zeros(FINE_STEPS, dtype=np.int64)
        self._outcomes = OutcomeTally(FINE_STEPS)
        self._types = _Tally(_TYPES_COUNTED)
        self._hours = _Tally(25)
        self._weekdays = _Tally(7)
        self._areas = _Tally(78)
        self._days = _Tally(_DAYS_COUNTED)

    @property
    def rows_skipped(self) -> int:
        return self.skipped.total()

    def add(self, batch: Batch, probabilities: Vector) -> None:
        """`probabilities` are aligned with `batch.valid`."""
        self.rows_read += len(batch.rows)
        self.rows_scored += len(batch.valid)
        self.skipped.update(reason for reason in batch.reasons if reason)
        if not batch.valid:
            return
        outcomes = np.array(
            [FLAGS.get(text[:10].upper(), np.nan) for text in batch.columns["arrest"]], dtype=np.float64
        )
        self._add_probabilities(probabilities, outcomes)
        self._checks.add(batch.columns)
        minutes = [moment.minute for moment in batch.moments]
        self._midnight += minutes.count(0)
        self._date_only += minutes.count(NO_TIME)
        types = [text[:_TYPE_LENGTH].strip().upper() or UNKNOWN for text in batch.columns["primary_type"]]
        self._types.add(types, probabilities, outcomes)
        hours = [str(minute // 60) if minute != NO_TIME else UNKNOWN for minute in minutes]
        self._hours.add(hours, probabilities, outcomes)
        self._weekdays.add([str(moment.weekday) for moment in batch.moments], probabilities, outcomes)
        areas = [spelling.area(text) or UNKNOWN for text in batch.columns["community_area"]]
        self._areas.add(areas, probabilities, outcomes)
        self._days.add([moment.ordinal for moment in batch.moments], probabilities, outcomes)

    def _add_probabilities(self, probabilities: Vector, outcomes: Vector) -> None:
        self._sum += float(probabilities.sum())
        self._variance += float((probabilities * (1 - probabilities)).sum())
        self._arrests += int((probabilities > THRESHOLD).sum())
        high, above_low = int((probabilities > HIGH).sum()), int((probabilities > MEDIUM).sum())
        for place, rows in enumerate((high, above_low - high, len(probabilities) - above_low)):
            self._risk[place] += rows
        places = np.minimum((probabilities * FINE_STEPS).astype(int), FINE_STEPS - 1)
        self._steps += np.bincount(places, minlength=FINE_STEPS)
        self._outcomes.add(probabilities, outcomes)

    def build(self, manifest: Manifest, reader: IncidentReader, order: Order) -> Summary:
        """The summary of everything added; the reader must be at its end."""
        low, high = self._interval(manifest.metrics.get("rate_drift", _DRIFT))
        trained = [date.fromisoformat(text).toordinal() for text in (manifest.trained_from, manifest.trained_to)]
        span = self._days.span()
        found = reader.found
        moment = found.date_example_moment
        summary = Summary(
            rows_read=self.rows_read,
            rows_scored=self.rows_scored,
            rows_skipped=self.rows_skipped,
            skipped_reasons=dict(self.skipped.most_common()),
            predicted_arrests=self._arrests,
            expected_arrests=round(self._sum, 3),
            expected_low=low,
            expected_high=high,
            mean_probability=round(self._sum / self.rows_scored, 6) if self.rows_scored else 0.0,
            risk=Risk(*self._risk),
            probability_histogram=self._steps.reshape(HISTOGRAM_STEPS, -1).sum(axis=1).tolist(),
            rows_by_step=self._steps.tolist(),
            by_primary_type=self._types.groups(_TYPES_SHOWN),
            by_hour=self._hours.groups(25),
            by_weekday=self._weekdays.groups(7),
            by_community_area=self._areas.groups(78),
            timeline=self._days.timeline(),
            outcomes=self._outcomes.build(),
            midnight_rows=self._midnight,
            date_only_rows=self._date_only,
            first_day=date.fromordinal(span[0]).isoformat() if span else None,
            last_day=date.fromordinal(span[1]).isoformat() if span else None,
            columns=self._checks.build(reader.headings, self.skipped),
            reading=Reading(
                delimiter=reader.delimiter,
                date_order=order.name,
                date_order_reason=order.reason,
                date_example=found.date_example,
                date_read_as=describe(moment) if moment else "",
            ),
            problems=found.problems,
            trained_from=manifest.trained_from,
            trained_to=manifest.trained_to,
            training_overlap_rows=self._days.rows_between(*trained),
            model_version=manifest.version,
        )
        return notes_on(summary, found)

    def _interval(self, drift: float) -> tuple[float, float]:
        """Where the number of arrests lies with about 95 % probability.

        Two things move it: chance (each incident ends in an arrest or not), and how far the arrest rate of a
        period lies from what earlier ones taught, which was measured on the held-out weeks.
        """
        deviation = (self._variance + (drift * self._sum) ** 2) ** 0.5
        low, high = self._sum - _NORMAL_95 * deviation, self._sum + _NORMAL_95 * deviation
        return round(max(low, 0.0), 3), round(min(high, float(self.rows_scored)), 3)
