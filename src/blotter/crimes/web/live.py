"""A result's progress as server-sent events: one event per change, heartbeats between, an end at a final state.

The stream is a plain loop that reads the item and compares: DynamoDB pushes nothing to a reader without streams,
and one GetItem per half second and open page is cheap. It ends when the result is final, when the client has
gone, when the server stops, and after `max_seconds` (behind API Gateway an answer must end: the browser's
EventSource comes back by itself after `retry`). Format:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
import orjson
from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError

from blotter.crimes.item import Result
from blotter.crimes.web.schemas import progress_of

log = logging.getLogger(__name__)

RETRY_MS = 2000
FINAL_ID = "final"  # a client that comes back with this as Last-Event-ID has seen everything


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between reads, between heartbeats, and until an unfinished stream ends (None = never)."""

    poll: float = 0.5
    heartbeat: float = 15.0
    max_seconds: float | None = None


async def event_stream(
    first: Result, read: Callable[[], Result | None], pace: Pace, closing: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Events of a result from `first` on; `read` is called in a thread, `closing` says that the server stops."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    yield _event(first)
    current, started = first, time.monotonic()
    spoken = started
    while not current.finished and not closing():
        if pace.max_seconds is not None and time.monotonic() - started >= pace.max_seconds:
            return
        await anyio.sleep(pace.poll)
        try:
            seen = await to_thread.run_sync(read)
        except (BotoCoreError, ClientError) as error:
            log.warning("an event stream could not read its result: %s", error)
            seen = current  # no news is not the end: the table may come back
        if seen is None:
            yield b"event: gone\ndata: {}\n\n"
            return
        if progress_of(seen) != progress_of(current):
            yield _event(seen)
            spoken = time.monotonic()
        elif time.monotonic() - spoken >= pace.heartbeat:
            yield b": still here\n\n"
            spoken = time.monotonic()
        current = seen


def _event(result: Result) -> bytes:
    name = FINAL_ID if result.finished else f"{result.attempt}-{result.progress}-{result.rows_read}"
    data = orjson.dumps(progress_of(result))  # JSON has no raw line break, so one data line is enough
    return b"event: progress\nid: " + name.encode() + b"\ndata: " + data + b"\n\n"
