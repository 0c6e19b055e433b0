"""How good the model is on the held-out months: the figures of the model card, computed by plain definitions.

Rank-based ROC AUC with ties, average precision (PR AUC), Brier score, calibration in equal-width bins with the
expected calibration error, the same by group, and how far the rates of single weeks lie from what was predicted.
Takes labels and probabilities, independent of files and models.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Bin(msgspec.Struct, frozen=True):
    """Rows whose probability lies in [low, high): how many, what was predicted, what happened."""

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


class GroupError(msgspec.Struct, frozen=True):
    """One group's rows: rates predicted and observed, Brier score; `roc_auc` None with one class only."""

    name: str
    rows: int
    predicted: float
    observed: float
    brier: float
    roc_auc: float | None


class Evaluation(msgspec.Struct, frozen=True):
    metrics: dict[str, float]
    bins: list[Bin]
    by_area: list[GroupError]
    by_type: list[GroupError]


def evaluate(
    labels: Vector, probabilities: Vector, areas: Sequence[str], types: Sequence[str], days: NDArray[np.int64]
) -> Evaluation:
    """All figures of one held-out set; `days` are day ordinals."""
    bins = calibration_bins(labels, probabilities)
    by_area, by_type = by_group(labels, probabilities, areas), by_group(labels, probabilities, types)
    metrics = {
        "roc_auc": roc_auc(labels, probabilities),
        "pr_auc": average_precision(labels, probabilities),
        "brier": brier(labels, probabilities),
        "brier_of_base_rate": brier(labels, np.full(len(labels), labels.mean())),
        "calibration_error": _mean_distance(bins),
        "calibration_error_by_type": _mean_distance(by_type),
        "calibration_error_by_area": _mean_distance(by_area),
        "rate_drift": rate_drift(labels, probabilities, days),
        "observed_rate": float(labels.mean()),
        "predicted_rate": float(probabilities.mean()),
    }
    return Evaluation(
        {name: round(float(value), 5) for name, value in metrics.items()},
        bins,
        by_area,
        by_type,
    )


def _mean_distance(parts: Sequence[Bin] | Sequence[GroupError]) -> float:
    """Distance of predicted and observed rate, weighted by rows."""
    return sum(part.rows * abs(part.predicted - part.observed) for part in parts) / sum(
        part.rows for part in parts
    )


def rate_drift(labels: Vector, probabilities: Vector, days: NDArray[np.int64]) -> float:
    """How far predicted arrests of a week lie from the recorded ones, relative, without what chance explains.

    The root mean square over the weeks with 20 arrests and more; 0.0 when there are none.
    """
    squares = []
    for week in np.unique(days // 7):
        inside = days // 7 == week
        recorded = float(labels[inside].sum())
        if recorded >= 20:
            chance = float((probabilities[inside] * (1 - probabilities[inside])).sum())
            squares.append(((float(probabilities[inside].sum()) - recorded) ** 2 - chance) / recorded**2)
    return max(sum(squares) / len(squares), 0.0) ** 0.5 if squares else 0.0


def roc_auc(labels: Vector, scores: Vector) -> float:
    """The probability that a row with arrest scores above one without; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = float(labels.sum())
    negative = len(labels) - positive
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(labels: Vector, scores: Vector) -> float:
    """Precision at each distinct score, weighted by the recall it adds."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(labels[order])
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    precision = hits[ends] / (ends + 1)
    return float((np.diff(np.append(0.0, hits[ends])) * precision).sum() / labels.sum())


def brier(labels: Vector, probabilities: Vector) -> float:
    return float(((probabilities - labels) ** 2).mean())


def calibration_bins(labels: Vector, probabilities: Vector, count: int = 10) -> list[Bin]:
    """Equal-width bins; those without rows are left out."""
    places = np.minimum((probabilities * count).astype(int), count - 1)
    return [
        Bin(
            place / count,
            (place + 1) / count,
            int(inside.sum()),
            float(probabilities[inside].mean()),
            float(labels[inside].mean()),
        )
        for place in range(count)
        if (inside := places == place).any()
    ]


def by_group(labels: Vector, probabilities: Vector, names: Sequence[str]) -> list[GroupError]:
    """The error of each group, the largest group first."""
    named = np.array(names, dtype=object).astype(str)
    groups = []
    for name in np.unique(named):
        inside = named == name
        own_labels, own = labels[inside], probabilities[inside]
        both = 0 < own_labels.sum() < len(own_labels)
        groups.append(
            GroupError(
                str(name) or "unknown",
                int(inside.sum()),
                float(own.mean()),
                float(own_labels.mean()),
                brier(own_labels, own),
                roc_auc(own_labels, own) if both else None,
            )
        )
    return sorted(groups, key=lambda group: (-group.rows, group.name))
