"""The admit stage: whether the tables and indexes that a plan touches have the capacity for it.

    touch → the limits of its table → a unit from their buckets → AWS's refusal, or the request goes on
    result → what it really consumed → the buckets get the rest, or give what they lack

Works on `Plan.touches` and on the capacity that results consumed, and knows no operation by name. What a request
will consume is known only once it is executed. So the smallest possible amount is taken before, for each item one
write unit or half a read unit, and the difference is settled with the result: a bucket may owe units then, and
gives none before they are filled in. A request that consumed nothing, because it failed, gets back what it took.

A write also needs a unit in each global index of its table that is limited: an index that cannot keep up throttles
its table (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/gsi-throttling.html). Of a batch the
throttled parts are left unprocessed, unless all are: then the request fails. A transaction is canceled as a whole.
A request that touches no limited table pays for a look-up, and for less where no table is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from blotter.database.admission.buckets import Buckets
from blotter.database.admission.limits import LimitedTables, Limits, Pair
from blotter.database.admission.partitions import PartitionLimits
from blotter.database.admission.refusals import Limit, throttled
from blotter.database.execution.job import Ends
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import ItemRead, Plan, Touch

WRITE_UNITS: Final = 1.0
READ_UNITS: Final = 0.5
"""The least that a write and a read of an item consume."""

Throttle = Callable[[Context, str, Sequence[Limit]], None]
"""Called with the name of a table and the limits that a request or one part of a batch exceeded."""


class Taking:
    """Units that were taken for one touch. `limit` is None for one that is only limited elsewhere."""

    __slots__ = ("limit", "limits", "partition", "units")

    def __init__(self, limits: Limits, limit: Limit | None, partition: Limit | None, units: float) -> None:
        self.limits: Final = limits
        self.limit: Final = limit
        self.partition: Final = partition
        self.units: Final = units


class Admission:
    """Admits the requests of one process."""

    __slots__ = ("_buckets", "_on_throttle", "_partitions", "_tables")

    def __init__(
        self,
        tables: LimitedTables,
        buckets: Buckets,
        partitions: PartitionLimits | None = None,
        on_throttle: Throttle | None = None,
    ) -> None:
        self._tables: Final = tables
        self._buckets: Final = buckets
        self._partitions: Final = partitions
        self._on_throttle: Final = on_throttle

    def admit(self, context: Context, plan: Plan, ends: Ends) -> Ends:
        """What ends the request, instead of `ends`. Raises the refusal of a request that is throttled as a whole;
        of other plans it refuses or postpones parts."""
        if not self._tables.may_limit(context.now):
            return ends
        if isinstance(plan, ItemRead):
            limits = self._tables.find(context.account, context.region, plan.table, context.now)
            if limits is None:
                return ends
            return self._admit_one(context, plan, ends, limits, limits.own, writes=False)
        touches = plan.touches()
        if len(touches) == 1:
            touch = touches[0]
            limits = self._limits_of(context, touch)
            if limits is None:
                return ends
            writes = not touch.select
            pair = limits.own if writes else limits.reading(touch.index)
            return self._admit_one(context, plan, ends, limits, pair, writes=writes)
        limited = [self._limits_of(context, touch) for touch in touches]
        if any(limits is not None for limits in limited):
            return self._admit(context, plan, ends, touches, limited)
        return ends

    def _limits_of(self, context: Context, touch: Touch) -> Limits | None:
        if touch.select or touch.return_values:
            return self._tables.find(context.account, context.region, touch.resource, context.now)
        return None

    def _admit_one(
        self, context: Context, plan: Plan, ends: Ends, limits: Limits, pair: Pair, *, writes: bool
    ) -> Ends:
        """`_admit` for what most requests are: one touch, and units for it in `pair`."""
        if self._partitions is None:
            limit = pair.write if writes else pair.read
            units = WRITE_UNITS if writes else READ_UNITS
            if limit is None and not limits.indexes:
                return ends
            if limit is None or self._buckets.take(limit.bucket, units):
                if not writes or self._hold(limits.blocking):
                    return MeteredOne(ends, self._buckets, limits, limit, units)
                if limit is not None:
                    self._buckets.charge(limit.bucket, -units)
        return self._admit(context, plan, ends, plan.touches(), (limits,))

    def _hold(self, blocking: list[Limit]) -> bool:
        """Whether each has a unit."""
        return not blocking or all(self._buckets.take(limit.bucket, 0.0) for limit in blocking)

    def _admit(
        self,
        context: Context,
        plan: Plan,
        ends: Ends,
        touches: Sequence[Touch],
        limited: Sequence[Limits | None],
    ) -> Ends:
        takings: list[Taking] = []
        refused: dict[int, DynamoDBError] = {}
        for number, touch in enumerate(touches):
            limits = limited[number]
            if limits is None:
                continue
            exceeded = self._take(limits, touch, takings)
            if exceeded:
                refused[number] = throttled(exceeded)
                if self._on_throttle is not None:
                    self._on_throttle(context, limits.name, exceeded)
        if refused:
            try:
                _refuse(plan, refused, len(touches))
            except DynamoDBError:
                self._give_back(takings)
                raise
        return Metered(ends, self._buckets, takings)

    def _take(self, limits: Limits, touch: Touch, takings: list[Taking]) -> list[Limit]:
        """Takes the units of a touch, or none: the limits that it exceeds."""
        writes = not touch.select
        units = WRITE_UNITS if writes else READ_UNITS
        pair = limits.own if writes else limits.reading(touch.index)
        limit = pair.write if writes else pair.read
        exceeded: list[Limit] = []
        if limit is not None and not self._buckets.take(limit.bucket, units):
            exceeded.append(limit)
        if writes:
            exceeded += [each for each in limits.blocking if not self._buckets.take(each.bucket, 0.0)]
        partition = None
        if self._partitions is not None:
            partition = self._partitions.limit(limits, pair, touch, writes=writes)
            if partition is not None and not self._buckets.take(partition.bucket, units):
                exceeded.append(partition)
        if exceeded:
            for taken in (limit, partition):
                if taken is not None and taken not in exceeded:
                    self._buckets.charge(taken.bucket, -units)
        elif limit is not None or partition is not None or limits.indexes:
            takings.append(Taking(limits, limit, partition, units))
        return exceeded

    def _give_back(self, takings: Sequence[Taking]) -> None:
        settle(self._buckets, takings, ())


def _refuse(plan: Any, refused: dict[int, DynamoDBError], count: int) -> None:
    """Refuses or postpones the throttled parts of a plan. Raises its refusal as a whole."""
    first = next(iter(refused.values()))
    cancellation = getattr(plan, "cancellation", None)
    if cancellation is not None:
        raise cancellation(refused)
    postpone = getattr(plan, "postpone", None)
    if postpone is not None and len(refused) < count:
        postpone(list(refused))
        return
    refuse = getattr(plan, "refuse", None)
    if refuse is None:
        raise first
    # From the last one on: a part that is refused touches nothing any more, so those behind it move up.
    for number in sorted(refused, reverse=True):
        refuse(number, refused[number])


def settle(buckets: Buckets, takings: Sequence[Taking], consumed: Sequence[ConsumedCapacity]) -> None:
    """Charges the buckets with what was consumed, less what was taken before."""
    due: dict[Limit, float] = {}
    touches: dict[str, int] = {}
    for taking in takings:
        name = taking.limits.name
        touches[name] = touches.get(name, 0) + 1
        for limit in (taking.limit, taking.partition):
            if limit is not None:
                due[limit] = due.get(limit, 0.0) - taking.units
    for each in consumed:
        count = touches.get(each.table_name, 0)
        if not count:
            continue
        share = _of_table(each) / count
        for taking in takings:
            if taking.limits.name == each.table_name and taking.partition is not None:
                due[taking.partition] = due.get(taking.partition, 0.0) + share
        limits = next(taking.limits for taking in takings if taking.limits.name == each.table_name)
        own = limits.own.write if each.writes else limits.own.read
        if own is not None:
            due[own] = due.get(own, 0.0) + _of_table(each)
        for name, units in (each.global_indexes or {}).items():
            pair = limits.indexes.get(name)
            limit = None if pair is None else pair.write if each.writes else pair.read
            if limit is not None:
                due[limit] = due.get(limit, 0.0) + units
    for limit, units in due.items():
        if units:
            buckets.charge(limit.bucket, units)


def _of_table(consumed: ConsumedCapacity) -> float:
    """What is taken from the table's own units: its local indexes use them too."""
    local = consumed.local_indexes
    return consumed.table_units + (sum(local.values()) if local is not None else 0.0)


