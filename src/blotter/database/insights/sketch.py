"""The heaviest keys of a stream of events, in bounded memory; and how the stream spreads over the hash space.

Sums of `keep` to `2 * keep` keys are kept, by Misra and Gries: when there are too many, the sum of the key at
place `keep` is subtracted from all, and what is left of nothing goes. So a sum is exact while there are fewer keys
than `2 * keep`, afterwards too low by at most the events' total divided by `keep`, and every key with a greater
share than that is found. The number of different keys is estimated from a bitmap (linear counting). Sketches are
merged by adding what they are made of. Pure. Source: https://arxiv.org/abs/1705.07001 (weighted Misra-Gries,
shrunk in batches).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b

KEEP = 500
BITS = 4096
"""Of the bitmap: numbers of different keys up to some ten thousand."""
PARTS = 64
"""Parts of the hash space whose sums are kept."""


class Sketch:
    """Sums by key. `part_of` gives the part of the hash space that a key lies in, None for no such sums."""

    __slots__ = ("_keep", "_part_of", "_parts", "bitmap", "largest", "spread", "sums", "total")

    def __init__(self, keep: int = KEEP, part_of: Callable[[str], int] | None = None) -> None:
        self._keep = keep
        self._part_of = part_of
        self._parts: dict[str, int] = {}
        self.sums: dict[str, float] = {}
        self.total = 0.0
        self.largest = 0.0
        """The greatest single amount."""
        self.bitmap = 0
        self.spread: list[float] = [] if part_of is None else [0.0] * PARTS

    def add(self, key: str, amount: float) -> None:
        before = self.sums.get(key)
        if before is None:
            self.bitmap |= 1 << _bit(key)
            if self._part_of is not None:
                self._parts[key] = self._part_of(key)
            self.sums[key] = amount
            if len(self.sums) > 2 * self._keep:
                self._shrink(key)
        else:
            self.sums[key] = before + amount
        self.total += amount
        if amount > self.largest:
            self.largest = amount
        if self._part_of is not None:
            self.spread[self._parts[key]] += amount

    def heaviest(self, count: int) -> list[tuple[str, float]]:
        """Keys with the greatest sums, greatest first; equal ones by key."""
        return sorted(self.sums.items(), key=lambda entry: (-entry[1], entry[0]))[:count]

    def _shrink(self, newest: str) -> None:
        least = sorted(self.sums.values(), reverse=True)[self._keep]
        self.sums = {key: total - least for key, total in self.sums.items() if total > least}
        if self._part_of is not None:
            self._parts = {key: part for key, part in self._parts.items() if key in self.sums or key == newest}


def _bit(key: str) -> int:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest) % BITS


def estimated_keys(bitmap: int) -> int:
    """How many different keys were added to sketches whose bitmaps were united into this one."""
    empty = BITS - bitmap.bit_count()
    return round(BITS * math.log(BITS / max(1, empty)))
