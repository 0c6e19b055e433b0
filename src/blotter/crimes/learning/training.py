"""Training: from a file of incidents with known arrests to an encoder and a LightGBM model, the same every time.

Honest by construction: statistics, vocabularies, trees and calibration see the training period only; a training
row's statistics come from the other days (out of fold), so that no row sees its own arrest; the last months are
held out and touched once, to report. A third of the rows is seen a second time with columns blanked, the crime
type and the time of day among them, so that the model knows what to do with a file that lacks them and with values
it has never seen: what is left of the base rate.
Deterministic: fixed seeds, row order and thread count; no clock goes into the artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray

from blotter.crimes.learning import features
from blotter.crimes.learning.features import Counts, Encoder, Matrix
from blotter.crimes.reading.dates import NO_TIME, Moment
from blotter.crimes.reading.reader import IncidentReader, find_order

THREADS = 2
ROUNDS = 200
FOLDS = 5
CALIBRATION_ARRESTS = 200  # with fewer arrests in either part there is nothing to measure
SEED = 2022
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.04,
    "num_leaves": 31,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 50.0,
    "cat_l2": 50.0,
    "max_bin": 255,
    "seed": SEED,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbose": -1,
}
BLANKABLE = ("block", "primary_type", "description", "location_description", "domestic", "community_area")
_COPIED = 0.33

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Incidents(msgspec.Struct, frozen=True):
    """Incidents with known outcome: cleaned columns, moments and labels (1.0 is an arrest), aligned."""

    values: dict[str, list[str]]
    moments: list[Moment]
    labels: Vector

    def where(self, mask: Mask) -> Incidents:
        places = np.flatnonzero(mask).tolist()
        return Incidents(
            {name: [texts[place] for place in places] for name, texts in self.values.items()},
            [self.moments[place] for place in places],
            self.labels[mask],
        )

    @property
    def days(self) -> NDArray[np.int64]:
        return np.array([moment.ordinal for moment in self.moments], dtype=np.int64)


def read_incidents(open_chunks: Callable[[], Iterable[bytes]], *, max_bytes: int, max_line: int) -> Incidents:
    """Reads a file with an Arrest column; rows without a readable one are left out. Raises FileRefused.

    `open_chunks` is called twice: the order of the dates is found first.
    """
    order = find_order(open_chunks(), max_bytes=max_bytes, max_line=max_line)
    reader = IncidentReader(
        open_chunks(),
        max_bytes=max_bytes,
        max_line=max_line,
        order=order,
        required=("date", "primary_type", "arrest"),
    )
    columns: dict[str, list[str]] = {}
    moments: list[Moment] = []
    for batch in reader:
        for name, texts in batch.columns.items():
            columns.setdefault(name, []).extend(texts)
        moments += batch.moments
    labels = np.array([features.FLAGS.get(text.upper(), np.nan) for text in columns.get("arrest", [])])
    if not moments:
        return Incidents({}, [], labels)
    return Incidents(features.clean(columns), moments, labels).where(~np.isnan(labels))


def holdout_start(incidents: Incidents) -> date:
    """The first day of the month before the last one: the file's last two calendar months are held out."""
    last = date.fromordinal(int(incidents.days.max()))
    return date(last.year, last.month - 1, 1) if last.month > 1 else date(last.year - 1, 12, 1)


def without(incidents: Incidents, names: Sequence[str]) -> Incidents:
    """The incidents with columns blanked; `time` stands for the time of day."""
    blank = [""] * len(incidents.moments)
    values = features.derive({**incidents.values, **{name: blank for name in names if name != "time"}})
    moments = incidents.moments
    if "time" in names:
        moments = [moment._replace(minute=NO_TIME) for moment in moments]
    return Incidents(values, moments, incidents.labels)


def split(incidents: Incidents, start: date) -> tuple[Incidents, Incidents]:
    """(training, held out): before `start`, and from it on."""
    held_out = incidents.days >= start.toordinal()
    return incidents.where(~held_out), incidents.where(held_out)


def fit(training: Incidents) -> tuple[Encoder, lightgbm.Booster]:
    """Fits trees, encoder and calibration on exactly these incidents.

    Arrests are recorded late, so rates fall toward a file's end and a model is a little too sure of the future.
    How much is measured inside the training period: a first model of its earlier months is calibrated on its last
    two, and the final model, of all months, takes over that correction.
    """
    earlier, later = split(training, holdout_start(training))
    if min(earlier.labels.sum(), later.labels.sum()) < CALIBRATION_ARRESTS:
        return _fit_uncalibrated(training)
    first, trees = _fit_uncalibrated(earlier)
    correction = fit_calibration(later.labels, predict(first, trees, later))
    encoder, trees = _fit_uncalibrated(training)
    return msgspec.structs.replace(encoder, calibration=correction), trees


def predict(encoder: Encoder, trees: lightgbm.Booster, incidents: Incidents) -> Vector:
    """The probabilities for incidents outside the training period."""
    matrix = features.Lookup(encoder).matrix(incidents.values, incidents.moments)
    return features.calibrated(encoder, np.asarray(trees.predict(matrix, num_threads=THREADS), dtype=np.float64))


