"""How usable the model's columns are in a file: blank, unknown and renamed values, counted while it is scored.

A value that the model does not know has no influence on the prediction, so the result must show how many there
are. Distinct values are checked once for each batch; only counts and a few examples are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from blotter.crimes.item import ColumnCheck
from blotter.crimes.reading import spelling
from blotter.crimes.reading.reader import COLUMNS, shown

_EXAMPLES = 5
_WORDED = ("primary_type", "description", "location_description")


class ColumnChecks:
    """Counts by column. `knows(column, value)` is whether the model knows a cleaned value."""

    def __init__(self, knows: Callable[[str, str], bool]) -> None:
        self._knows = knows
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: dict[str, list[str]] = {name: [] for name in COLUMNS}

    def add(self, columns: Mapping[str, Sequence[str]]) -> None:
        """The columns of the rows that can be scored; dates are checked by the reader."""
        for name, texts in columns.items():
            if name == "date":
                continue
            for text, rows in Counter(texts).items():
                if not text:
                    self._counts[name, "blank"] += rows
                elif not self._knows(name, _cleaned(name, text)):
                    self._counts[name, "unknown"] += rows
                    self._keep(name, shown(text))
                elif spelling.is_renamed(name, text):
                    self._counts[name, "renamed"] += rows

    def _keep(self, name: str, example: str) -> None:
        examples = self._examples[name]
        if len(examples) < _EXAMPLES and example not in examples:
            examples.append(example)

    def build(self, headings: Mapping[str, str], skipped: Mapping[str, int]) -> dict[str, ColumnCheck]:
        """The counts; `headings` has the columns of the file, `skipped` the rows without a usable date."""
        dates = {
            ("date", "blank"): skipped.get("MISSING_DATE", 0),
            ("date", "unknown"): skipped.get("BAD_DATE", 0),
        }
        counts = self._counts | Counter(dates)
        return {
            name: ColumnCheck(
                heading=shown(headings[name]),
                blank=counts[name, "blank"],
                unknown=counts[name, "unknown"],
                renamed=counts[name, "renamed"],
                examples=self._examples[name],
            )
            if name in headings
            else ColumnCheck()
            for name in COLUMNS
        }


def _cleaned(name: str, text: str) -> str:
    if name in _WORDED:
        return spelling.spelled(name, text)
    return spelling.area(text) if name == "community_area" else spelling.plain(text)
