"""`blotter serve`, put together: one listening socket, workers that answer on it, one process for background work.

This is where packages meet that do not import each other. `serve` binds the socket and claims the data directory,
so that "port taken" and "directory in use" are reported once and before anything runs; then the supervisor runs
the processes (`processes`).
"""

from __future__ import annotations

import os

from blotter.database.admission.buckets import Buckets
from blotter.database.checking.channel import make_channel
from blotter.database.http.certificates import CertificateError, Certificates
from blotter.database.serving import logs
from blotter.database.serving.access import AccessSetup
from blotter.database.serving.announcing import announce
from blotter.database.serving.audit import AuditSetup
from blotter.database.serving.listening import listen, url_of, within_open_files
from blotter.database.serving.metrics import MetricsSetup
from blotter.database.serving.processes import Shared, connection_counts, roles
from blotter.database.serving.supervisor import StartError, Supervisor
from blotter.database.settings import Settings
from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError, Store
from blotter.database.storage.stores import postgres_store, store_at


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
    settings = within_open_files(settings)
    url = url_of(settings, listener.getsockname()[1])
    buckets = Buckets(shared=settings.workers > 1) if settings.throttling else None
    connections = connection_counts(settings.workers)
    metrics = MetricsSetup(settings, store, connections, scraped)
    checks = make_channel()
    shared = Shared(listener, store, certificates, access, audit, buckets, connections, metrics, checks)
    supervisor = Supervisor(
        roles(settings, shared),
        lambda: announce(settings, url, store, access.new_root_file, report_to, metrics.url),
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
        checks.close()
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