def fit_calibration(labels: Vector, probabilities: Vector) -> tuple[float, float]:
    """Slope and intercept of a logistic regression on the log-odds, by Newton's method."""
    inputs = np.column_stack([np.log(probabilities / (1 - probabilities)), np.ones(len(labels))])
    weights = np.array([1.0, 0.0])
    for _ in range(25):
        fitted = 1 / (1 + np.exp(-inputs @ weights))
        curvature = inputs.T @ (inputs * (fitted * (1 - fitted))[:, None])
        weights = weights + np.linalg.solve(curvature, inputs.T @ (labels - fitted))
    return round(float(weights[0]), 6), round(float(weights[1]), 6)


def _fit_uncalibrated(training: Incidents) -> tuple[Encoder, lightgbm.Booster]:
    encoder = fit_encoder(training)
    blanked = _blanked(training)
    together = Incidents(
        {name: texts + blanked.values[name] for name, texts in training.values.items()},
        training.moments + blanked.moments,
        np.concatenate([training.labels, blanked.labels]),
    )
    matrix = _out_of_fold_matrix(encoder, together, own=len(training.moments))
    names = features.feature_names()
    data = lightgbm.Dataset(
        matrix,
        together.labels,
        feature_name=names,
        categorical_feature=[name for name in names if name.startswith("code_")],
        params={"max_bin": PARAMETERS["max_bin"], "verbose": -1, "num_threads": THREADS},
    )
    return encoder, lightgbm.train(PARAMETERS, data, ROUNDS)


def fit_encoder(training: Incidents) -> Encoder:
    statistics = {
        name: _counts(features.keys_of(training.values, columns), training.labels)
        for name, columns in features.STATISTICS.items()
    }
    vocabularies = {
        name: features.vocabulary(features.keys_of(training.values, columns))
        for name, columns in features.CATEGORIES.items()
    }
    return Encoder(float(training.labels.mean()), statistics, vocabularies)


def _counts(keys: Sequence[str], labels: Vector) -> Counts:
    counted: dict[str, list[int]] = {}
    for key, label in zip(keys, labels.tolist(), strict=True):
        if key:
            entry = counted.setdefault(key, [0, 0])
            entry[0] += int(label)
            entry[1] += 1
    return {
        key: (arrests, rows) for key, (arrests, rows) in sorted(counted.items()) if rows >= features.MINIMUM_ROWS
    }


def _blanked(training: Incidents) -> Incidents:
    """A third of the rows again; in each, columns are blanked at a rate of its own, from nearly none to all."""
    generator = np.random.default_rng(SEED)
    chosen = training.where(generator.random(len(training.moments)) < _COPIED)
    rates = generator.random(len(chosen.moments)) * 1.1
    values = dict(chosen.values)
    for name in BLANKABLE:
        blank = generator.random(len(chosen.moments)) < rates
        values[name] = ["" if hide else text for text, hide in zip(values[name], blank.tolist(), strict=True)]
    no_time = generator.random(len(chosen.moments)) < rates / 2
    moments = [
        moment._replace(minute=NO_TIME) if hide else moment
        for moment, hide in zip(chosen.moments, no_time.tolist(), strict=True)
    ]
    return Incidents(features.derive(values), moments, chosen.labels)


def _out_of_fold_matrix(encoder: Encoder, incidents: Incidents, own: int) -> Matrix:
    """The matrix of training rows: each row's statistics are those of the folds it is not in.

    Only the first `own` rows count: those after them are copies. A fold is a set of days, so that incidents
    reported together never see each other.
    """
    folds = (incidents.days * 2654435761 >> 8) % FOLDS
    rates, rows = [], []
    for name, columns in features.STATISTICS.items():
        keys = features.keys_of(incidents.values, columns)
        rate, count = _out_of_fold(keys, incidents.labels, folds, own)
        rates.append(rate)
        if name in features.COUNTED:
            rows.append(count)
    plain = features.row_features(incidents.values, incidents.moments)
    return np.hstack([plain, np.column_stack(rates + rows), features.Lookup(encoder).codes(incidents.values)])


def _out_of_fold(keys: Sequence[str], labels: Vector, folds: NDArray[np.int64], own: int) -> tuple[Vector, Vector]:
    """Rate and row count of each row's key in the other folds; NaN where they have too few rows."""
    unique, inverse = np.unique(np.array(keys, dtype=object).astype(str), return_inverse=True)
    size = len(unique)
    rate, count = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    counting = np.arange(len(keys)) < own
    for fold in range(FOLDS):
        others = counting & (folds != fold)
        arrests = np.bincount(inverse[others], labels[others], size)
        rows = np.bincount(inverse[others], None, size)
        overall = labels[others].mean() if others.any() else labels[:own].mean()
        smoothed = (arrests + features.SMOOTHING * overall) / (rows + features.SMOOTHING)
        known = (rows >= features.MINIMUM_ROWS) & (unique != "")
        inside = inverse[folds == fold]
        rate[folds == fold] = np.where(known, smoothed, np.nan)[inside]
        count[folds == fold] = np.where(known, rows, np.nan)[inside]
    return rate, count
