"""What a month of a table costs on demand and provisioned, from stated or measured traffic, and the break-even.

Pure arithmetic over a price list (`prices`). Units are DynamoDB's: a write unit is 1 KB, a read unit 4 KB, half of
one when read eventually consistent; sizes round up per item. A month has 730 hours. What is paid beside reads,
writes and storage (streams, backups, exports, replicas) is in `extras`; what is left out, the answer states.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import msgspec

from blotter.tables.calls.endpoint import Caller
from blotter.tables.extras import GB, HOURS, Charge
from blotter.tables.prices import PriceList, Prices

TARGET = 0.70  # autoscaling's usual target utilization
LEFT_OUT = "free tier, reservations, reads of replicas and data transfer are not included"


class Traffic(msgspec.Struct, frozen=True):
    """Units a second read and written, hour by hour (one hour stands for all when stated), and the storage.
    `indexes` are those of global indexes, which are provisioned and charged for themselves."""

    read: list[float]
    write: list[float]
    read_peak: float
    write_peak: float
    storage_bytes: int
    origin: str
    indexes: tuple[Traffic, ...] = ()

    @property
    def parts(self) -> tuple[Traffic, ...]:
        return (self, *self.indexes)

    @property
    def writes(self) -> float:
        """Write units a second on average, indexes included."""
        return sum(_mean(part.write) for part in self.parts)

    @property
    def all_bytes(self) -> int:
        return sum(part.storage_bytes for part in self.parts)


class Estimate(msgspec.Struct, frozen=True):
    """Dollars a month. `provisioned` is fixed at the peak; `autoscaled` follows every hour at 70 % utilization.
    With replicas, all three include the writes in every region."""

    on_demand: float
    provisioned: float
    autoscaled: float
    storage: float
    break_even_write: float
    break_even_read: float
    used_write: float
    used_read: float
    lookup: float
    scan: float

    @property
    def cheapest(self) -> str:
        ways = {"on demand": self.on_demand, "provisioned": self.provisioned, "autoscaled": self.autoscaled}
        return min(ways, key=ways.__getitem__)

    @property
    def least(self) -> float:
        return min(self.on_demand, self.provisioned, self.autoscaled)


def units(item_bytes: int, *, consistent: bool) -> tuple[float, float]:
    """Read and write units of one item."""
    read = max(1, math.ceil(item_bytes / 4096))
    return (read if consistent else read / 2), max(1, math.ceil(item_bytes / 1024))


def stated(
    reads: float, writes: float, peak: float, item_bytes: int, storage_bytes: int, *, consistent: bool
) -> Traffic:
    """Traffic from averages a second and how much higher the peak is."""
    read_units, write_units = units(item_bytes, consistent=consistent)
    read, write = reads * read_units, writes * write_units
    return Traffic([read], [write], read * peak, write * peak, storage_bytes, "as stated")


def measured(endpoint: Caller, name: str, days: int, now: datetime) -> Traffic:
    """Traffic of a table and its global indexes from CloudWatch's consumed units, by the hour; the peak is the
    busiest hour's average."""
    table = endpoint.call("DescribeTable", TableName=name)["Table"]
    dimensions = [{"Name": "TableName", "Value": name}]
    local = sum(int(index.get("IndexSizeBytes", 0)) for index in table.get("LocalSecondaryIndexes", []))
    size = int(table.get("TableSizeBytes", 0)) + local
    indexes = tuple(
        _measured_part(
            endpoint,
            [*dimensions, {"Name": "GlobalSecondaryIndexName", "Value": index["IndexName"]}],
            int(index.get("IndexSizeBytes", 0)),
            days,
            now,
        )
        for index in table.get("GlobalSecondaryIndexes", [])
    )
    return msgspec.structs.replace(_measured_part(endpoint, dimensions, size, days, now), indexes=indexes)


def _measured_part(
    endpoint: Caller, dimensions: list[dict[str, str]], size: int, days: int, now: datetime
) -> Traffic:
    series = {}
    for side in ("Read", "Write"):
        answer = endpoint.call(
            "GetMetricStatistics",
            service="cloudwatch",
            Namespace="AWS/DynamoDB",
            MetricName=f"Consumed{side}CapacityUnits",
            Dimensions=dimensions,
            StartTime=now - timedelta(days=days),
            EndTime=now,
            Period=3600,
            Statistics=["Sum"],
        )
        sums = [point["Sum"] / 3600 for point in answer.get("Datapoints", [])]
        series[side] = sums + [0.0] * (days * 24 - len(sums))  # an hour without traffic has no point
    return Traffic(
        series["Read"],
        series["Write"],
        max(series["Read"]),
        max(series["Write"]),
        size,
        f"measured over {days} days",
    )


