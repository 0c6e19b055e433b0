"""How many uploads run side by side, and which one gives way.

A slow client must neither hold a place forever nor keep others out. Three rules: a client that sends nothing
for `idle_seconds` is cut off; one that stays below `least_rate` after `patience_seconds` is cut off too; and
when every place is taken, the slowest upload gives its place to the newcomer, first among those of the
newcomer's own address. Only uploads that are really slow give way: with nothing but fast ones running, the
newcomer waits, and gets a 503 with Retry-After when none ends.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from blotter.crimes.web import text
from blotter.crimes.web.errors import WebError


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Times in seconds, rates in bytes a second over the life of an upload."""

    concurrent: int = 64
    per_client: int = 48
    idle_seconds: float = 30.0
    patience_seconds: float = 60.0
    least_rate: float = 4_000.0
    slow_rate: float = 250_000.0
    """Below this an upload gives its place to a newcomer, once it is `young_seconds` old."""
    young_seconds: float = 2.0
    wait_seconds: float = 20.0


class Slot:
    """The place of one upload."""

    def __init__(self, client: str, limits: UploadLimits) -> None:
        self.client = client
        self._limits = limits
        self._started = anyio.current_time()
        self._bytes = 0
        self.scope = anyio.CancelScope()

    @property
    def age(self) -> float:
        return anyio.current_time() - self._started

    @property
    def rate(self) -> float:
        """Bytes a second so far; a young upload counts as fast."""
        return math.inf if self.age < self._limits.young_seconds else self._bytes / self.age

    async def watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of a body. Raises WebError 408 when they come too slowly."""
        limits = self._limits
        while True:
            try:
                with anyio.fail_after(limits.idle_seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise _too_slow(f"nothing arrived for {text.duration(limits.idle_seconds)}") from None
            if chunk is None:
                return
            self._bytes += len(chunk)
            if self.age > limits.patience_seconds and self.rate < limits.least_rate:
                raise _too_slow(f"less than {text.size(limits.least_rate)} a second arrived")
            yield chunk


class UploadSlots:
    """Hands out places: `take` one for the time of an upload."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._taken: list[Slot] = []

    @asynccontextmanager
    async def take(self, client: str) -> AsyncIterator[Slot]:
        """Raises WebError: 503 when no place becomes free, 408 when the place was given to another upload."""
        await self._make_room(client)
        slot = Slot(client, self._limits)
        self._taken.append(slot)
        try:
            with slot.scope:
                yield slot
            if slot.scope.cancelled_caught:
                raise _too_slow("the server was busy, and other uploads were faster")
        finally:
            self._taken.remove(slot)

    async def _make_room(self, client: str) -> None:
        deadline = anyio.current_time() + self._limits.wait_seconds
        while (rivals := self._rivals(client)) is not None:
            slowest = min(rivals, key=lambda slot: slot.rate)
            if slowest.rate < self._limits.slow_rate:
                slowest.scope.cancel()
            elif anyio.current_time() >= deadline:
                raise WebError(
                    503,
                    "TOO_MANY_UPLOADS",
                    f"{len(rivals)} uploads are under way. Try again in a moment.",
                    {"Retry-After": "10", "Connection": "close"},
                )
            await anyio.sleep(0.05)

    def _rivals(self, client: str) -> list[Slot] | None:
        """The uploads of which one has to end before this client may begin another; None when a place is free."""
        own = [slot for slot in self._taken if slot.client == client]
        if len(own) >= self._limits.per_client:
            return own
        return self._taken if len(self._taken) >= self._limits.concurrent else None


def _too_slow(reason: str) -> WebError:
    return WebError(408, "UPLOAD_TOO_SLOW", f"The upload was cut off: {reason}.", {"Connection": "close"})
