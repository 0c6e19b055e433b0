"""The services of a server, and how requests name them.

The names beside the scope are those of botocore's models (`models/`), repeated here so that no model has to be
read before a request needs it; a test compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from blotter.database.http.messages import Handler
from blotter.database.services.api import ApiService, Authenticate, Operation
from blotter.database.services.dispatch import Claims, Dispatcher
from blotter.database.services.dynamodb import DynamoDBService
from blotter.database.services.sts import registry as sts
from blotter.database.services.unknown import UnknownService


class Entry(NamedTuple):
    """A service other than DynamoDB: its name in the scope (and of its model), its target prefix ("" without
    one), its API's version, and its operations. An empty registry answers every operation with an error that
    names it."""

    scope: str
    target: str
    version: str
    operations: Mapping[str, Operation]


SERVICES = (
    Entry("sts", "", "2011-06-15", sts.OPERATIONS),
    Entry("iam", "", "2010-05-08", {}),
    Entry("cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "2013-11-01", {}),
    Entry("monitoring", "GraniteServiceVersion20100801", "2010-08-01", {}),
    Entry("application-autoscaling", "AnyScaleFrontendService", "2016-02-06", {}),
)

DYNAMODB_TARGETS = ("DynamoDB_20120810", "DynamoDBStreams_20120810")


def make_dispatcher(dynamodb: Handler, authenticate: Authenticate) -> Dispatcher:
    """The dispatcher of a server whose pipeline is `dynamodb`."""
    service = DynamoDBService(dynamodb)
    claims = [Claims(service, "dynamodb", DYNAMODB_TARGETS)]
    for entry in SERVICES:
        names = (entry.target,) if entry.target else ()
        api = ApiService(entry.scope, entry.operations, authenticate)
        claims.append(Claims(api, entry.scope, names, (entry.version,), names))
    return Dispatcher(service, claims, UnknownService)