def estimate(traffic: Traffic, prices: Prices, item_bytes: int, replicas: int = 0) -> Estimate:
    """A month of this traffic, priced every way. `replicas` is the number of further regions: every write is
    charged in each of them, at this region's prices."""
    per_read, per_write = prices.read_request_units_per_million / 1e6, prices.write_request_units_per_million / 1e6
    read_hour, write_hour = prices.read_capacity_unit_hour, prices.write_capacity_unit_hour
    replicated, replicated_hour = per_write, write_hour
    if replicas:
        replicated = (prices.replicated_write_request_units_per_million or per_write * 1e6) / 1e6
        replicated_hour = prices.replicated_write_capacity_unit_hour or write_hour
    regions = 1 + replicas
    on_demand = provisioned = autoscaled = 0.0
    used = {"read": 0.0, "write": 0.0, "fixed read": 0.0, "fixed write": 0.0}
    for part in traffic.parts:
        read, write = _mean(part.read), _mean(part.write)
        fixed_read, fixed_write = _whole(part.read_peak), _whole(part.write_peak)
        scaled_read = _mean([_whole(hour / TARGET) for hour in part.read])
        scaled_write = _mean([_whole(hour / TARGET) for hour in part.write])
        on_demand += (read * per_read + write * replicated * regions) * 3600 * HOURS
        provisioned += (fixed_read * read_hour + fixed_write * replicated_hour * regions) * HOURS
        autoscaled += (scaled_read * read_hour + scaled_write * replicated_hour * regions) * HOURS
        used["read"] += read
        used["write"] += write
        used["fixed read"] += fixed_read
        used["fixed write"] += fixed_write
    return Estimate(
        on_demand=on_demand,
        provisioned=provisioned,
        autoscaled=autoscaled,
        storage=traffic.all_bytes / GB * prices.storage_gb_month * regions,
        break_even_write=replicated_hour / (3600 * replicated),
        break_even_read=read_hour / (3600 * per_read),
        used_write=used["write"] / used["fixed write"],
        used_read=used["read"] / used["fixed read"],
        lookup=units(item_bytes, consistent=False)[0] * per_read,
        scan=math.ceil(traffic.storage_bytes / 4096) / 2 * per_read,
    )


def estimate_text(
    name: str, traffic: Traffic, cost: Estimate, charges: list[Charge], prices: PriceList
) -> list[str]:
    """The comparison for a person."""
    rows = {
        "on demand": (cost.on_demand, "pays for each request"),
        "provisioned": (
            cost.provisioned,
            f"fixed at the peak, used {cost.used_read:.0%} reading, {cost.used_write:.0%} writing",
        ),
        "autoscaled": (cost.autoscaled, f"as if scaling followed every hour at {TARGET:.0%}"),
    }
    lines = [f"{name}: a month, traffic {traffic.origin}: {_rates(traffic)}"]
    for way, (dollars, meaning) in rows.items():
        mark = "  <- cheapest" if way == cost.cheapest else ""
        lines.append(f"  {way:<12} ${dollars:>12,.2f}  {meaning}{mark}")
    lines.append(f"  {'storage':<12} ${cost.storage:>12,.2f}  {traffic.all_bytes / GB:,.1f} GB, in every case")
    for charge in charges:
        price = "not in the price list" if charge.dollars is None else charge.meaning
        lines.append(f"  {charge.name:<12} ${charge.dollars or 0.0:>12,.2f}  {price}")
    if charges:
        total = _total(cost, charges)
        lines.append(f"  {'in all':<12} ${total:>12,.2f}  with {cost.cheapest} units")
    indexes = "" if traffic.origin != "as stated" else "; traffic of indexes must be part of what is stated"
    lines += [
        f"  break-even: provisioned is cheaper when more than {cost.break_even_write:.0%} of its write units and"
        f" {cost.break_even_read:.0%} of its read units are used",
        f"  one lookup by key costs ${cost.lookup:.10f}, one scan of the table ${cost.scan:,.6f}",
        f"  prices of {prices.date}, {prices.region} {prices.table_class}, {prices.source}; {LEFT_OUT}{indexes}",
    ]
    return lines


def estimate_facts(
    name: str, traffic: Traffic, cost: Estimate, charges: list[Charge], prices: PriceList
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "table": name,
        "traffic": {
            "origin": traffic.origin,
            "read_units_per_second": sum(_mean(part.read) for part in traffic.parts),
            "write_units_per_second": traffic.writes,
            "read_peak": sum(part.read_peak for part in traffic.parts),
            "write_peak": sum(part.write_peak for part in traffic.parts),
            "storage_bytes": traffic.all_bytes,
        },
        "dollars_per_month": msgspec.to_builtins(cost)
        | {charge.key: charge.dollars for charge in charges}
        | {"cheapest": cost.cheapest, "in_all": _total(cost, charges)},
        "prices": {
            "date": prices.date,
            "source": prices.source,
            "region": prices.region,
            "table_class": prices.table_class,
        },
    }
    return facts


def _total(cost: Estimate, charges: list[Charge]) -> float:
    return cost.least + cost.storage + sum(charge.dollars or 0.0 for charge in charges)


def _rates(traffic: Traffic) -> str:
    reads = sum(_mean(part.read) for part in traffic.parts)
    read_peak, write_peak = (
        sum(getattr(part, side) for part in traffic.parts) for side in ("read_peak", "write_peak")
    )
    return (
        f"{reads:,.1f} read units/s (peak {read_peak:,.1f}),"
        f" {traffic.writes:,.1f} write units/s (peak {write_peak:,.1f})"
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _whole(value: float) -> float:
    """Provisioned units are whole, and at least one."""
    return float(max(1, math.ceil(round(value, 9))))
