"""What every server does behind its requests, whether or not it leads: its own metrics are stored, and where
several servers use the store, it counts them and follows the catalog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from blotter.database.background.attempts import Attempts
from blotter.database.background.live_servers import BEAT_SECONDS, LiveServers
from blotter.database.background.metrics import MetricsKeeper
from blotter.database.background.steady_clock import boot_time
from blotter.database.storage.protocol import Storage, StorageUnavailable

log = logging.getLogger(__name__)

LEAVE_SECONDS = 1.0
"""A server that ends tells the others, if the store answers so soon."""


class Duties:
    """`metrics` stores what the server has counted. Of several servers on a store, each has `servers`, and calls
    `catalog_changed` after every change of the catalog that another one may have made."""

    def __init__(
        self,
        storage: Storage,
        metrics: MetricsKeeper | None,
        servers: LiveServers | None = None,
        catalog_changed: Callable[[], None] | None = None,
        monotonic: Callable[[], float] = boot_time,
    ) -> None:
        self._storage = storage
        self._metrics = metrics
        self._servers = servers
        self._catalog_changed = catalog_changed
        self._attempts = Attempts(monotonic)

    async def run(self) -> None:
        """Until it is canceled."""
        async with asyncio.TaskGroup() as group:
            if self._metrics is not None:
                group.create_task(self._keep_metrics(self._metrics))
            if self._servers is not None:
                group.create_task(self._count_servers(self._servers))
            if self._catalog_changed is not None:
                group.create_task(self._follow_catalog(self._catalog_changed))

    async def leave(self) -> None:
        """When the server ends, before the store is closed."""
        if self._servers is None:
            return
        try:
            await asyncio.wait_for(self._servers.leave(), LEAVE_SECONDS)
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("other servers count this one for some seconds more: %s", error or "no answer")

    async def _keep_metrics(self, keeper: MetricsKeeper) -> None:
        while True:
            await asyncio.sleep(max(keeper.pause(), self._attempts.pause("metrics")))
            await self._attempts.run("metrics", "storing metrics", keeper.run_once)

    async def _count_servers(self, servers: LiveServers) -> None:
        while True:
            await self._attempts.run("servers", "counting servers", servers.run_once)
            await asyncio.sleep(BEAT_SECONDS)

    async def _follow_catalog(self, changed: Callable[[], None]) -> None:
        while True:
            wait = self._storage.wait_for_catalog_change
            if not await self._attempts.run("listen", "waiting for changes", wait):
                await asyncio.sleep(BEAT_SECONDS)
            changed()
