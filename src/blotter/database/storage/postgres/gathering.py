"""How many handlers a batch of writes waits for.

Clients that a batch has answered send their next writes a moment later. If the next batch begins at once, it has
only those that came during the last one, the others miss it, and the clients fall into two groups whose batches
alternate: twice as many batches as needed, and what a batch costs is mostly its own. So after a batch the next
one waits until those are there who will probably come back.

How many that is, is learned: the part of the answered clients that came back within the longest time that a batch
would wait, counted whether one waits or not. Where few come back, as with clients that think between two writes or
that mostly read, no batch waits. The longest wait is a part of what the last batch took, so that no response comes
much later than without.
"""

from __future__ import annotations

from typing import Final

SHORTEST: Final = 0.001
LONGEST: Final = 0.005
"""Seconds between which the longest wait lies. Timers of an event loop are not finer than the first; the second is
for batches that took long for reasons of their own."""
_PART_OF_BATCH: Final = 1 / 4
"""What the longest wait is of the time that the last batch took."""
MOST: Final = 32
"""A batch of so many waits for no others: its own cost is small beside theirs."""
_LEAST_PART: Final = 0.75
"""If a smaller part comes back, waiting is mostly in vain."""
_MARGIN: Final = 0.25
"""Of a handler: with the usual part just below 1, one of few is still waited for, and the last of many is not."""
_WEIGHT: Final = 1 / 8
"""Of the last batch in what is learned."""


class Gathering:
    """Knows the batches of one process. Times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self.wanted = 1
        """A batch begins with so many handlers."""
        self.longest_wait = SHORTEST
        """Seconds from the end of the last batch after which one begins with what there is."""
        self._part = 0.0
        self._ended_at = float("-inf")
        self._answered = 0
        self._came = 0

    def note_arrival(self, now: float) -> None:
        """Counts a handler that was submitted."""
        if now - self._ended_at < self.longest_wait:
            self._came += 1

    def batch_ended(self, now: float, took: float, answered: int, waiting: int) -> None:
        """After a batch that took so many seconds has answered, with so many handlers in the queue."""
        if self._answered:
            part = min(1.0, self._came / self._answered)
            self._part += (part - self._part) * _WEIGHT
        self._ended_at, self._answered, self._came = now, answered, 0
        self.longest_wait = max(SHORTEST, min(LONGEST, took * _PART_OF_BATCH))
        expected = int(answered * self._part + _MARGIN) if self._part >= _LEAST_PART else 0
        self.wanted = max(1, min(MOST, waiting + expected))

    def stop(self) -> None:
        """The next batch begins with what there is."""
        self.wanted = 1
