"""Exact nearest neighbors: the scores of vectors against one, and the best of them.

Vectors are 32-bit floats; a score is computed from them in 64 bits, and reported as the nearest 32-bit float. To
find the best without computing every score that way, a block of vectors is multiplied in 32 bits first. The error
of such a product is bounded, whatever the order in which it was summed: with n dimensions and u = 2**-24 by
n·u/(1 - n·u) of the product of the vectors' lengths. So each vector has a least and a greatest distance, and only
those whose least distance is within the best k are computed exactly. Which vectors are found, and in what order,
does not depend on the 32-bit products.

Equal distances are ordered by the keys of the entries. Scores: nubo-db/dynoxide, tests/search_vectors.rs (AWS,
2026-08-12 and -13: a zero vector has the cosine distance 1, sums do not overflow, a score is limited to the range
of 32-bit floats); Parity Suite, tests/tier2/vectorSearch/search.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final, NamedTuple

from blotter.database.model.table import DistanceFunction
from blotter.database.operations.vectors.arrays import Doubles, Flags, Floats, Rows, np

_UNIT: Final = 2.0**-24
_TINY: Final = 2.0**-125
"""More than what flushing to zero takes from a product of 32-bit floats."""
_ROUNDING: Final = 2.0**-48
"""Relative error of what is computed in 64 bits here: far more than it is."""
_GREATEST: Final = float(np.finfo(np.float32).max)
_ROWS_AT_ONCE: Final = 4096


class Neighbor(NamedTuple):
    """`distance` orders neighbors, smaller is nearer; `score` is what is reported."""

    distance: float
    key: bytes
    score: float


def squared_lengths(vectors: Floats) -> Doubles:
    """The square of each vector's length."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = vectors[start : start + _ROWS_AT_ONCE].astype(np.float64)
        lengths[start : start + _ROWS_AT_ONCE] = (rows * rows).sum(axis=1)
    return lengths


class Search:
    """The `k` vectors nearest to one, of all that are offered."""

    def __init__(self, vector: bytes, distance: DistanceFunction, k: int) -> None:
        self._vector: Floats = np.frombuffer(vector, "<f4").astype(np.float32)
        self._exact: Doubles = self._vector.astype(np.float64)
        self._square = float(squared_lengths(self._vector[np.newaxis])[0])
        self._distance = distance
        self._k = k
        dimensions = len(self._vector)
        unit = (dimensions + 2) * _UNIT
        self._error = 1.01 * unit / (1 - unit)
        self._tiny = _TINY * dimensions
        self.found: list[Neighbor] = []
        """The best so far, in order."""

    def offer(
        self, vectors: Floats, squares: Doubles, keys: Sequence[bytes], allowed: Flags | None = None
    ) -> None:
        """Offers vectors with the squares of their lengths and their keys; with `allowed` only some of them."""
        rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
        if not len(rows):
            return
        if len(rows) > self._k:
            rows = self._promising(vectors, squares, rows)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            self._take(vectors, squares, keys, rows[start : start + _ROWS_AT_ONCE])

    def _promising(self, vectors: Floats, squares: Doubles, rows: Rows) -> Rows:
        """The rows that can be among the best."""
        some = len(rows) < len(vectors) // 4
        # Overflow is no error here: what is not finite is looked at exactly.
        with np.errstate(all="ignore"):
            products = (vectors[rows] if some else vectors) @ self._vector
            approximate = (products if some else products[rows]).astype(np.float64)
            distances, errors = self._bounds(approximate, squares[rows])
            least, greatest = distances - errors, distances + errors
        unknown = ~np.isfinite(least) | ~np.isfinite(greatest)
        least[unknown], greatest[unknown] = -np.inf, np.inf
        limit = float(np.partition(greatest, self._k - 1)[self._k - 1])
        if len(self.found) == self._k:
            limit = min(limit, self._comparable(self.found[-1].distance))
        return rows[least <= limit]

    def _bounds(self, products: Doubles, squares: Doubles) -> tuple[Doubles, Doubles]:
        """Distances as they follow from 32-bit products, and how wrong they may be; for EUCLIDEAN squared."""
        lengths = np.sqrt(squares) * np.sqrt(self._square)
        error = self._error * lengths + self._tiny * (1.0 + np.sqrt(squares) + np.sqrt(self._square))
        if self._distance == "DOT_PRODUCT":
            return -products, error + _ROUNDING * np.abs(products)
        if self._distance == "EUCLIDEAN":
            both = squares + self._square
            return both - 2 * products, 2 * error + _ROUNDING * both
        distances = 1 - products / lengths
        return np.where(lengths > 0, distances, 1.0), np.where(lengths > 0, error / lengths, 0.0) + _ROUNDING

    def _comparable(self, distance: float) -> float:
        """A bound for `_bounds` from an exact distance."""
        if self._distance == "EUCLIDEAN":
            return distance * distance * (1 + _ROUNDING)
        return distance + abs(distance) * _ROUNDING

    def _take(self, vectors: Floats, squares: Doubles, keys: Sequence[bytes], rows: Rows) -> None:
        distances = self._distances(vectors[rows].astype(np.float64), squares[rows])
        scores = -distances if self._distance == "DOT_PRODUCT" else distances
        # Adding zero turns -0.0 into 0.0.
        scores = np.clip(scores, -_GREATEST, _GREATEST).astype(np.float32).astype(np.float64) + 0.0
        if len(rows) > self._k:
            limit = float(np.partition(distances, self._k - 1)[self._k - 1])
            chosen = np.flatnonzero(distances <= limit)
        else:
            chosen = np.arange(len(rows))
        offered = [
            Neighbor(float(distances[place]), keys[int(rows[place])], float(scores[place])) for place in chosen
        ]
        self.found = nsmallest(self._k, self.found + offered)

    def _distances(self, vectors: Doubles, squares: Doubles) -> Doubles:
        """The exact distances. Each row is summed by itself, so that equal vectors have equal distances."""
        if self._distance == "EUCLIDEAN":
            differences = vectors - self._exact
            lengths: Doubles = np.sqrt((differences * differences).sum(axis=1))
            return lengths
        products: Doubles = (vectors * self._exact).sum(axis=1)
        if self._distance == "DOT_PRODUCT":
            return -products
        # One root of the product, so that a vector has the distance 0 from itself.
        lengths = np.sqrt(squares * self._square)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(lengths > 0, np.clip(1 - products / lengths, 0.0, 2.0), 1.0)


def number_texts(vector: bytes) -> list[str]:
    """32-bit floats as an index returns them: the shortest decimal that names the float, without exponent and with
    a fraction, "1.0" (Parity Suite, tests/tier2/vectorSearch/search)."""
    floats = np.frombuffer(vector, "<f4") + np.float32(0)  # turns -0.0 into 0.0
    return [np.format_float_positional(number, unique=True, trim="0") for number in floats]
