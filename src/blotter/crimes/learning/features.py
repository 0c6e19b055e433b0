"""From a batch of incidents to the model's numbers, the same in training and in scoring.

Three sorts of features: the time (hour, weekday, round minutes: officers write the exact minute of what
they saw, victims guess), the row itself (type, domestic, area, position in the street grid), and how often
incidents like this one led to an arrest in the training period (target statistics by type, description, place and
their pairs). What a row lacks, or has in an unknown form, is NaN, never a guess; the model has
seen such rows in training.
An `Encoder` is data (JSON): vocabularies and counts of the training period, nothing of the file being scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from blotter.crimes.reading import spelling
from blotter.crimes.reading.dates import NO_TIME, Moment

Matrix = NDArray[np.float64]
Values = Mapping[str, Sequence[str]]

# statistic → the columns whose values together are its key
STATISTICS: dict[str, tuple[str, ...]] = {
    "type": ("primary_type",),
    "description": ("primary_type", "description"),
    "description_alone": ("description",),
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
# category → the columns whose values together have a code that goes to the model
CATEGORIES: dict[str, tuple[str, ...]] = {
    "primary_type": ("primary_type",),
    "description_key": ("primary_type", "description"),
    "location_description": ("location_description",),
}
# weight of the overall rate in a key's rate, in rows
SMOOTHING = 10.0
# keys with fewer training rows than this are not kept
MINIMUM_ROWS = 3
_SEPARATOR = "\t"

_WORDED = ("primary_type", "description", "location_description")


class _Clock(NamedTuple):
    """Moments as arrays; see `Moment`. `minute` is NaN where the time is not known."""

    minute: NDArray[np.float64]
    weekday: NDArray[np.int64]
    day: NDArray[np.int64]


def _when(clock: _Clock, holds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where it holds, 0 where not, NaN where the time is not known."""
    return np.where(np.isnan(clock.minute), _NAN, holds.astype(np.float64))


_NAN = float("nan")
_CLOCK: dict[str, Callable[[_Clock], NDArray[Any]]] = {
    "hour": lambda clock: clock.minute // 60,
    "weekday": lambda clock: clock.weekday,
    "day": lambda clock: clock.day,
    "minute_of_day": lambda clock: clock.minute,
    "minute": lambda clock: clock.minute % 60,
    "full_hour": lambda clock: _when(clock, clock.minute % 60 == 0),
    "five_minutes": lambda clock: _when(clock, clock.minute % 5 == 0),
    "quarter_hour": lambda clock: _when(clock, clock.minute % 15 == 0),
    "midnight": lambda clock: _when(clock, clock.minute == 0),
    "first_of_month": lambda clock: clock.day == 1,
}
FLAGS = dict.fromkeys(("TRUE", "T", "1", "1.0", "YES", "Y"), 1.0) | dict.fromkeys(
    ("FALSE", "F", "0", "0.0", "NO", "N"), 0.0
)
_AREAS = {str(number): float(number) for number in range(1, 78)}
_HEADINGS = {"N": 0.0, "E": 1.0, "S": 2.0, "W": 3.0}

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
    """The model's columns in one spelling, with `street` made from the block."""
    values = {name: [spelling.spelled(name, text) for text in columns[name]] for name in _WORDED}
    values |= {name: list(map(spelling.plain, columns[name])) for name in ("block", "domestic")}
    values["community_area"] = list(map(spelling.area, columns["community_area"]))
    return derive(values)


def derive(values: dict[str, list[str]]) -> dict[str, list[str]]:
    """Cleaned columns with the one that is made from another (again, after some were blanked)."""
    return {**values, "street": [block.partition(" ")[2] for block in values["block"]]}


def keys_of(values: Values, columns: tuple[str, ...]) -> list[str]:
    """One key a row from several columns, as training counts them; "" when any of them is unknown."""
    if len(columns) == 1:
        return list(values[columns[0]])
    parts = zip(*(values[column] for column in columns), strict=True)
    return [_SEPARATOR.join(row) if all(row) else "" for row in parts]


