"""The scaler of Application Auto Scaling, among the work of the background: made when there is something to scale.

It reads what was consumed from the metrics of the server, so with `--metrics off` policies do nothing; scheduled
actions do not need them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from blotter.database.metrics.names import DYNAMODB, Metric, dimensions
from blotter.database.metrics.series import MetricReader
from blotter.database.services.autoscaling.records import Place, Target, every
from blotter.database.storage.protocol import ReadTransaction, Storage

if TYPE_CHECKING:
    from blotter.database.services.autoscaling.resources import Scaled
    from blotter.database.services.autoscaling.scaler import Consumed, Scaler

LONGEST_PAUSE: Final = 60.0
_MINUTE: Final = 60


class Scaling:
    """`clock` gives seconds since the epoch; `reader` reads the metrics, None without any."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float],
        reader: MetricReader | None,
        table_delay: float,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._reader = reader
        self._table_delay = table_delay
        self._scaler: Scaler | None = None

    async def run_once(self) -> None:
        if self._scaler is None:
            if not await self._storage.fetch(lambda tx: any(True for _ in every(tx, Target))):
                return
            self._scaler = self._make()
        await self._scaler.run_once()

    def pause(self) -> float:
        """Seconds until `run_once` has something to do, unless something is changed before."""
        return LONGEST_PAUSE if self._scaler is None else self._scaler.pause()

    def _make(self) -> Scaler:
        from blotter.database.services.autoscaling.scaler import Scaler

        metrics = None if self._reader is None else self._consumed
        return Scaler(self._storage, self._clock, metrics, self._table_delay)

    def _consumed(self, tx: ReadTransaction) -> Consumed:
        if self._reader is None:
            raise ValueError("there are no metrics")
        snapshot = self._reader.snapshot(tx)

        def consumed(place: Place, scaled: Scaled, start: float, end: float) -> dict[int, float]:
            name = "ConsumedWriteCapacityUnits" if scaled.writes else "ConsumedReadCapacityUnits"
            where = dimensions(TableName=scaled.name, GlobalSecondaryIndexName=scaled.index)
            metric = Metric(place.account, place.region, DYNAMODB, name, where)
            series = snapshot.points(metric, start, end, _MINUTE, "Count")
            return {int(point.time): point.total for _, points in series for point in points}

        return consumed
