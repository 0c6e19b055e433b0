"""`blotter serve`, put together: one listening socket, workers that answer on it, one process for background work.

    supervisor ─┬─ worker 1 … n    HTTP server → router → dispatcher → pipeline → storage
                └─ background      deletions, backfills, expired items, trimming

This is where packages meet that do not import each other. `serve` binds the socket and claims the data directory,
so that "port taken" and "directory in use" are reported once and before anything runs; each process opens the
storage for itself, after the fork, because SQLite's connections must not cross one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import gc
import logging
import mmap
import os
import resource
import shlex
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from blotter.database import logs
from blotter.database.access_setup import AccessSetup
from blotter.database.admission.buckets import Buckets
from blotter.database.admission.limits import LimitedTables
from blotter.database.admission.partitions import PartitionLimits
from blotter.database.admission.stage import Admission
from blotter.database.audit_setup import AuditSetup, RunningAudit
from blotter.database.authorization.stage import Authorization, table_finder
from blotter.database.background_setup import background
from blotter.database.http.certificates import CertificateError, Certificates
from blotter.database.http.messages import Pending, Response
from blotter.database.http.origins import Origins
from blotter.database.http.routing import Router
from blotter.database.http.server import ConnectionCounts, HttpServer
from blotter.database.insight_watch import InsightWatch
from blotter.database.metrics_setup import MetricsSetup, RunningMetrics
from blotter.database.operations.tables.protection import set_kms_key
from blotter.database.operations.tables.quotas import enforce_quotas
from blotter.database.operations.vectors.copies import COPIES
from blotter.database.pipeline import Pipeline
from blotter.database.request_log import RequestLog, SlowRequests, both
from blotter.database.security.access import Access
from blotter.database.services.dynamodb import INTERNAL_ERROR, health
from blotter.database.services.table import Trail, make_dispatcher
from blotter.database.settings import Settings
from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import RECORDS_SPACE, DataDirectoryError, Storage, StorageUnavailable, Store
from blotter.database.storage.stores import postgres_store, store_at
from blotter.database.supervisor import Link, Role, StartError, Supervisor
from blotter.hosts import is_loopback

log = logging.getLogger(__name__)

_BACKLOG = 1024
# Seconds between two signs of life of a process.
_SIGN_EVERY = 1.0
# Seconds between two looks at whether the server's own certificate has to be renewed.
_RENEW_EVERY = 3600.0
# Seconds between two attempts to read a store that is out of reach.
_AGAIN_SECONDS = 1.0
# Descriptors that are not client connections: the store's files, pipes, the loop.
_OWN_FILES = 128
_MOST_FILES = 65_536


def serve(settings: Settings, ready_fd: int | None = None) -> int:
    """Runs the server until it is stopped; returns the process's exit status."""
    logs.set_up(settings.log_format, settings.log_level)
    try:
        report_to = _open_descriptors(ready_fd)
        store = _store(settings)
        own = _claim_own_directory(settings)
        store.claim()
        certificates = _certificates(settings)
        listener = listen(settings.host, settings.port)
        scraped = None if settings.metrics_port is None else listen(*settings.metrics_port, "--metrics-port")
        access = AccessSetup(settings, store)
        audit = AuditSetup(settings, store)
        access.prepare(store)
    except (StartError, DataDirectoryError, CertificateError) as error:
        logs.say(str(error), "error")
        return 1
    settings = _within_open_files(settings)
    url = _url(settings, listener.getsockname()[1])
    buckets = Buckets(shared=settings.workers > 1) if settings.throttling else None
    connections = _connection_counts(settings.workers)
    metrics = MetricsSetup(settings, store, connections, scraped)
    supervisor = Supervisor(
        _roles(settings, Shared(listener, store, certificates, access, audit, buckets, connections, metrics)),
        lambda: _announce(settings, url, store, access.new_root_file, report_to, metrics.url),
        settings.limits.drain_timeout,
        report_to,
        settings.hang_timeout,
        None if certificates is None else certificates.refresh,
        metrics.note_restart,
    )
    try:
        status = supervisor.run()
        metrics.finish()
        return status
    finally:
        listener.close()
        metrics.close()
        access.close()
        store.release()
        if own is not None:
            own.release()


