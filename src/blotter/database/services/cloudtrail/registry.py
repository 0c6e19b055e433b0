"""The operations of CloudTrail that this server has."""

from __future__ import annotations

from collections.abc import Mapping

from blotter.database.services.api import Apart, Call, Direct, Operation, Output
from blotter.database.services.authorization import authorize
from blotter.database.services.cloudtrail.lookup import EventSource, lookup_events
from blotter.database.services.errors import ServiceError


def make_registry(events: EventSource | None) -> Mapping[str, Operation]:
    """`events` is the trail; None: no events are recorded, and none can be looked up."""
    if events is None:
        return {"LookupEvents": Direct(_off)}
    source = events

    def lookup(call: Call) -> Output:
        if call.caller.principal is not None:
            authorize(call, call.caller.principal, "cloudtrail:LookupEvents", "*", {})
        return lookup_events(call, source)

    return {"LookupEvents": Apart(lookup)}


def _off(_: Call) -> Output:
    raise ServiceError("UnsupportedOperationException", "This server keeps no audit trail (--audit off).")
