"""The request log: one line of JSON for every request, for debugging. Off unless the log level is debug.

It works on the touches of a plan and the consumed capacity of a result, and depends on no single operation:

    {"id": "4TS…", "operation": "PutItem", "account": "123456789012", "region": "us-east-1", "caller": "local",
     "tables": ["results"], "status": 200, "milliseconds": 0.412,
     "consumed": [{"table": "results", "write": 2.0, "indexes": {"by-date": 1.0}}]}

A request that failed has its error's code under "error". Values and keys of items are never in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import orjson

from blotter.database.http.messages import Request
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan

log = logging.getLogger(__name__)


class RequestLog:
    """An `Account` of the pipeline. `clock` is the pipeline's: it gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    @staticmethod
    def wanted() -> bool:
        return log.isEnabledFor(logging.DEBUG)

    def __call__(
        self, request: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        line: dict[str, Any] = {"id": request.id}
        if context is not None:
            line["operation"] = context.operation
            line["account"] = context.account
            line["region"] = context.region
            line["caller"] = None if context.caller is None else context.caller.access_key
        if plan is not None:
            line["tables"] = list(dict.fromkeys(touch.resource for touch in plan.touches()))
        if isinstance(outcome, DynamoDBError):
            line["status"] = outcome.status
            line["error"] = outcome.code
        else:
            line["status"] = 200
        if context is not None:
            line["milliseconds"] = round((self._clock() - context.now) * 1000, 3)
        line["consumed"] = [_consumed(each) for each in outcome.consumed]
        log.debug("%s", orjson.dumps(line).decode())


def _consumed(consumed: ConsumedCapacity) -> dict[str, Any]:
    """The units of a table and, where there are any, of its indexes."""
    described: dict[str, Any] = {
        "table": consumed.table_name,
        "write" if consumed.writes else "read": consumed.table_units,
    }
    indexes = {**(consumed.local_indexes or {}), **(consumed.global_indexes or {})}
    return described | {"indexes": indexes} if indexes else described