def _store(settings: Settings) -> Store:
    if settings.in_memory:
        return store_at("memory:")
    if settings.store is None:
        return store_at(f"sqlite:{settings.data_dir}", settings.master_key)
    return postgres_store(settings.store, settings.master_key)


def _claim_own_directory(settings: Settings) -> DataDirectory | None:
    """With the data in PostgreSQL, the directory for what this server has for itself, which is of use to no other.
    Raises DataDirectoryError."""
    if not settings.data_are_elsewhere:
        return None
    from blotter.database.storage.sqlite.schema import FILE_NAME

    if (settings.data_dir / FILE_NAME).exists():
        raise DataDirectoryError(
            f"{settings.data_dir} holds a database of its own: choose another --data-dir for a server with --store"
        )
    return DataDirectory.claim(settings.data_dir)


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket. Raises StartError with the reason as an operator wants to read it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        advice = ""
        ways = f"{option} or BLOTTER_{option[2:].upper().replace('-', '_')}"
        if error.errno == errno.EADDRINUSE:
            advice = f" (is another server running there?); choose another with {ways} (0: a free one)"
        elif error.errno == errno.EACCES:
            advice = f"; choose one above 1023 with {ways}"
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}{advice}") from None
    return listener


def build_handler(
    storage: Storage,
    settings: Settings,
    access: Access,
    audit: RunningAudit | None = None,
    buckets: Buckets | None = None,
    metrics: RunningMetrics | None = None,
    insights: InsightWatch | None = None,
) -> Router:
    """The handler of all requests: router, services, pipeline."""
    recorder = None if audit is None else audit.recorder
    COPIES.limit = settings.vector_memory
    counters = None if metrics is None else metrics.counters
    slow = SlowRequests(settings.slow_requests) if settings.slow_requests > 0 else None
    if slow is not None and counters is not None:
        counters.slow = slow.report
        slow = None
    account = both(RequestLog() if RequestLog.wanted() else None, slow)
    authenticate = access.authenticator("dynamodb")
    authorize = Authorization(access.state, table_finder(storage)) if access.enforced else None
    pipeline = Pipeline(
        storage,
        authenticate,
        table_delay=settings.table_delay,
        account=account,
        counters=counters,
        authorize=authorize,
        admission=None if buckets is None else _admission(storage, settings, buckets, metrics),
        audit=recorder,
    )
    if insights is not None:
        insights.attach(account, pipeline.account_with)
    trail = Trail(recorder, None if audit is None else audit.events)
    reader = None if metrics is None else metrics.reader
    services = make_dispatcher(pipeline.answer, access, storage, trail, reader)
    line = health(settings.region)
    probes = {"/": lambda: line, "/health": lambda: _HEALTHY, "/ready": lambda: _readiness(storage)}
    # A web page cannot sign, so it needs no other refusal where every request must be signed.
    origins = None if access.enforced else Origins(settings.host, settings.allowed_hosts)
    return Router(services, services.refuse, probes, origins)


def _admission(
    storage: Storage, settings: Settings, buckets: Buckets, metrics: RunningMetrics | None
) -> Admission:
    tables = LimitedTables(
        storage, buckets, account_quotas=settings.aws_quotas, all_tables=settings.partition_limits
    )
    partitions = PartitionLimits(buckets) if settings.partition_limits else None
    return Admission(tables, buckets, partitions, None if metrics is None else metrics.on_throttle)


_JSON = (("Content-Type", "application/json"),)
# Less than `blotter healthcheck` and load balancers wait for.
_READY_SECONDS = 2.0
_HEALTHY = Response(200, b'{"status":"ok"}', _JSON)


def _readiness(storage: Storage) -> Response | Pending:
    """Whether this worker can answer requests now: whether it can read its storage."""
    try:
        snapshot = storage.read()
        if snapshot is not None:
            with snapshot:
                return _HEALTHY
        return _asked(storage)
    except Exception as error:
        return _ready_or_not(error)


def _asked(storage: Storage) -> Pending:
    """Whether a store across a network answers a read, in time."""
    pending = Pending()
    answered: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def settle(error: BaseException | None) -> None:
        if not answered.done():
            late.cancel()
            answered.set_result(error)
            pending.settle(_ready_or_not(error))

    late = asyncio.get_running_loop().call_later(_READY_SECONDS, settle, TimeoutError("the store does not answer"))
    storage.submit_read(lambda tx: tx.get(RECORDS_SPACE, b"ready"), lambda _, error: settle(error))
    return pending


