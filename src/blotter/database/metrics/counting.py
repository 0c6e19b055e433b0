"""What is counted once for every request, and how anything else is counted. Compiled.

`Counters.ended` is called by the pipeline when a request ends. It works on what a plan touches and what a result
or an error says of itself, and depends on no single operation:

    a result     its consumed units, per table and index, and what a handler has counted beside them
                 (`ConsumedCapacity.count`); its time, per table and operation; what it returned
    an error     the units it is charged, and one of: a failed condition, a throttled request, a conflict of
                 transactions, an error of the user (400), an error of the system (500)

Everything else is counted with `add`; the events of throttled requests with `throttled`. All of it is in memory
that the processes share (`cells`) as soon as it is counted, so nothing is lost with a process that is killed.
Series are made anew each minute, so that those of tables that are not used take no room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import orjson

from blotter.database.http.messages import Request
from blotter.database.metrics.cells import Series, Slot
from blotter.database.metrics.names import (
    BLOTTER,
    DYNAMODB,
    INDEX,
    OPERATION,
    STREAM,
    TABLE,
    VECTOR_INDEX,
    Dimensions,
    namespace_of,
    throttle_metrics,
)
from blotter.database.model.arns import parse_arn
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import THROTTLED, DynamoDBError
from blotter.database.operations.answers import Result, Returned
from blotter.database.operations.context import Context
from blotter.database.operations.touches import EVERYTHING, Plan

_THROTTLED_REASONS = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
_CONFLICT = "TransactionConflict"
_NANOSECONDS = 1_000_000_000.0


class _TableSeries:
    """The series of one table that most requests count in."""

    __slots__ = ("account", "operation", "operations", "reads", "region", "times", "writes")

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.reads: Series | None = None
        self.writes: Series | None = None
        self.operations: dict[str, Series] = {}
        """Times by operation; `times` are those of `operation`, the last one."""
        self.operation = ""
        self.times: Series | None = None


class Counters:
    """The counters of one process. `account` and `region` are the server's: requests that could not be
    authenticated, and the server's own metrics, count there. `clock` gives seconds since the epoch, as for the
    pipeline. `slow` is called with every request that took `slow_after` seconds or longer."""

    __slots__ = (
        "_account",
        "_begin",
        "_clock",
        "_commits",
        "_end",
        "_others",
        "_recent",
        "_region",
        "_slot",
        "_slow_after",
        "_tables",
        "slow",
    )

    def __init__(
        self,
        slot: Slot,
        account: str,
        region: str,
        clock: Callable[[], float] = time.time,
        slow_after: float = 1e9,
    ) -> None:
        self._slot = slot
        self._account = account
        self._region = region
        self._clock = clock
        self._slow_after = slow_after
        self.slow: Callable[[Request, Context, Plan, Result | DynamoDBError, float], None] = _nothing
        self._tables: dict[tuple[str, str], dict[str, _TableSeries]] = {}
        """Account and region → table → its series."""
        self._recent: dict[str, _TableSeries] = {}
        """Of the tables of each name, the one that was counted last."""
        self._others: dict[bytes, Series] = {}
        self._commits: Series | None = None
        minute = int(clock() // 60)
        slot.open(minute)
        self._begin = self._end = 0.0
        self._note_minute(minute)

    # Requests

    def ended(
        self, request: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        """Counts a request."""
        now = self._clock()
        if now >= self._end or now < self._begin:
            self._turn(now)
        if context is None:
            self._refused_unknown(outcome)
            return
        elapsed = now - context.now
        if isinstance(outcome, Result):
            nanoseconds = int(elapsed * _NANOSECONDS) if elapsed > 0 else 0
            consumed = outcome.consumed
            if isinstance(consumed, tuple) and len(consumed) == 1:
                self._count(context, consumed[0], nanoseconds)
            else:
                for each in consumed:
                    self._count(context, each, nanoseconds)
            if outcome.returned is not None:
                self._returned(context, consumed, outcome.returned, nanoseconds)
        else:
            self._refused(context, plan, outcome)
        if elapsed >= self._slow_after and plan is not None:
            self.slow(request, context, plan, outcome, elapsed)

    def _count(self, context: Context, consumed: ConsumedCapacity, nanoseconds: int) -> None:
        """Units and time of a request on one table."""
        series = self._consume(context, consumed)
        operation = context.operation
        times = series.times
        if times is None or series.operation != operation:
            times = series.operations.get(operation)
            if times is None:
                where = ((OPERATION, operation), (TABLE, consumed.table_name))
                times = self._series(DYNAMODB, "SuccessfulRequestLatency", series.account, series.region, where)
                series.operations[operation] = times
            series.operation, series.times = operation, times
        times.add_soon(nanoseconds)

    def _consume(self, context: Context, consumed: ConsumedCapacity) -> _TableSeries:
        name = consumed.table_name
        account = context.account if context.owners is None else context.owners.get(name, context.account)
        series = self._recent.get(name)
        if series is None or series.account != account or series.region != context.region:
            series = self._table(account, context.region, name)
        if consumed.counted is not None:
            self._count_added(account, context.region, name, consumed.counted)
        units = consumed.table_units
        if consumed.local_indexes is not None or consumed.global_indexes is not None:
            units += self._consume_indexes(account, context.region, consumed)
            if units == 0.0:  # a read of a global index alone
                return series
        counted = series.writes if consumed.writes else series.reads
        if counted is None:
            counted = self._units(account, context.region, consumed.writes, ((TABLE, name),))
            if consumed.writes:
                series.writes = counted
            else:
                series.reads = counted
        counted.add(int(units * 2.0))
        return series

    def _consume_indexes(self, account: str, region: str, consumed: ConsumedCapacity) -> float:
        """Counts the units of global indexes; returns those of local ones, which count for the table."""
        for index, units in (consumed.global_indexes or {}).items():
            where = ((INDEX, index), (TABLE, consumed.table_name))
            self._units(account, region, consumed.writes, where).add(int(units * 2.0))
        return sum((consumed.local_indexes or {}).values())

    def _count_added(self, account: str, region: str, table: str, counted: dict[tuple[str, str], int]) -> None:
        """Counts what the handler has added to metrics of the table and of its vector indexes."""
        for place, amount in counted.items():
            name, index = place
            where: Dimensions = ((TABLE, table), (VECTOR_INDEX, index)) if index else ((TABLE, table),)
            self._series(namespace_of(name), name, account, region, where).add(amount)

    def _units(self, account: str, region: str, writes: bool, where: Dimensions) -> Series:
        name = "ConsumedWriteCapacityUnits" if writes else "ConsumedReadCapacityUnits"
        return self._series(DYNAMODB, name, account, region, where)

    def _returned(
        self, context: Context, consumed: Sequence[ConsumedCapacity], returned: Returned, nanoseconds: int
    ) -> None:
        operation = (OPERATION, context.operation)
        if returned.stream is None:
            for each in consumed:
                where: Dimensions = (operation, (TABLE, each.table_name))
                self._add(context, "ReturnedItemCount", where, returned.count)
            return
        where = (operation, (STREAM, returned.stream), (TABLE, returned.table))
        self._add(context, "ReturnedRecordsCount", where, returned.count)
        self._add(context, "ReturnedBytes", where, returned.size)
        for place in (where, (operation, (TABLE, returned.table))):
            self._series(DYNAMODB, "SuccessfulRequestLatency", context.account, context.region, place).add_soon(
                nanoseconds
            )

    # Refusals

    def _refused_unknown(self, outcome: Result | DynamoDBError) -> None:
        """Whose request it was is not known."""
        if isinstance(outcome, DynamoDBError):
            name = "SystemErrors" if outcome.status >= 500 else "UserErrors"
            self._series(DYNAMODB, name, self._account, self._region, ()).add(1)

    def _refused(self, context: Context, plan: Plan | None, error: DynamoDBError) -> None:
        for consumed in error.consumed:
            self._consume(context, consumed)
        if error.status >= 500:
            self._count_tables(context, plan, "SystemErrors", by_operation=True)
        elif error.code == "ConditionalCheckFailedException":
            self._count_tables(context, plan, "ConditionalCheckFailedRequests", by_operation=False)
        elif error.code in THROTTLED:
            self._count_tables(context, plan, "ThrottledRequests", by_operation=True)
        else:
            reasons = [] if error.members is None else error.members.get("CancellationReasons") or []
            if any(reason.get("Code") in _THROTTLED_REASONS for reason in reasons):
                self._count_tables(context, plan, "ThrottledRequests", by_operation=True)
                return
            self._add(context, "UserErrors", (), 1)
            if error.code == "TransactionConflictException":
                self._count_tables(context, plan, _CONFLICT, by_operation=False)
            elif reasons:
                self._count_conflicts(context, plan, reasons)

    def _count_conflicts(self, context: Context, plan: Plan | None, reasons: list[dict[str, str]]) -> None:
        """A transaction counts once for each table, as a sample of so many of its items."""
        touches = [] if plan is None else plan.touches()
        items: dict[tuple[str, str], int] = {}
        for reason, touch in zip(reasons, touches, strict=False):
            if reason.get("Code") == _CONFLICT:
                place = _place(context, touch.resource)
                items[place] = items.get(place, 0) + 1
        for (account, table), count in items.items():
            self._series(DYNAMODB, _CONFLICT, account, context.region, ((TABLE, table),)).add(count)

    def _count_tables(self, context: Context, plan: Plan | None, name: str, *, by_operation: bool) -> None:
        """Counts 1 for each table that the plan touches."""
        operation: Dimensions = ((OPERATION, context.operation),) if by_operation else ()
        places = [] if plan is None else [_place(context, touch.resource) for touch in plan.touches()]
        for account, table in dict.fromkeys(place for place in places if place[1] != EVERYTHING):
            self._series(DYNAMODB, name, account, context.region, (*operation, (TABLE, table))).add(1)
        if not places:
            self._add(context, name, operation, 1)

    # Everything else

    def throttled(self, account: str, region: str, table: str, index: str | None, reason: str) -> None:
        """Counts one throttled event: a read or write of one item on a table or a global index. `reason` is that
        of the ThrottlingReason, such as "TableReadProvisionedThroughputExceeded"."""
        where: Dimensions = ((TABLE, table),) if index is None else ((INDEX, index), (TABLE, table))
        for name in throttle_metrics(reason):
            self.add(name, account, region, where)

    def add(
        self,
        name: str,
        account: str = "",
        region: str = "",
        dimensions: Dimensions = (),
        sample: int = 1,
        namespace: str = DYNAMODB,
    ) -> None:
        """Counts one sample of a metric: a count, or the level of something. `sample` is in units of the metric's
        `scale` (`names`) and not negative; `dimensions` are sorted by name. Without an account, it is one of the
        server's own."""
        now = self._clock()
        if now >= self._end or now < self._begin:
            self._turn(now)
        series = self._series(namespace, name, account or self._account, region or self._region, dimensions)
        series.add(sample)

    def _add(self, context: Context, name: str, where: Dimensions, sample: int) -> None:
        self._series(DYNAMODB, name, context.account, context.region, where).add(sample)

    def committed(self, seconds: float) -> None:
        """Counts a synced commit."""
        now = self._clock()
        if now >= self._end or now < self._begin:
            self._turn(now)
        if self._commits is None:
            self._commits = self._series(BLOTTER, "CommitLatency", self._account, self._region, ())
        self._commits.add_soon(int(seconds * _NANOSECONDS) if seconds > 0 else 0)

    # Series and minutes

    def flush_with(self, later: Callable[[], object]) -> None:
        """`later` is called when there are times that `flush` has to write, once before each."""
        self._slot.on_touch = later

    def flush(self) -> None:
        """Writes times to shared memory: they are kept in this process for a second, because writing each of them
        would double what counting costs. All else is there as soon as it is counted."""
        self._slot.flush()

    def close(self) -> None:
        """Ends counting in this process, so that what it has counted can be stored."""
        self._slot.close()

    def finish_minute(self) -> None:
        """Ends a minute that is over, so that it can be stored even if no request comes. To be called after each
        minute."""
        now = self._clock()
        if now >= self._end or now < self._begin:
            self._turn(now)

    @property
    def seconds_left(self) -> float:
        """Seconds until the minute that is counted in ends."""
        return max(0.0, self._end - self._clock())

    def _turn(self, now: float) -> None:
        minute = int(now // 60)
        if self._slot.turn(minute):
            self._tables.clear()
            self._recent.clear()
            self._others.clear()
            self._commits = None
        self._note_minute(minute)

    def _note_minute(self, minute: int) -> None:
        self._begin = minute * 60.0
        self._end = self._begin + 60.0

    def _table(self, account: str, region: str, table: str) -> _TableSeries:
        """The series of a table that was not the last of its name."""
        tables = self._tables.setdefault((account, region), {})
        series = tables.get(table)
        if series is None:
            series = _TableSeries(account, region)
            tables[table] = series
        self._recent[table] = series
        return series

    def _series(self, namespace: str, name: str, account: str, region: str, where: Dimensions) -> Series:
        key = series_name(namespace, name, account, region, where)
        series = self._others.get(key)
        if series is None:
            key = bytes(memoryview(key))  # what orjson returns holds 4 KB for as long as it lives
            series = Series(self._slot, key)
            self._others[key] = series
        return series


def series_name(namespace: str, name: str, account: str, region: str, where: Dimensions) -> bytes:
    """How shared memory names a series: JSON."""
    return orjson.dumps([account, region, namespace, name, where])


def _place(context: Context, resource: str) -> tuple[str, str]:
    """Account and name of the table of a touch."""
    arn = parse_arn(resource) if resource.startswith("arn:") else None
    return (context.account, resource) if arn is None else (arn.account, arn.table)


def _nothing(
    request: Request, context: Context, plan: Plan, outcome: Result | DynamoDBError, seconds: float
) -> None:
    """No slow request is reported."""
