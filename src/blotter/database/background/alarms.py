"""Evaluates the alarms: each as often as its period says, and at once when its settings were changed.

One round looks whether anything is due, and costs one read if not: the generation of the alarms' settings says
whether there are new ones. What an alarm ought to be is found over one snapshot, in slices; its state is changed
in a short transaction that first looks whether the alarm is still as it was judged. An alarm whose expression
cannot be evaluated stays as it is, and is reported once. History older than thirty days is deleted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from blotter.database.alarms.changes import set_state
from blotter.database.alarms.records import HISTORY, Alarm, all_alarms, find_alarm, generation, moment_of
from blotter.database.alarms.watching import HIGH_RESOLUTION_SECONDS, Finding, every, look
from blotter.database.metric_math.periods import DAY, MINUTE
from blotter.database.metric_math.samples import Source
from blotter.database.metric_math.series import ExpressionError
from blotter.database.metrics.series import MetricReader
from blotter.database.storage.coroutines import read_slices
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, Slices, Storage, WriteTransaction

DELAY: Final = 2.0
"""Seconds after the end of a period before alarms look at it: a request that was counted then is counted."""
HISTORY_DAYS: Final = 30
_SLICE_SECONDS: Final = 0.005
_REST_SECONDS: Final = 0.005
_ITEMS_AT_ONCE: Final = 250

log = logging.getLogger(__name__)


class AlarmEvaluator:
    """`reader` reads the metrics; `clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, reader: MetricReader, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._reader = reader
        self._clock = clock
        self._generation = -1
        self._judged: dict[bytes, tuple[int, float]] = {}
        """The moment that each alarm was last judged for, and when it had been configured."""
        self._high_resolution = False
        self._any = False
        self._last_step = 0
        self._broken: set[bytes] = set()
        self._trimmed = 0.0

    async def run_once(self) -> int:
        """Evaluates what is due; returns how many alarms changed their state."""
        now = self._clock()
        current = await self._storage.fetch(generation)
        if current == self._generation and not self._is_due(now):
            return 0
        changed = 0
        for alarm, finding in await self._judge(now, current):
            changed += await self._storage.write(lambda tx: _change(tx, alarm, finding, now))  # noqa: B023
        if now - self._trimmed >= DAY / 24:
            await self._trim(now - HISTORY_DAYS * DAY)
            self._trimmed = now
        return changed

    def _is_due(self, now: float) -> bool:
        """Whether a period ended since the last round that alarms wait for."""
        step = HIGH_RESOLUTION_SECONDS if self._high_resolution else MINUTE
        return self._any and int(now - DELAY) // step > self._last_step // step

    async def _judge(self, now: float, current: int) -> list[tuple[Alarm, Finding]]:
        """Every alarm that is due and ought to be in another state, with that."""
        return await read_slices(self._storage, partial(self._judge_slices, now=now, current=current))

    def _judge_slices(self, tx: ReadTransaction, now: float, current: int) -> Slices[list[tuple[Alarm, Finding]]]:
        at = int(now - DELAY)
        found: list[tuple[Alarm, Finding]] = []
        judged: dict[bytes, tuple[int, float]] = {}
        high_resolution = False
        source = self._reader.snapshot(tx)
        started = time.monotonic()
        for alarm in all_alarms(tx):
            step = every(alarm.settings)
            high_resolution = high_resolution or step < MINUTE
            moment = at // step * step
            judged[alarm.key] = moment, alarm.configured
            if self._judged.get(alarm.key) != (moment, alarm.configured):
                finding = self._look(alarm, source, at)
                if finding is not None and finding.state != alarm.state:
                    found.append((alarm, finding))
            if time.monotonic() - started > _SLICE_SECONDS:
                yield None
                started = time.monotonic()
        self._judged, self._high_resolution, self._any = judged, high_resolution, bool(judged)
        self._broken &= judged.keys()
        self._generation, self._last_step = current, at
        return found

    def _look(self, alarm: Alarm, source: Source, at: float) -> Finding | None:
        try:
            finding = look(alarm, source, at)
        except ExpressionError as error:
            if alarm.key not in self._broken:
                log.warning("alarm %s cannot be evaluated: %s", alarm.arn, error)
                self._broken.add(alarm.key)
            return None
        self._broken.discard(alarm.key)
        return finding

    async def _trim(self, before: float) -> None:
        """Deletes history items of the time before."""
        start, end = HISTORY
        while True:
            rows = await self._storage.fetch(
                lambda tx: tx.items(RECORDS_SPACE, start, end, _ITEMS_AT_ONCE)  # noqa: B023
            )
            old = [key for key, _, _ in rows if moment_of(key) < before]
            if old:
                await self._storage.write(lambda tx: _delete(tx, old))  # noqa: B023
            if len(rows) < _ITEMS_AT_ONCE:
                return
            start = rows[-1][0] + b"\x00"
            await asyncio.sleep(_REST_SECONDS)


def _change(tx: WriteTransaction, judged: Alarm, finding: Finding, now: float) -> int:
    """Changes the state of an alarm unless it was changed since it was judged; returns 1 if so."""
    alarm = find_alarm(tx, judged.account, judged.region, judged.name)
    if alarm is None or (alarm.configured, alarm.state, alarm.updated_state) != (
        judged.configured,
        judged.state,
        judged.updated_state,
    ):
        return 0
    set_state(tx, alarm, finding.state, finding.reason, finding.reason_data, now)
    return 1


def _delete(tx: WriteTransaction, keys: list[bytes]) -> None:
    for key in keys:
        stored = tx.get(RECORDS_SPACE, key)
        if stored is not None:
            tx.delete(RECORDS_SPACE, stored)
