"""Bulk work in slices that give way to those who write meanwhile: `Storage.write_slice`.

While others write, a slice is short, and afterwards they have the store to themselves for several times as long as
it took. While nobody does, slices become longer from one to the next: each costs a commit. One writer for all jobs
of a process, so that several of them are no more in the way than one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from blotter.database.storage.protocol import WriteTransaction

T = TypeVar("T")

SHORT_SECONDS: Final = 0.003
"""The usual length of a slice while others write."""
LONGEST_SECONDS: Final = 0.025
"""A slice works no longer than this, while nobody else writes."""
LONGEST_REST: Final = 0.02
"""Of a slice that took long because the machine is busy, the rest is no longer: bulk work must go on."""
REMEMBERED_SECONDS: Final = 0.2
"""Others count as writing for so long after they were last noticed."""
WAITED_SECONDS: Final = 0.002
"""A slice that has waited for longer had others before it."""


class SliceWriter:
    """`write` is the store's; it runs a handler in a transaction. `others` says whether others have written since
    the slice before, given the seconds that this one has waited; it is called within the transaction. `shortest`
    is a slice's length in seconds while they do, and `rest` how many times as long as it took they have then."""

    def __init__(
        self,
        write: Callable[[Callable[[WriteTransaction], Any]], Awaitable[Any]],
        others: Callable[[float], bool],
        shortest: float,
        rest: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._others = others
        self._shortest = shortest
        self._rest = rest
        self._monotonic = monotonic
        self._seconds = shortest
        self._busy = True
        self._others_until = monotonic() + REMEMBERED_SECONDS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._one_at_a_time = asyncio.Lock()

    async def write(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        """See `protocol.Storage.write_slice`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._one_at_a_time = loop, asyncio.Lock()
        async with self._one_at_a_time:
            submitted = began = self._monotonic()

            def run(tx: WriteTransaction) -> T:
                nonlocal began
                began = self._monotonic()
                return handler(tx, self._length(began, self._others(began - submitted)))

            result: T = await self._write(run)
            if self._busy:
                await asyncio.sleep(min(self._rest * (self._monotonic() - began), LONGEST_REST))
            return result

    def _length(self, now: float, others: bool) -> float:
        if others:
            self._others_until = now + REMEMBERED_SECONDS
        self._busy = now < self._others_until
        self._seconds = min(self._shortest if self._busy else 2 * self._seconds, LONGEST_SECONDS)
        return self._seconds


def has_waited(seconds: float) -> bool:
    """`others` of a store that cannot tell who else writes."""
    return seconds > WAITED_SECONDS