class Metered(Ends):
    """How a request ends that took units: what it consumed is settled first."""

    __slots__ = ("_buckets", "_ends", "_takings")

    def __init__(self, ends: Ends, buckets: Buckets, takings: Sequence[Taking]) -> None:
        self._ends = ends
        self._buckets = buckets
        self._takings = takings

    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response | Pending:
        settle(self._buckets, self._takings, result.consumed)
        return self._ends.succeeded(result, request, context, plan)

    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response | Pending:
        settle(self._buckets, self._takings, error.consumed if isinstance(error, DynamoDBError) else ())
        return self._ends.failed(error, request, context, plan)


class MeteredOne(Ends):
    """`Metered` for one touch: `units` were taken from `limit`, if there is one."""

    __slots__ = ("_buckets", "_ends", "_limit", "_limits", "_units")

    def __init__(self, ends: Ends, buckets: Buckets, limits: Limits, limit: Limit | None, units: float) -> None:
        self._ends = ends
        self._buckets = buckets
        self._limits = limits
        self._limit = limit
        self._units = units

    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response | Pending:
        self._settle(result.consumed)
        return self._ends.succeeded(result, request, context, plan)

    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response | Pending:
        self._settle(error.consumed if isinstance(error, DynamoDBError) else ())
        return self._ends.failed(error, request, context, plan)

    def _settle(self, consumed: Sequence[ConsumedCapacity]) -> None:
        limits, limit = self._limits, self._limit
        if limit is not None and isinstance(consumed, tuple) and len(consumed) == 1:
            each: ConsumedCapacity = consumed[0]
            own = limits.own.write if each.writes else limits.own.read
            if limit is own and each.global_indexes is None and each.table_name == limits.name:
                units = _of_table(each) - self._units
                if units:
                    self._buckets.charge(limit.bucket, units)
                return
        settle(self._buckets, (Taking(limits, limit, None, self._units),), consumed)
