"""Counts the keys of tables with contributor insights, in one process.

It is an `Account` of the pipeline in front of another one, and only while there are such tables: `on_change` is
called when the first comes and when the last one goes, so that without them requests pay nothing. Settings are
looked at every second by one read; what was counted is added to the points in the store every few seconds
(`points`).

Of a request that touches several items of a table, each gets an equal share of what the table was charged. A Query
counts for its partition; a Scan has no keys and counts for none. Like AWS, PartiQL statements are not counted, and
units are 3 for a write unit, 1 for a read unit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import orjson

from blotter.database.http.messages import Request
from blotter.database.insights.points import Counted, add_counted
from blotter.database.insights.settings import Insights, Kind, every_insights, insights_generation
from blotter.database.insights.sketch import KEEP, PARTS, Sketch
from blotter.database.model.arns import parse_arn
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import THROTTLED, DynamoDBError
from blotter.database.model.keys import partition_prefix
from blotter.database.model.table import KeyAttribute, KeySchema
from blotter.database.model.values import Item
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan, Touch
from blotter.database.storage.protocol import Storage, StorageUnavailable

LOOK_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 2.0
KEYS_IN_ALL: Final = 200_000
"""Keys that a process counts at a time, of all rules together."""
WRITE_UNIT: Final = 3.0
"""What a write unit weighs in ConsumedThroughputUnits.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/contributorinsights_HowItWorks.html"""

Next = Callable[[Request, "Context | None", "Plan | None", "Result | DynamoDBError"], None]

log = logging.getLogger(__name__)
_decode_key = msgspec.json.Decoder(list[str]).decode


class Watched:
    """The insights of one table: of itself, and of its global indexes by name."""

    __slots__ = ("indexes", "table")

    def __init__(self) -> None:
        self.table: Insights | None = None
        self.indexes: dict[str, Insights] = {}


class InsightWatch:
    """`clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._following: Next | None = None
        self._on_change: Callable[[Next | None], None] = _nothing
        self._clock = clock
        self._generation: bytes | None = None
        self._watched: dict[tuple[str, str], dict[str, Watched]] = {}
        self._keep = KEEP
        self._sketches: dict[tuple[str, str, int], Counted] = {}
        self._flushed_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def attach(self, following: Next | None, on_change: Callable[[Next | None], None]) -> None:
        """`on_change` is called with what the pipeline is to call from now on: this, which calls `following`
        first, or `following` alone."""
        self._following = following
        self._on_change = on_change

    def start(self) -> None:
        """Looks and flushes on the running event loop until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stops, and stores what was counted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            await self.flush()
        except StorageUnavailable as error:
            log.warning("contributor insights of the last seconds were not stored: %s", error)

    async def look(self) -> None:
        """Follows the settings."""
        await self._storage.fetch(self._look)

    async def flush(self) -> None:
        """Stores what was counted since the last time."""
        counted = list(self._sketches.values())
        self._sketches = {}
        self._flushed_at = self._clock()
        if counted:
            await self._storage.write(partial(add_counted, counted=counted))

    # Counting

    def ended(
        self, request: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        """Counts a request, after who follows has."""
        if self._following is not None:
            self._following(request, context, plan, outcome)
        if context is None or plan is None:
            return
        for consumed in outcome.consumed:
            watched = self._find(context, consumed.table_name)
            if watched is not None:
                self._accessed(watched, plan, consumed)
        if isinstance(outcome, DynamoDBError) and outcome.code in THROTTLED:
            self._throttled(context, plan)

    def _find(self, context: Context, table: str) -> Watched | None:
        account = context.account if context.owners is None else context.owners.get(table, context.account)
        tables = self._watched.get((account, context.region))
        return None if tables is None else tables.get(table)

    def _accessed(self, watched: Watched, plan: Plan, consumed: ConsumedCapacity) -> None:
        weight = WRITE_UNIT if consumed.writes else 1.0
        touches = [touch for touch in plan.touches() if _counts(touch) and _table_of(touch) == consumed.table_name]
        units = consumed.table_units + sum((consumed.local_indexes or {}).values())
        charged = [(watched.table, units)]
        for name, units in (consumed.global_indexes or {}).items():
            charged.append((watched.indexes.get(name), units))
        for insights, units in charged:
            if insights is None or insights.mode == "THROTTLED_KEYS" or not units:
                continue
            for touch in touches:
                self._count(insights, "PKC", "SKC", touch.key, weight * units / len(touches))

    def _throttled(self, context: Context, plan: Plan) -> None:
        for touch in plan.touches():
            watched = self._find(context, _table_of(touch))
            if watched is None or not _counts(touch):
                continue
            insights = watched.table if touch.index is None else watched.indexes.get(touch.index, watched.table)
            if insights is not None:
                self._count(insights, "PKT", "SKT", touch.key, 1.0)

    def _count(
        self, insights: Insights, of_partition: Kind, of_item: Kind, key: Item | None, amount: float
    ) -> None:
        partition = None if key is None else _values(insights.keys.partition, key)
        if partition is None or key is None:
            return
        self._sketch(insights, of_partition).add(_text(partition), amount)
        sort = _values(insights.keys.sort, key) if insights.keys.sort else None
        if sort is not None:
            self._sketch(insights, of_item).add(_text(partition + sort), amount)

    def _sketch(self, insights: Insights, kind: Kind) -> Sketch:
        minute = int(self._clock() // 60)
        counted = self._sketches.get((insights.id, kind, minute))
        if counted is None:
            part_of = partial(_part, insights.keys) if kind == "PKC" else None
            counted = Counted(insights, kind, minute, Sketch(self._keep, part_of))
            self._sketches[insights.id, kind, minute] = counted
        return counted.sketch

    # Following

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
                if self._sketches and self._clock() - self._flushed_at >= FLUSH_SECONDS:
                    await self.flush()
            except Exception as error:
                log.warning("contributor insights: %s: %s", type(error).__name__, error)

    def _look(self, tx: Any) -> None:
        generation = insights_generation(tx)
        if generation == self._generation:
            return
        self._generation = generation
        watched: dict[tuple[str, str], dict[str, Watched]] = {}
        rules = 0
        for insights in every_insights(tx):
            if insights.enabled:
                tables = watched.setdefault((insights.account, insights.region), {})
                table = tables.setdefault(insights.table, Watched())
                if insights.index:
                    table.indexes[insights.index] = insights
                else:
                    table.table = insights
                rules += len(insights.kinds)
        was_watching, self._watched = bool(self._watched), watched
        self._keep = max(20, min(KEEP, KEYS_IN_ALL // 2 // max(1, rules)))
        if was_watching != bool(watched):
            self._on_change(self.ended if watched else self._following)


def _nothing(_: Next | None) -> None:
    """Nobody is told."""


def _counts(touch: Touch) -> bool:
    return touch.key is not None and not touch.action.startswith("dynamodb:PartiQL")


def _table_of(touch: Touch) -> str:
    if not touch.resource.startswith("arn:"):
        return touch.resource
    arn = parse_arn(touch.resource)
    return "" if arn is None else arn.table


def _values(attributes: tuple[KeyAttribute, ...], key: Item) -> list[str] | None:
    """The values of key attributes as text; None unless all are there."""
    values = []
    for attribute in attributes:
        value = key.get(attribute.name)
        text = None if value is None else value.get(attribute.type)
        if not isinstance(text, str):
            return None
        values.append(text)
    return values


def _text(values: list[str]) -> str:
    return orjson.dumps(values).decode()


def _part(keys: KeySchema, text: str) -> int:
    """The part of the hash space that a partition lies in."""
    values = _decode_key(text)
    typed: list[Any] = [{attribute.type: value} for attribute, value in zip(keys.partition, values, strict=True)]
    return partition_prefix(keys, typed)[0] * PARTS >> 8
