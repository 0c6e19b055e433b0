"""The handler of all requests of a worker, put together of the other packages: router, services, pipeline."""

from __future__ import annotations

from blotter.database.admission.buckets import Buckets
from blotter.database.admission.limits import LimitedTables
from blotter.database.admission.partitions import PartitionLimits
from blotter.database.admission.stage import Admission
from blotter.database.authorization.stage import Authorization, table_finder
from blotter.database.checking.client import Checker
from blotter.database.http.origins import Origins
from blotter.database.http.routing import Router
from blotter.database.insight_watch import InsightWatch
from blotter.database.operations.vectors.copies import COPIES
from blotter.database.pipeline import Pipeline
from blotter.database.request_log import RequestLog, SlowRequests, both
from blotter.database.security.access import Access
from blotter.database.services.dynamodb import health
from blotter.database.services.table import Trail, make_dispatcher
from blotter.database.serving.audit import RunningAudit
from blotter.database.serving.metrics import RunningMetrics
from blotter.database.serving.readiness import HEALTHY, readiness
from blotter.database.settings import Settings
from blotter.database.storage.protocol import Storage


def build_handler(
    storage: Storage,
    settings: Settings,
    access: Access,
    audit: RunningAudit | None = None,
    buckets: Buckets | None = None,
    metrics: RunningMetrics | None = None,
    insights: InsightWatch | None = None,
    checker: Checker | None = None,
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
        checker=checker,
    )
    if insights is not None:
        insights.attach(account, pipeline.account_with)
    trail = Trail(recorder, None if audit is None else audit.events)
    reader = None if metrics is None else metrics.reader
    services = make_dispatcher(pipeline.answer, access, storage, trail, reader)
    line = health(settings.region)
    probes = {"/": lambda: line, "/health": lambda: HEALTHY, "/ready": lambda: readiness(storage)}
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