def _ready_or_not(error: BaseException | None) -> Response:
    if error is None:
        return _HEALTHY
    log.warning("not ready: %s", error)
    return Response(503, b'{"status":"the storage cannot be read"}', _JSON)


def open_storage(store: Store) -> Storage:
    try:
        return store.open()
    except DataDirectoryError as error:
        raise StartError(str(error)) from None


def _open_descriptors(ready_fd: int | None) -> list[int]:
    if ready_fd is None:
        return []
    try:
        os.fstat(ready_fd)
    except OSError:
        raise StartError(f"--ready-fd {ready_fd} is no open file descriptor") from None
    return [ready_fd]


def _certificates(settings: Settings) -> Certificates | None:
    """The certificate that the server shows; None without TLS. Raises CertificateError."""
    if settings.tls_certificate is not None and settings.tls_key is not None:
        return Certificates(settings.tls_certificate, settings.tls_key)
    if not settings.tls_self_signed:
        return None
    from blotter.database.http.self_signed import FOLDER, SERVER, ensure, machine_names

    folder = settings.data_dir / FOLDER
    more = (settings.host, *settings.allowed_hosts)
    return Certificates(folder / SERVER, folder / SERVER, lambda: ensure(folder, machine_names(more)))


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


def _connection_counts(workers: int) -> memoryview[int]:
    counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("I")
    for slot in range(workers):
        counts[slot] = ConnectionCounts.GONE
    return counts


def _roles(settings: Settings, shared: Shared) -> list[Role]:
    workers = [_worker(settings, shared, slot) for slot in range(settings.workers)]
    if shared.store.single_process:
        return workers
    return [*workers, Role("background", lambda link: _run(_background(settings, shared, link)))]


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


async def _work(settings: Settings, shared: Shared, slot: int, counts: ConnectionCounts, link: Link) -> None:
    stop = _stop_requested(link)
    store, certificates = shared.store, shared.certificates
    storage = open_storage(store)
    set_kms_key(store.kms_key())
    enforce_quotas(settings.aws_quotas)
    storage.start()
    access = shared.access.make(storage)
    await _start_access(access, store, stop)
    audit = shared.audit.start(storage)
    metrics = shared.metrics.start(slot, storage)
    insights = InsightWatch(storage)
    server = HttpServer(
        build_handler(storage, settings, access, audit, shared.buckets, metrics, insights),
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
    stop = _stop_requested(link)
    storage = open_storage(shared.store)
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


def _within_open_files(settings: Settings) -> Settings:
    """Raises the limit of open files as far as allowed, and keeps the connections below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    most = max(16, (_MOST_FILES if soft == resource.RLIM_INFINITY else soft) - _OWN_FILES)
    return dataclasses.replace(settings, max_connections=min(settings.max_connections, most))


def _announce(
    settings: Settings,
    url: str,
    store: Store,
    root_file: Path | None,
    report_to: list[int],
    metrics_url: str | None,
) -> None:
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    with contextlib.suppress(BrokenPipeError):  # The reader may be gone; the server serves all the same.
        logs.say(f"ready on {url} ({workers}, {store.description})", file=sys.stdout)
        if metrics_url is not None:
            logs.say(f"metrics on {metrics_url}", file=sys.stdout)
        if settings.tls_self_signed:
            authority = (settings.data_dir / "tls" / "ca.pem").resolve()
            logs.say(f"clients trust it with AWS_CA_BUNDLE={shlex.quote(str(authority))}", file=sys.stdout)
        if root_file is not None:
            shown = shlex.quote(str(root_file.resolve()))
            logs.say(
                f"the root key of account {settings.account} was made: AWS_SHARED_CREDENTIALS_FILE={shown}",
                file=sys.stdout,
            )
    if settings.metrics_port is not None and not is_loopback(settings.metrics_port.host):
        log.warning("metrics on %s: everyone who can reach it sees names and traffic of tables", metrics_url)
    if settings.exposed and not settings.enforced:
        log.warning("open access on %s: everyone who can reach it can read and delete the data", settings.host)
    while report_to:
        with contextlib.suppress(BrokenPipeError):
            os.write(report_to[-1], f"{url}\n".encode())
        os.close(report_to.pop())


def _url(settings: Settings, port: int) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls else 'http'}://{host}:{port}"
