"""Which deliveries are under way: one for each live destination, each with a task and a thread of its own, so that
one that fails or waits stops no other.

`wake` is called when the catalog changed: a destination may have been enabled or disabled. Whether there are new
changes is looked up five times a second, by one read for all, and only while there is a live destination. A server
without one does nothing here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Final

from blotter.database.background.attempts import Attempts
from blotter.database.background.kinesis.delivery import Delivery, LogWindow
from blotter.database.background.kinesis.stream import KinesisStream, Stream
from blotter.database.operations.streams.kinesis_destinations import Destination, live_destinations
from blotter.database.storage.protocol import Storage

LOOK_SECONDS: Final = 5.0
"""Between looks for destinations without a notification: one may be lost with its process."""
NEWS_SECONDS: Final = 0.2
"""Between looks for new changes."""


class _Running:
    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.task: asyncio.Task[bool] | None = None


class Deliveries:
    """`connect` makes the stream of an ARN and a region."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        attempts: Attempts,
        connect: Callable[[str, str], Stream] = KinesisStream,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic
        self._attempts = attempts
        self._connect = connect
        self._awake = asyncio.Event()
        self._stopping = False
        self._running: dict[bytes, _Running] = {}
        self._seen_change = -1
        self._log = LogWindow()

    def wake(self) -> None:
        self._awake.set()

    def stop(self) -> None:
        """`run` returns; what is under way is repeated at the next start."""
        self._stopping = True
        self._awake.set()

    async def run(self) -> None:
        """Delivers until it is stopped or canceled."""
        looked_at = -math.inf
        try:
            while not self._stopping:
                if self._awake.is_set() or self._monotonic() - looked_at >= LOOK_SECONDS:
                    self._awake.clear()
                    looked_at = self._monotonic()
                    await self._attempts.run("kinesis", "looking for Kinesis destinations", self._start_new)
                if self._running:
                    await self._attempts.run("kinesis news", "looking for new changes", self._look_for_news)
                await self._wait(NEWS_SECONDS if self._running else LOOK_SECONDS)
        finally:
            tasks = [running.task for running in self._running.values() if running.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run_once(self) -> None:
        """Delivers what can be delivered now, one destination after another."""
        for destination in await self._storage.fetch(live_destinations):
            delivery = self._delivery(destination)
            try:
                while await delivery.step() == 0.0:
                    pass
            finally:
                delivery.close()

    async def _start_new(self) -> None:
        for destination in await self._storage.fetch(live_destinations):
            running = self._running.get(destination.key)
            if running is not None:
                running.news.set()
            elif self._attempts.may_run(destination.key):
                self._start(destination)

    async def _look_for_news(self) -> None:
        last = await self._storage.fetch(lambda tx: tx.last_change())
        if last != self._seen_change:
            self._seen_change = last
            for running in self._running.values():
                running.news.set()

    def _start(self, destination: Destination) -> None:
        running = self._running[destination.key] = _Running()
        name = f"delivering changes of table {destination.table_name} to {destination.stream_arn}"
        work = partial(self._deliver, destination, running.news)
        running.task = asyncio.create_task(self._attempts.run(destination.key, name, work))
        running.task.add_done_callback(partial(self._ended, destination.key))

    def _ended(self, key: bytes, _: asyncio.Task[bool]) -> None:
        del self._running[key]
        self._awake.set()

    async def _deliver(self, destination: Destination, news: asyncio.Event) -> None:
        delivery = self._delivery(destination)
        try:
            while True:
                news.clear()
                pause = await delivery.step()
                if pause is None:
                    return
                if pause == math.inf:
                    await news.wait()
                else:
                    await asyncio.sleep(pause)
        finally:
            delivery.close()

    def _delivery(self, destination: Destination) -> Delivery:
        stream = self._connect(destination.stream_arn, destination.region)
        return Delivery(self._storage, destination, stream, self._log, self._clock, self._monotonic)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._awake.wait(), seconds)
        except TimeoutError:
            return
