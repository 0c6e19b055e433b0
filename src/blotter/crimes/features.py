"""From a batch of incidents to the model's numbers, the same in training and in scoring.

Three sorts of features: what the clock says (hour, weekday, round minutes: officers write the exact minute of what
they saw, victims guess), what the row says (type, domestic, area, position in the street grid), and how often
incidents like this one led to an arrest in the training period (target statistics by type, description, place and
their pairs). What a row does not say is NaN, never a guess; the model has seen such rows in training.
An `Encoder` is data (JSON): vocabularies and counts of the training period, nothing of the file being scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from blotter.crimes.dates import Moment

Matrix = NDArray[np.float64]
Values = Mapping[str, Sequence[str]]

# statistic → the columns whose values together are its key
STATISTICS: dict[str, tuple[str, ...]] = {
    "type": ("primary_type",),
    "description": ("primary_type", "description"),
    "place": ("location_description",),
    "area": ("community_area",),
    "block": ("block",),
    "street": ("street",),
    "description_place": ("primary_type", "description", "location_description"),
    "description_area": ("primary_type", "description", "community_area"),
    "type_block": ("primary_type", "block"),
}
# statistic → also give the model how many training rows the key had
COUNTED = ("block", "street", "type_block")
# columns whose codes go to the model as categories
CATEGORIES = ("primary_type", "description_key", "location_description")
# weight of the overall rate in a key's rate, in rows
SMOOTHING = 10.0
# keys with fewer training rows than this are not kept
MINIMUM_ROWS = 3
_SEPARATOR = "\t"

_CLOCK: dict[str, Callable[[Moment], float]] = {
    "hour": lambda moment: moment.minute // 60,
    "weekday": lambda moment: moment.weekday,
    "day": lambda moment: moment.day,
    "minute_of_day": lambda moment: moment.minute,
    "minute": lambda moment: moment.minute % 60,
    "full_hour": lambda moment: moment.minute % 60 == 0,
    "five_minutes": lambda moment: moment.minute % 5 == 0,
    "quarter_hour": lambda moment: moment.minute % 15 == 0,
    "midnight": lambda moment: moment.minute == 0,
    "first_of_month": lambda moment: moment.day == 1,
}
FLAGS = dict.fromkeys(("TRUE", "T", "1", "YES", "Y"), 1.0) | dict.fromkeys(("FALSE", "F", "0", "NO", "N"), 0.0)
_HEADINGS = {"N": 0.0, "E": 1.0, "S": 2.0, "W": 3.0}
_NAN = float("nan")
# Spellings are remembered, since columns repeat them; both limits bound the memory on hostile input.
_REMEMBERED = 50_000
_LONGEST = 120


Counts = dict[str, tuple[int, int]]
"""Key → (arrests, rows) of the training period."""


class Encoder(msgspec.Struct, frozen=True):
    """Everything the model needs of the training period besides its trees."""

    rate: float
    """Arrests per row over the whole training period."""
    statistics: dict[str, Counts]
    vocabularies: dict[str, list[str]]
    """Category → its values, the most frequent first; a value's place is its code."""
    calibration: tuple[float, float] = (1.0, 0.0)
    """Slope and intercept on the log-odds of the trees' probabilities."""


def feature_names() -> list[str]:
    """The matrix's columns in order."""
    return [
        *_CLOCK,
        "domestic",
        "community_area",
        "house_hundred",
        "heading",
        *(f"rate_{name}" for name in STATISTICS),
        *(f"rows_{name}" for name in COUNTED),
        *(f"code_{name}" for name in CATEGORIES),
    ]


def clean(columns: Values) -> dict[str, list[str]]:
    """The raw columns in one spelling, with `street` and `description_key` made from them."""
    values = {name: list(map(_spelled, texts)) for name, texts in columns.items()}
    values["community_area"] = list(map(area, columns["community_area"]))
    return derive(values)


def derive(values: dict[str, list[str]]) -> dict[str, list[str]]:
    """Cleaned columns with those that are made from others (again, after some were blanked)."""
    street = [block.partition(" ")[2] for block in values["block"]]
    return {**values, "street": street, "description_key": keys_of(values, STATISTICS["description"])}


def keys_of(values: Values, columns: tuple[str, ...]) -> list[str]:
    """One key a row from several columns; "" when any of them is unknown."""
    if len(columns) == 1:
        return list(values[columns[0]])
    parts = zip(*(values[column] for column in columns), strict=True)
    return [_SEPARATOR.join(row) if all(row) else "" for row in parts]


def row_features(values: Values, moments: Sequence[Moment]) -> Matrix:
    """The features that need no statistics: float64, one row an incident."""
    columns = [[read(moment) for moment in moments] for read in _CLOCK.values()]
    columns.append([FLAGS.get(text, _NAN) for text in values["domestic"]])
    columns.append([float(text) if text else _NAN for text in values["community_area"]])
    columns.append([_hundred(block) for block in values["block"]])
    columns.append([_HEADINGS.get(street[:1], _NAN) for street in values["street"]])
    return np.array(columns, dtype=np.float64).T


def encode(encoder: Encoder, values: Values, moments: Sequence[Moment]) -> Matrix:
    """The whole matrix for rows outside the training period."""
    parts = [row_features(values, moments)]
    counts: list[Matrix] = []
    for name, columns in STATISTICS.items():
        known = encoder.statistics[name]
        found = [known.get(key) for key in keys_of(values, columns)]
        parts.append(_column([_rate(entry, encoder.rate) for entry in found]))
        if name in COUNTED:
            counts.append(_column([_NAN if entry is None else entry[1] for entry in found]))
    return np.hstack([*parts, *counts, codes(encoder.vocabularies, values)])


def calibrated(encoder: Encoder, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The trees' probabilities after the encoder's calibration; ranks stay."""
    slope, intercept = encoder.calibration
    odds = np.log(probabilities / (1 - probabilities))
    return np.asarray(1 / (1 + np.exp(-(slope * odds + intercept))), dtype=np.float64)


def codes(vocabularies: Mapping[str, Sequence[str]], values: Values) -> Matrix:
    columns = []
    for name in CATEGORIES:
        places = {text: float(place) for place, text in enumerate(vocabularies[name])}
        columns.append(_column([places.get(text, _NAN) for text in values[name]]))
    return np.hstack(columns)


def vocabulary(texts: Sequence[str]) -> list[str]:
    """Values that occur often enough, the most frequent first, ties by name."""
    counted = Counter(text for text in texts if text)
    return [text for text, rows in sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])) if rows >= 20]


def _rate(entry: tuple[int, int] | None, overall: float) -> float:
    return _NAN if entry is None else (entry[0] + SMOOTHING * overall) / (entry[1] + SMOOTHING)


def _column(values: Sequence[float]) -> Matrix:
    return np.array(values, dtype=np.float64)[:, None]


@lru_cache(maxsize=_REMEMBERED)
def _spelled(text: str) -> str:
    """Upper case, single spaces."""
    return " ".join(text[:_LONGEST].upper().split())


@lru_cache(maxsize=_REMEMBERED)
def area(text: str) -> str:
    """A community area as "1".."77" ("8.0" is what a table program makes of 8), else ""."""
    try:
        number = float(text[:_LONGEST])
    except ValueError:
        return ""
    return str(int(number)) if number.is_integer() and 1 <= number <= 77 else ""


@lru_cache(maxsize=_REMEMBERED)
def _hundred(block: str) -> float:
    """The house-number hundred of a block: 26 for "026XX S KEDVALE AVE"."""
    number = block.partition("XX")[0]
    return float(number) if number.isascii() and number.isdigit() and len(number) < 6 else _NAN
