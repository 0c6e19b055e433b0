"""The background work of a server: its own duties all the time, and the chores of all servers while it leads.

Where several servers use one store, the chores have a storage of their own, whose writes fail once another server
leads; the duties are nobody else's, and go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from blotter.database.admission.buckets import Buckets
from blotter.database.archive.state import stop_archiving
from blotter.database.background.alarms import AlarmEvaluator
from blotter.database.background.duties import Duties
from blotter.database.background.live_servers import LiveServers
from blotter.database.background.metrics import MetricsKeeper
from blotter.database.background.notifications import Notifier
from blotter.database.background.runner import Background, Watch
from blotter.database.background.scaling import Scaling
from blotter.database.copies.jobs import Tools
from blotter.database.copies.objects import SCRATCH_FOLDER, open_objects
from blotter.database.serving.metrics import MetricsSetup, RunningMetrics
from blotter.database.settings import Settings
from blotter.database.shared_disk import SharedDisk
from blotter.database.storage.protocol import Storage, StorageUnavailable, Store

if TYPE_CHECKING:
    from blotter.database.archive.archiver import Archiver

log = logging.getLogger(__name__)

_IN_COMMON: Final = (
    "access",
    "account",
    "archive",
    "archive_interval",
    "archive_retention",
    "aws_quotas",
    "metrics_storage",
    "notify",
    "objects",
    "throttling",
)
"""Settings that servers on one store should have the same (docs/architecture/postgres.md)."""


async def background(
    storage: Storage,
    settings: Settings,
    store: Store,
    setup: MetricsSetup,
    metrics: RunningMetrics,
    buckets: Buckets | None,
) -> None:
    """All background work of a server, which no request waits for. Runs until its task is canceled."""
    chores = _Chores(settings, store, metrics)
    keeper = setup.keeper(storage, metrics.counters, chores.levels)
    duties, leading = Duties(storage, keeper), storage
    if store.several_servers:
        duties, leading = _duties_of_one(storage, store, keeper, settings, buckets), store.open()
    prometheus = setup.serve_prometheus()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(duties.run())
            group.create_task(_lead(leading, chores, keeper))
    finally:
        await duties.leave()
        if leading is not storage:
            await leading.close()
        if prometheus is not None:
            await prometheus.drain()


def _duties_of_one(
    storage: Storage, store: Store, keeper: MetricsKeeper | None, settings: Settings, buckets: Buckets | None
) -> Duties:
    """Of several servers. Each gives an equal share of what tables have."""

    def counted(servers: int) -> None:
        if buckets is not None:
            buckets.share_with(servers)
        if servers > 1 and not settings.objects:
            log.warning(
                "%d servers use the store, and this one has no --objects: other servers cannot read the backups "
                "and exports that it makes in its data directory, nor it theirs",
                servers,
            )

    def differ(names: list[str]) -> None:
        log.warning(
            "another server on the store has other values of %s: what a client gets depends on the server that it "
            "reaches, and background work on the one that leads",
            ", ".join(names),
        )

    changed = None if buckets is None else buckets.changed
    servers = LiveServers(storage, counted, settings=_fingerprints(settings, store), differ=differ)
    return Duties(storage, keeper, servers, changed)


def _fingerprints(settings: Settings, store: Store) -> dict[str, str]:
    """What identifies the values of the settings that servers on one store should have in common. The values
    themselves are not given away."""
    key = store.secret_key("settings of servers")
    return {
        f"--{name.replace('_', '-')}": blake2b(
            repr(getattr(settings, name)).encode(), key=key, digest_size=8
        ).hexdigest()
        for name in _IN_COMMON
    }


async def _lead(storage: Storage, chores: _Chores, keeper: MetricsKeeper | None) -> None:
    """Does the chores whenever this server leads."""
    while True:
        if keeper is not None:
            keeper.leads = False
        lost = await storage.lead()
        if keeper is not None:
            keeper.leads = True
        work = asyncio.create_task(chores.run(storage))
        try:
            await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            (result,) = await asyncio.gather(work, return_exceptions=True)
        if not isinstance(result, asyncio.CancelledError):
            raise RuntimeError("background work ended by itself") from result
        log.warning("this server does the background work no longer: another one may lead")


class _Chores:
    """What only the server that leads does."""

    def __init__(self, settings: Settings, store: Store, metrics: RunningMetrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._archiver: Archiver | None = None
        self._disk = None if settings.in_memory else SharedDisk(settings.data_dir, store.spare_bytes)

    def levels(self) -> Iterable[tuple[str, float]]:
        """Of the archive, in the server that ships to it."""
        return () if self._archiver is None else self._archiver.levels()

    async def run(self, storage: Storage) -> None:
        """Until it is canceled."""
        self._archiver = archiver = self._make_archiver(storage)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._make(storage).run())
                if archiver is not None:
                    group.create_task(archiver.run())
                else:
                    with contextlib.suppress(StorageUnavailable):  # the disk is full: the next start does it
                        await stop_archiving(storage)
        finally:
            self._archiver = None

    def _make(self, storage: Storage) -> Background:
        settings, counters = self._settings, self._metrics.counters
        scratch = None if settings.in_memory else settings.data_dir / SCRATCH_FOLDER
        tools = Tools(storage, settings.objects_url, self._store.file_cipher(), scratch, disk=self._disk)
        watch = Watch(AlarmEvaluator(storage, self._metrics.reader), Notifier(storage, settings.notify))
        reader = None if counters is None else self._metrics.reader
        scaling = Scaling(storage, time.time, reader, settings.table_delay)
        return Background(storage, tools=tools, counters=counters, watch=watch, scaling=scaling)

    def _make_archiver(self, storage: Storage) -> Archiver | None:
        """What ships to the archive, if there is one."""
        settings = self._settings
        if not settings.archive:
            return None
        from blotter.database.archive.archiver import Archiver

        return Archiver(
            storage,
            open_objects(settings.archive, self._disk),
            self._store.file_cipher(),
            self._store.key_files,
            settings.archive_interval,
            settings.archive_retention * 86_400.0,
        )
