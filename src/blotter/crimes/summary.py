"""The summary of a file while it is scored: counts by risk, probability, type, hour, weekday and area.

Everything is bounded whatever the file says, because the summary becomes one DynamoDB item (400 KB) and a file may
name a million crime types: known dimensions have fixed sizes, primary types are capped twice (while counting and
when the summary is made), the rest is OTHER. Knows no files and no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from blotter.crimes import features
from blotter.crimes.item import Group, Risk, Summary
from blotter.crimes.model import THRESHOLD
from blotter.crimes.reader import Batch

HIGH, MEDIUM = 0.7, 0.3
HISTOGRAM_STEPS = 20
OTHER = "OTHER"
UNKNOWN = "unknown"
_TYPES_SHOWN = 60
_TYPES_COUNTED = 1000
_TYPE_LENGTH = 64

Vector = NDArray[np.float64]


class _Tally:
    """Rows, summed probability and predicted arrests by name; names beyond the limit are OTHER."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sums: dict[str, list[float]] = {}

    def add(self, names: Sequence[str], probabilities: Vector) -> None:
        unique, places = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
        rows = np.bincount(places, minlength=len(unique))
        sums = np.bincount(places, probabilities, len(unique))
        arrests = np.bincount(places, probabilities > THRESHOLD, len(unique))
        for place, name in enumerate(unique.tolist()):
            known = name if name in self._sums or len(self._sums) < self._limit else OTHER
            entry = self._sums.setdefault(known, [0, 0.0, 0])
            entry[0] += int(rows[place])
            entry[1] += float(sums[place])
            entry[2] += int(arrests[place])

    def groups(self, shown: int) -> dict[str, Group]:
        """The groups with most rows first; those beyond `shown` together as OTHER, at the end."""
        ordered = sorted(self._sums.items(), key=lambda entry: (entry[0] == OTHER, -entry[1][0], entry[0]))
        kept = dict(ordered[:shown])
        for _, (rows, total, arrests) in ordered[shown:]:
            entry = kept.setdefault(OTHER, [0, 0.0, 0])
            kept[OTHER] = [entry[0] + rows, entry[1] + total, entry[2] + arrests]
        return {
            name: Group(int(rows), round(total / rows, 6), int(arrests))
            for name, (rows, total, arrests) in kept.items()
        }


class SummaryBuilder:
    """Takes batches with their probabilities; `rows_…` may be read while it runs."""

    def __init__(self) -> None:
        self.rows_read = 0
        self.rows_scored = 0
        self.skipped: Counter[str] = Counter()
        self._sum = 0.0
        self._arrests = 0
        self._risk = [0, 0, 0]
        self._histogram = np.zeros(HISTOGRAM_STEPS, dtype=np.int64)
        self._types = _Tally(_TYPES_COUNTED)
        self._hours = _Tally(24)
        self._weekdays = _Tally(7)
        self._areas = _Tally(78)

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
        self._sum += float(probabilities.sum())
        self._arrests += int((probabilities > THRESHOLD).sum())
        high, above_low = int((probabilities > HIGH).sum()), int((probabilities > MEDIUM).sum())
        for place, rows in enumerate((high, above_low - high, len(probabilities) - above_low)):
            self._risk[place] += rows
        places = np.minimum((probabilities * HISTOGRAM_STEPS).astype(int), HISTOGRAM_STEPS - 1)
        self._histogram += np.bincount(places, minlength=HISTOGRAM_STEPS)
        types = [text[:_TYPE_LENGTH].strip().upper() or UNKNOWN for text in batch.columns["primary_type"]]
        self._types.add(types, probabilities)
        self._hours.add([str(moment.minute // 60) for moment in batch.moments], probabilities)
        self._weekdays.add([str(moment.weekday) for moment in batch.moments], probabilities)
        areas = [features.area(text) or UNKNOWN for text in batch.columns["community_area"]]
        self._areas.add(areas, probabilities)

    def build(self, model_version: str) -> Summary:
        return Summary(
            rows_read=self.rows_read,
            rows_scored=self.rows_scored,
            rows_skipped=self.rows_skipped,
            skipped_reasons=dict(self.skipped.most_common()),
            predicted_arrests=self._arrests,
            mean_probability=round(self._sum / self.rows_scored, 6) if self.rows_scored else 0.0,
            risk=Risk(*self._risk),
            probability_histogram=self._histogram.tolist(),
            by_primary_type=self._types.groups(_TYPES_SHOWN),
            by_hour=self._hours.groups(24),
            by_weekday=self._weekdays.groups(7),
            by_community_area=self._areas.groups(78),
            model_version=model_version,
        )
