"""What expressions are about: numbers, texts, time series and arrays of time series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec


class ExpressionError(ValueError):
    """An expression that cannot be parsed or evaluated; its text is for the user."""


class Window(NamedTuple):
    """The time that is asked about, in seconds since the epoch: `start` is in it, `end` is not. Periods begin at
    `anchor` and whole periods before and after it."""

    start: int
    end: int
    anchor: int = 0

    def begin(self, at: int, period: int) -> int:
        """The beginning of the period that a moment is in."""
        return at - (at - self.anchor) % period

    def grid(self, period: int) -> range:
        """The periods in it, by their beginnings; the first may begin before it."""
        return range(self.begin(self.start, period), self.end, period)


class Series(msgspec.Struct, frozen=True):
    """Values by the beginnings of their periods; what is missing has none. `is_metric`: not computed by an
    expression."""

    values: dict[int, float]
    period: int
    label: str = ""
    is_metric: bool = False

    def with_values(self, values: dict[int, float]) -> Series:
        return Series(values, self.period, self.label)

    def in_order(self) -> Iterator[tuple[int, float]]:
        return iter(sorted(self.values.items()))


class Array(msgspec.Struct, frozen=True):
    """Several time series, in order."""

    members: tuple[Series, ...]


Value: TypeAlias = float | str | Series | Array
"""A string is a text in quotes, or a keyword such as REPEAT."""