def row_features(values: Values, moments: Sequence[Moment]) -> Matrix:
    """The features that need no statistics: float64, one row an incident."""
    clock = _Clock(
        _minutes(moments),
        np.array([moment.weekday for moment in moments], dtype=np.int64),
        np.array([moment.day for moment in moments], dtype=np.int64),
    )
    return np.column_stack(
        [
            *(read(clock).astype(np.float64) for read in _CLOCK.values()),
            _found(FLAGS, values["domestic"]),
            _found(_AREAS, values["community_area"]),
            np.array(list(map(_hundred, values["block"])), dtype=np.float64),
            _found(_HEADINGS, [street[:1] for street in values["street"]]),
        ]
    )


def _minutes(moments: Sequence[Moment]) -> NDArray[np.float64]:
    minutes = np.array([moment.minute for moment in moments], dtype=np.float64)
    minutes[minutes == NO_TIME] = _NAN
    return minutes


class Lookup:
    """An encoder made ready for many rows: every key's rate, count and code in a dictionary of its own.

    A key of several columns is a tuple here, because `zip` makes tuples for nothing; a key with an unknown part is
    in no dictionary.
    """

    def __init__(self, encoder: Encoder) -> None:
        known = {
            name: {_split(key, columns): entry for key, entry in encoder.statistics[name].items()}
            for name, columns in STATISTICS.items()
        }
        self._rates = {
            name: {key: _rate(entry, encoder.rate) for key, entry in entries.items()}
            for name, entries in known.items()
        }
        self._rows = {name: {key: float(rows) for key, (_, rows) in known[name].items()} for name in COUNTED}
        self._known: dict[str, Mapping[Any, float]] = {
            "primary_type": self._rates["type"],
            "description": self._rates["description_alone"],
            "location_description": self._rates["place"],
            "domestic": FLAGS,
            "arrest": FLAGS,
            "community_area": _AREAS,
        }
        self._codes = {
            name: {_split(key, columns): float(code) for code, key in enumerate(encoder.vocabularies[name])}
            for name, columns in CATEGORIES.items()
        }

    def matrix(self, values: Values, moments: Sequence[Moment]) -> Matrix:
        """The whole matrix for rows outside the training period."""
        rates = [_found(known, _keys(values, STATISTICS[name])) for name, known in self._rates.items()]
        rows = [_found(known, _keys(values, STATISTICS[name])) for name, known in self._rows.items()]
        return np.column_stack([row_features(values, moments), *rates, *rows, self.codes(values)])

    def knows(self, name: str, text: str) -> bool:
        """Whether a cleaned value of a column is one that the training period had, or that can be read."""
        if name == "block":
            return text in self._rates["block"] or text.partition(" ")[2] in self._rates["street"]
        return text in self._known[name]

    def codes(self, values: Values) -> Matrix:
        """The categories' columns alone; they are the same inside the training period."""
        return np.column_stack(
            [_found(known, _keys(values, CATEGORIES[name])) for name, known in self._codes.items()]
        )


Key = str | tuple[str, ...]


def _keys(values: Values, columns: tuple[str, ...]) -> Iterable[Key]:
    return values[columns[0]] if len(columns) == 1 else zip(*(values[column] for column in columns), strict=True)


def _split(key: str, columns: tuple[str, ...]) -> Key:
    return key if len(columns) == 1 else tuple(key.split(_SEPARATOR))


def _found(known: Mapping[Any, float], keys: Iterable[Key]) -> NDArray[np.float64]:
    """What is known of each key, NaN where nothing is."""
    find = known.get
    return np.array([find(key, _NAN) for key in keys], dtype=np.float64)


def calibrated(encoder: Encoder, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The trees' probabilities after the encoder's calibration; ranks stay."""
    slope, intercept = encoder.calibration
    odds = np.log(probabilities / (1 - probabilities))
    return np.asarray(1 / (1 + np.exp(-(slope * odds + intercept))), dtype=np.float64)


def vocabulary(texts: Sequence[str]) -> list[str]:
    """Values that occur often enough, the most frequent first, ties by name."""
    counted = Counter(text for text in texts if text)
    return [text for text, rows in sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])) if rows >= 20]


def _rate(entry: tuple[int, int], overall: float) -> float:
    return (entry[0] + SMOOTHING * overall) / (entry[1] + SMOOTHING)


@lru_cache(maxsize=50_000)
def _hundred(block: str) -> float:
    """The house-number hundred of a block: 26 for "026XX S KEDVALE AVE"."""
    number = block.partition("XX")[0]
    return float(number) if number.isascii() and number.isdigit() and len(number) < 6 else _NAN
