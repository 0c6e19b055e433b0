"""The metrics of a server: shared memory before it forks, and what each process has of it.

    slot 0 … n-1    the workers
    slot n          the background process; a single process counts all in slot 0

With `--metrics off` nothing is made and nothing counted; what is stored can still be read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from blotter.database.admission.refusals import Limit
from blotter.database.admission.stage import Throttle
from blotter.database.background.metrics import MetricsKeeper, OwnLevels
from blotter.database.http.limits import Limits
from blotter.database.http.origins import Origins
from blotter.database.http.server import ConnectionCounts, HttpServer
from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.endpoint import PATH, MetricsEndpoint
from blotter.database.metrics.names import BLOTTER, Metric
from blotter.database.metrics.series import MetricReader
from blotter.database.metrics.shared import SharedCounters
from blotter.database.metrics.totals import Total, Totals
from blotter.database.model.arns import parse_arn
from blotter.database.operations.context import Context
from blotter.database.settings import Settings
from blotter.database.storage.protocol import Storage, Store

_LIMITS = Limits(connections=100, drain_timeout=1.0, idle_timeout=300.0)
"""For Prometheus, which keeps a connection open between two scrapes."""
_STOP_SECONDS = 1.0
_STOP_PAUSE = 0.005
_FLUSH_EVERY = 1.0
"""Seconds that times of requests are kept in a process: so much of them is lost with one that is killed."""
# After the end of a minute, so that it has ended by every clock.
_JUST_AFTER = 0.005


log = logging.getLogger(__name__)


class RunningMetrics(NamedTuple):
    """The metrics of one process: what it counts with, None if nothing is counted, and what reads them."""

    counters: Counters | None
    reader: MetricReader

    @property
    def on_throttle(self) -> Throttle | None:
        """Counts the events of throttled requests."""
        counters = self.counters
        if counters is None:
            return None

        def count(context: Context, table: str, limits: Sequence[Limit]) -> None:
            for limit in limits:
                arn = parse_arn(limit.resource)
                account = context.account if arn is None else arn.account
                counters.throttled(account, context.region, table, limit.index or None, limit.reason["reason"])

        return count


class MetricsSetup:
    """What the processes of a server share. Made before the fork. `connections` are the workers' counts,
    `listener` is the socket for Prometheus, if there is one."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        connections: memoryview[int],
        listener: socket.socket | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._connections = connections
        self._listener = listener
        self._shared: SharedCounters | None = None
        self._more_levels: tuple[OwnLevels, ...] = ()
        self._totals: Totals | None = None
        if settings.metrics == "on":
            slots = settings.workers if store.single_process else settings.workers + 1
            self._shared = SharedCounters(slots, settings.account, settings.region)

    def start(self, slot: int, storage: Storage) -> RunningMetrics:
        """Begins to count in this process, on its event loop."""
        if self._shared is None:
            return RunningMetrics(None, MetricReader())
        settings = self._settings
        slow_after = settings.slow_requests or float("inf")
        slot_memory = self._shared.slot(slot)
        counters = Counters(slot_memory, settings.account, settings.region, slow_after=slow_after)
        storage.watch_commits(counters.committed)
        loop = asyncio.get_running_loop()
        counters.flush_with(lambda: loop.call_later(_FLUSH_EVERY, counters.flush))
        _finish_minutes(counters)
        return RunningMetrics(counters, MetricReader(self._shared))

    def keeper(self, storage: Storage, counters: Counters | None, *more: OwnLevels) -> MetricsKeeper | None:
        """What stores the metrics of all processes, and `more` levels of this one; for one of them."""
        if self._shared is None or counters is None:
            return None
        collector = Collector(storage, self._shared, self._settings.metrics_storage)
        self._more_levels = more
        self._totals = None if self._listener is None else Totals(self._shared)
        return MetricsKeeper(storage, self._shared, counters, collector, self._own_levels, self._totals)

    def serve_prometheus(self) -> HttpServer | None:
        """Begins to answer Prometheus in the process that has the keeper; None if that is not wanted."""
        totals, place = self._totals, self._settings.metrics_port
        if self._listener is None or totals is None or place is None:
            return None
        origins = Origins(place.host, self._settings.allowed_hosts)
        server = HttpServer(MetricsEndpoint(lambda: self._with_levels(totals), origins), _LIMITS)
        server.start(self._listener)
        return server

    @property
    def url(self) -> str | None:
        """Where Prometheus finds the metrics."""
        place = self._settings.metrics_port
        if self._listener is None or place is None:
            return None
        host = f"[{place.host}]" if ":" in place.host else place.host
        return f"http://{host}:{self._listener.getsockname()[1]}{PATH}"

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _with_levels(self, totals: Totals) -> dict[Metric, Total]:
        """The totals, with the server's own levels as they are now."""
        found, settings = totals.now(), self._settings
        for name, value in self._own_levels():
            found[Metric(settings.account, settings.region, BLOTTER, name)] = Total(0, 1.0, value)
        return found

    def note_restart(self) -> None:
        """A process ended by itself and is replaced. For the supervisor."""
        if self._shared is not None:
            self._shared.note_restart()

    async def store_rest(self, storage: Storage, metrics: RunningMetrics) -> None:
        """Stores what all processes have counted, when the server stops: in the process that has the keeper, which
        waits a moment for the others to end. What comes later is left to `finish`."""
        shared = self._shared
        if shared is None or metrics.counters is None:
            return
        metrics.counters.close()
        deadline = time.monotonic() + _STOP_SECONDS
        while shared.has_open() and time.monotonic() < deadline:
            await asyncio.sleep(_STOP_PAUSE)
        try:
            await Collector(storage, shared, self._settings.metrics_storage).collect()
        except Exception as error:  # a full disk, a damaged file: no reason not to stop in order
            log.warning("the metrics of the last minute are not stored: %s", error)
            shared.forget()

    def finish(self) -> None:
        """Stores what is left, when every process has ended."""
        shared = self._shared
        if shared is None or self._store.single_process:
            return
        shared.close_all()
        if not shared.has_samples():
            return
        try:
            self._store.run_apart(lambda storage: _finish(storage, shared, self._settings.metrics_storage))
        except Exception as error:
            log.warning("the metrics of the last minute are not stored: %s", error)

    def _own_levels(self) -> Iterable[tuple[str, float]]:
        open_now = [count for count in self._connections if count != ConnectionCounts.GONE]
        yield "Connections", sum(open_now)
        log_bytes = self._store.log_bytes()
        if log_bytes is not None:
            yield "WriteAheadLogSize", log_bytes
        for source in self._more_levels:
            yield from source()


async def _finish(storage: Storage, shared: SharedCounters, most_bytes: int) -> None:
    await Collector(storage, shared, most_bytes).collect()


def _finish_minutes(counters: Counters) -> None:
    """Ends each minute when it is over, whether or not requests come."""
    loop = asyncio.get_running_loop()

    def finish() -> None:
        counters.finish_minute()
        loop.call_later(counters.seconds_left + _JUST_AFTER, finish)

    loop.call_later(counters.seconds_left + _JUST_AFTER, finish)
