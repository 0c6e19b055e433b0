"""A result's progress as server-sent events: one event per change, heartbeats between, an end at a final state.

DynamoDB pushes nothing to a reader without streams, so progress is read by polling. However many pages follow a
file, one `_Reader` polls its item and notifies them all: a thousand streams of one file cost one GetItem per half
second. Streams are limited in number, in all and per client address, and in length; a browser's EventSource comes
back by itself after `retry`. A stream ends when the result is final or gone, when the server stops and after
`max_seconds`. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import orjson
from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError

from blotter.crimes.item import Result
from blotter.crimes.web.errors import WebError
from blotter.crimes.web.schemas import progress_of

log = logging.getLogger(__name__)

RETRY_MS = 2000
FINAL_ID = "final"  # a client that comes back with this as Last-Event-ID has seen everything
_READING_THREADS = 8  # polling never takes the threads in which pages are made


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between reads, between heartbeats and until an unfinished stream ends; how many there may be."""

    poll: float = 0.5
    heartbeat: float = 15.0
    max_seconds: float = 3600.0
    streams: int = 2000
    streams_per_client: int = 1000


class Streams:
    """The event streams of one server. `read` blocks: threads call it; `closing` is set when the server stops."""

    def __init__(self, read: Callable[[str], Result | None], pace: Pace, closing: Callable[[], bool]) -> None:
        self._read = read
        self._pace = pace
        self._closing = closing
        self._readers: dict[str, _Reader] = {}
        self._open: Counter[str] = Counter()
        self._threads = anyio.CapacityLimiter(_READING_THREADS)

    def check(self, client: str) -> None:
        """Raises WebError 503 when this client may not open another stream."""
        if self._open.total() >= self._pace.streams or self._open[client] >= self._pace.streams_per_client:
            raise WebError(
                503,
                "TOO_MANY_STREAMS",
                "Too many event streams are open. Read the result instead, or try again in a moment.",
                {"Retry-After": "5"},
            )

    async def events(self, first: Result, client: str) -> AsyncIterator[bytes]:
        """The events of a result from `first` on."""
        yield f"retry: {RETRY_MS}\n\n".encode()
        yield _event(first)
        if first.finished or self._pace.max_seconds <= 0:
            return
        ends = anyio.current_time() + self._pace.max_seconds
        quiet_since = anyio.current_time()
        current: Result | None = first
        with self._following(first, client) as reader:
            while not self._closing() and not reader.stopped and anyio.current_time() < ends:
                with anyio.move_on_after(min(self._pace.heartbeat, ends - anyio.current_time())):
                    await reader.changed(current)
                if reader.latest is not current:
                    seen, current = reader.latest, reader.latest
                    if seen is None:
                        yield b"event: gone\ndata: {}\n\n"
                        return
                    yield _event(seen)
                    quiet_since = anyio.current_time()
                    if seen.finished:
                        return
                elif anyio.current_time() - quiet_since >= self._pace.heartbeat:
                    yield b": still here\n\n"
                    quiet_since = anyio.current_time()

    @contextmanager
    def _following(self, first: Result, client: str) -> Iterator[_Reader]:
        """The one reader of a key, started with its first stream and stopped with its last."""
        key = first.file_key
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = _Reader(first, self._poll, self._closing)
        reader.streams += 1
        self._open[client] += 1
        try:
            yield reader
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
            reader.streams -= 1
            if not reader.streams:
                reader.stop()
                del self._readers[key]

    async def _poll(self, current: Result) -> Result | None:
        """The result after one pause; `current` itself when nothing a client sees has changed."""
        await anyio.sleep(self._pace.poll)
        try:
            seen = await to_thread.run_sync(self._read, current.file_key, limiter=self._threads)
        except (BotoCoreError, ClientError) as error:
            log.warning("event streams of %s could not read its result: %s", current.file_key, error)
            return current  # no news is not the end: the table may come back
        return current if seen is not None and progress_of(seen) == progress_of(current) else seen


class _Reader:
    """Polls one key while streams follow it.

    `latest` is None when the result is gone; `stopped`: the server stops and nothing more will come.
    """

    def __init__(
        self, first: Result, poll: Callable[[Result], Awaitable[Result | None]], closing: Callable[[], bool]
    ) -> None:
        self.latest: Result | None = first
        self.stopped = False
        self.streams = 0
        self._change = asyncio.Event()
        self._task = asyncio.create_task(self._run(poll, closing))

    async def changed(self, known: Result | None) -> None:
        """Returns when `latest` is another than `known`, or when the reader has stopped."""
        while self.latest is known and not self.stopped:
            await self._change.wait()

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self, poll: Callable[[Result], Awaitable[Result | None]], closing: Callable[[], bool]) -> None:
        current = self.latest
        try:
            while current is not None and not current.finished and not closing():
                current = await poll(current)
                if current is not self.latest:
                    self.latest = current
                    self._wake()
        finally:
            self.stopped = True
            self._wake()

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()


def _event(result: Result) -> bytes:
    name = FINAL_ID if result.finished else f"{result.attempt}-{result.progress}-{result.rows_read}"
    data = orjson.dumps(progress_of(result))  # JSON has no raw line break, so one data line is enough
    return b"event: progress\nid: " + name.encode() + b"\ndata: " + data + b"\n\n"
