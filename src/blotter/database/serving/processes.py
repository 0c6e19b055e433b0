"""The processes of one server: what they share, and what each of them runs.

    supervisor ─┬─ worker 1 … n    HTTP server → router → dispatcher → pipeline → storage
                ├─ checker         heavy bodies, before a worker decodes them
                └─ background      deletions, backfills, expired items, trimming

Each process but the checker opens the storage for itself, after the fork, because SQLite's connections must not
cross one. A store that a single process has (in memory) has one worker, which does the background work too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import mmap
import signal
import socket
from collections.abc import Coroutine
from typing import Any, NamedTuple

import uvloop

from blotter.database.admission.buckets import Buckets
from blotter.database.checking import process as checking_process
from blotter.database.checking.channel import Channel
from blotter.database.checking.client import Checker
from blotter.database.http.certificates import Certificates
from blotter.database.http.server import ConnectionCounts, HttpServer
from blotter.database.insight_watch import InsightWatch
from blotter.database.operations.tables.protection import set_kms_key
from blotter.database.operations.tables.quotas import enforce_quotas
from blotter.database.security.access import Access
from blotter.database.services.dynamodb import INTERNAL_ERROR
from blotter.database.serving.access import AccessSetup
from blotter.database.serving.audit import AuditSetup
from blotter.database.serving.background import background
from blotter.database.serving.handler import build_handler
from blotter.database.serving.metrics import MetricsSetup, RunningMetrics
from blotter.database.serving.scheduling import run_after_others
from blotter.database.serving.supervisor import Link, Role, StartError
from blotter.database.settings import Settings
from blotter.database.storage.protocol import DataDirectoryError, Storage, StorageUnavailable, Store

log = logging.getLogger(__name__)

# Seconds between two signs of life of a process.
_SIGN_EVERY = 1.0
# Seconds between two looks at whether the server's own certificate has to be renewed.
_RENEW_EVERY = 3600.0
# Seconds between two attempts to read a store that is out of reach.
_AGAIN_SECONDS = 1.0


class Shared(NamedTuple):
    """What the processes of one server share, made before they are forked."""

    listener: socket.socket
    store: Store
    certificates: Certificates | None
    access: AccessSetup
    audit: AuditSetup
    buckets: Buckets | None
    """The units that tables have left; None without throttling."""
    connections: memoryview[int]
    """How many connections each worker has (`ConnectionCounts`)."""
    metrics: MetricsSetup
    checks: Channel


def connection_counts(workers: int) -> memoryview[int]:
    counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("I")
    for slot in range(workers):
        counts[slot] = ConnectionCounts.GONE
    return counts


def roles(settings: Settings, shared: Shared) -> list[Role]:
    workers = [_worker(settings, shared, slot) for slot in range(settings.workers)]
    checker = Role("checker", lambda link: checking_process.run(shared.checks, link))
    if shared.store.single_process:
        return [*workers, checker]
    return [*workers, checker, Role("background", lambda link: _run(_background(settings, shared, link)))]


def _worker(settings: Settings, shared: Shared, slot: int) -> Role:
    mine = ConnectionCounts(shared.connections, slot)
    return Role(
        f"worker {slot + 1}",
        lambda link: _run(_work(settings, shared, slot, mine, link)),
        lambda: mine.set(ConnectionCounts.GONE),
        vital=shared.store.single_process,
    )


def _run(work: Coroutine[Any, Any, None]) -> None:
    # Cycles are rare on the request's path; collecting the young less often halves the pauses.
    gc.set_threshold(20_000, 20, 50)
    uvloop.run(work)


def _open_storage(store: Store) -> Storage:
    try:
        return store.open()
    except DataDirectoryError as error:
        raise StartError(str(error)) from None


async def _work(settings: Settings, shared: Shared, slot: int, counts: ConnectionCounts, link: Link) -> None:
    stop = _stop_requested(link)
    store, certificates = shared.store, shared.certificates
    storage = _open_storage(store)
    set_kms_key(store.kms_key())
    enforce_quotas(settings.aws_quotas)
    storage.start()
    access = shared.access.make(storage)
    await _start_access(access, store, stop)
    audit = shared.audit.start(storage)
    metrics = shared.metrics.start(slot, storage)
    insights = InsightWatch(storage)
    server = HttpServer(
        build_handler(storage, settings, access, audit, shared.buckets, metrics, insights, Checker(shared.checks)),
        settings.limits,
        counts=counts,
        failure=INTERNAL_ERROR,
        tls=None if certificates is None else certificates.context,
        knows=access.knows,
    )
    insights.start()
    gc.collect()
    gc.freeze()  # What exists now stays; no collection needs to look at it again.
    server.start(shared.listener)
    task = None
    if store.single_process:
        task = asyncio.create_task(_background_work(storage, settings, shared, metrics))
    if certificates is not None:
        _follow(certificates)
    _give_signs_of_life(link)
    link.ready()
    await _until(stop, task)
    await server.drain()
    if metrics.counters is not None and not store.single_process:
        metrics.counters.close()
    if shared.buckets is not None:
        shared.buckets.put_back()
    await insights.close()
    if audit is not None:
        await audit.trail.close()
    access.stop()
    await storage.close()


async def _start_access(access: Access, store: Store, stop: asyncio.Event) -> None:
    """Reads who may what. A process that takes the place of another one waits for a store that is out of reach at
    the moment. Raises what the store raises where that will not change."""
    while not stop.is_set():
        try:
            await access.start()
            return
        except StorageUnavailable as error:
            if not store.several_servers:
                raise
            log.warning("waiting for the store: %s", error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _AGAIN_SECONDS)


async def _background(settings: Settings, shared: Shared, link: Link) -> None:
    run_after_others()
    stop = _stop_requested(link)
    storage = _open_storage(shared.store)
    if shared.buckets is not None:
        storage.on_catalog_change(shared.buckets.changed)
    metrics = shared.metrics.start(settings.workers, storage)
    task = asyncio.create_task(_background_work(storage, settings, shared, metrics))
    _give_signs_of_life(link)
    link.ready()
    await _until(stop, task)
    await shared.metrics.store_rest(storage, metrics)
    await storage.close()


def _background_work(
    storage: Storage, settings: Settings, shared: Shared, metrics: RunningMetrics
) -> Coroutine[Any, Any, None]:
    return background(storage, settings, shared.store, shared.metrics, metrics, shared.buckets)


async def _until(stop: asyncio.Event, background: asyncio.Task[None] | None) -> None:
    """Waits until the process has to stop, and stops its background work. Raises RuntimeError if that ended
    by itself."""
    if background is None:
        await stop.wait()
        return
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({background, stopped}, return_when=asyncio.FIRST_COMPLETED)
    background.cancel()
    (result,) = await asyncio.gather(background, return_exceptions=True)
    if not isinstance(result, asyncio.CancelledError):
        raise RuntimeError("background work ended by itself") from result


def _stop_requested(link: Link) -> asyncio.Event:
    """An event that is set by SIGTERM, and when the supervisor is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def gone() -> None:
        loop.remove_reader(link.lifeline)
        stop.set()

    loop.add_reader(link.lifeline, gone)
    return stop


def _follow(certificates: Certificates) -> None:
    """Reads the certificate anew at each SIGHUP, and renews the server's own. At once too: a signal that came
    while this process started was ignored."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, certificates.refresh)
    certificates.refresh()
    _renew_later(certificates)


def _renew_later(certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()

    def renew() -> None:
        certificates.renew()
        _renew_later(certificates)

    loop.call_later(_RENEW_EVERY, renew)


def _give_signs_of_life(link: Link) -> None:
    """Now, and every second as long as the event loop runs."""
    link.alive()
    asyncio.get_running_loop().call_later(_SIGN_EVERY, _give_signs_of_life, link)
