"""The request log: a line for every request, for debugging (log level debug), and one for each slow request.

It works on the touches of a plan and the consumed capacity of a result, and depends on no single operation:

    {"id": "4TS…", "operation": "PutItem", "account": "123456789012", "region": "us-east-1", "caller": "local",
     "tables": ["results"], "status": 200, "milliseconds": 0.412,
     "consumed": [{"table": "results", "write": 2.0, "indexes": {"by-date": 1.0}}]}

    request 4TS… was slow: Query of results took 1.204 s and consumed 128 read units

A request that failed has its error's code under "error". Values and keys of items are never in it. With
`--log-format json` the members of the first are those of the line, of both.
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

Account = Callable[[Request, "Context | None", "Plan | None", "Result | DynamoDBError"], None]
"""As `pipeline.Account`."""


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
        seconds = 0.0 if context is None else self._clock() - context.now
        line = _line(request, context, plan, outcome, seconds)
        more = {"fields": {**line, "request_id": request.id}, "brief": "request"}
        log.debug("%s", orjson.dumps(line).decode(), extra=more)


class SlowRequests:
    """Logs requests that took `seconds` or longer. An `Account` of the pipeline, and for who measures anyway
    (`metrics.counting`) a method that is called with slow ones alone."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._clock = clock

    def __call__(
        self, request: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        if context is not None and plan is not None:
            seconds = self._clock() - context.now
            if seconds >= self._seconds:
                self.report(request, context, plan, outcome, seconds)

    def report(
        self, request: Request, context: Context, plan: Plan, outcome: Result | DynamoDBError, seconds: float
    ) -> None:
        line = _line(request, context, plan, outcome, seconds)
        units = ", ".join(
            f"{each.total:g} {'write' if each.writes else 'read'} units" for each in outcome.consumed
        )
        log.warning(
            "request %s was slow: %s of %s took %.3f s and consumed %s%s",
            request.id,
            context.operation,
            ", ".join(line["tables"]),
            seconds,
            units or "nothing",
            f" ({line['error']})" if "error" in line else "",
            extra={"fields": line, "brief": "slow request"},
        )


def both(*accounts: Account | None) -> Account | None:
    """One `Account` that calls those that there are."""
    wanted = [account for account in accounts if account is not None]
    if len(wanted) < 2:
        return wanted[0] if wanted else None

    def account(
        request: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        for each in wanted:
            each(request, context, plan, outcome)

    return account


def _line(
    request: Request,
    context: Context | None,
    plan: Plan | None,
    outcome: Result | DynamoDBError,
    seconds: float,
) -> dict[str, Any]:
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
        line["milliseconds"] = round(seconds * 1000, 3)
    line["consumed"] = [_consumed(each) for each in outcome.consumed]
    return line


def _consumed(consumed: ConsumedCapacity) -> dict[str, Any]:
    """The units of a table and, where there are any, of its indexes."""
    described: dict[str, Any] = {
        "table": consumed.table_name,
        "write" if consumed.writes else "read": consumed.table_units,
    }
    indexes = {**(consumed.local_indexes or {}), **(consumed.global_indexes or {})}
    return described | {"indexes": indexes} if indexes else described
