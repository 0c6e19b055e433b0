"""Buckets of values: 36 for each doubling, 2 % wide. Compiled: a bucket is found for every request."""

from __future__ import annotations

import math
from typing import Final

PER_DOUBLING: Final = 36
ZERO: Final = -(1 << 20)
"""The bucket of the value 0. Negative values have none; they are put here, too."""

_FACTOR: Final = PER_DOUBLING / math.log(2.0)
_EPSILON: Final = 1e-9
"""Keeps powers of two in the bucket that begins with them."""


def bucket_of(value: float) -> int:
    """The bucket of a value."""
    if value <= 0.0:
        return ZERO
    return math.floor(math.log(value) * _FACTOR + _EPSILON)


def middle_of(bucket: int) -> float:
    """The middle of a bucket, less than 1 % from every value in it."""
    return 0.0 if bucket == ZERO else math.exp((bucket + 0.5) / _FACTOR)
