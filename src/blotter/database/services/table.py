"""The services of a server, and how requests name them.

The names beside the scope are those of botocore's models (`models/`), repeated here so that no model has to be
read before a request needs it; a test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from blotter.database.http.messages import Handler
from blotter.database.metrics.series import MetricReader
from blotter.database.security.access import Access
from blotter.database.services.api import ApiService, Audit, Operation
from blotter.database.services.dispatch import Claims, Dispatcher
from blotter.database.services.dynamodb import DynamoDBService
from blotter.database.services.unknown import UnknownService
from blotter.database.storage.protocol import Storage

if TYPE_CHECKING:
    from blotter.database.services.cloudtrail.lookup import EventSource


class Entry(NamedTuple):
    """A service other than DynamoDB: its name in the scope (and of its model), its target prefix ("" without
    one), its API's version, and `load`, which imports and makes its registry on the first request to it. An empty
    registry answers every operation with an error that names it."""

    scope: str
    target: str
    version: str
    load: Callable[[Backing], Mapping[str, Operation]]


class Trail(NamedTuple):
    """The audit trail as services use it: what records their requests, and what `lookup-events` reads. Both are
    None when nothing is recorded."""

    audit: Audit | None = None
    events: EventSource | None = None


class Backing(NamedTuple):
    """What services stand on, beside the store: who asks, the audit trail, and the server's metrics."""

    access: Access
    trail: Trail
    metrics: MetricReader


def _sts(backing: Backing) -> Mapping[str, Operation]:
    from blotter.database.services.sts.registry import make_registry

    return make_registry(backing.access)


def _iam(backing: Backing) -> Mapping[str, Operation]:
    from blotter.database.services.iam.registry import make_registry

    return make_registry(backing.access)


def _cloudtrail(backing: Backing) -> Mapping[str, Operation]:
    from blotter.database.services.cloudtrail.registry import make_registry

    return make_registry(backing.trail.events)


def _cloudwatch(backing: Backing) -> Mapping[str, Operation]:
    from blotter.database.services.cloudwatch.registry import make_registry

    return make_registry(backing.metrics)


def _autoscaling(_: Backing) -> Mapping[str, Operation]:
    from blotter.database.services.autoscaling.registry import make_registry

    return make_registry()


SERVICES = (
    Entry("sts", "", "2011-06-15", _sts),
    Entry("iam", "", "2010-05-08", _iam),
    Entry("cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "2013-11-01", _cloudtrail),
    Entry("monitoring", "GraniteServiceVersion20100801", "2010-08-01", _cloudwatch),
    Entry("application-autoscaling", "AnyScaleFrontendService", "2016-02-06", _autoscaling),
)

DYNAMODB_TARGETS = ("DynamoDB_20120810", "DynamoDBStreams_20120810")


def make_dispatcher(
    dynamodb: Handler,
    access: Access,
    storage: Storage,
    trail: Trail = Trail(),  # noqa: B008
    metrics: MetricReader | None = None,
) -> Dispatcher:
    """The dispatcher of a server whose pipeline is `dynamodb`, over the same store. Without `metrics`, only what
    is stored of them is read."""
    service = DynamoDBService(dynamodb)
    backing = Backing(access, trail, metrics or MetricReader())
    claims = [Claims(service, "dynamodb", DYNAMODB_TARGETS)]
    for entry in SERVICES:
        names = (entry.target,) if entry.target else ()
        authenticate = access.authenticator(entry.scope)
        api = ApiService(entry.scope, partial(entry.load, backing), authenticate, storage, audit=trail.audit)
        claims.append(Claims(api, entry.scope, names, (entry.version,), names))
    return Dispatcher(service, claims, UnknownService)
