"""What a month of a table costs on demand and provisioned, from stated or measured traffic, and the break-even.

Pure arithmetic over a price file that names its date and source. Units are DynamoDB's: a write unit is 1 KB, a
read unit 4 KB, half of one when read eventually consistent; sizes round up per item. A month has 730 hours. The
free tier, reservations, streams, backups and transfer are left out, which the answer states.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from blotter.tables.calls.endpoint import Caller
from blotter.user_files import ConfigurationError, parse_toml, read_text

HOURS = 730  # of a month
TARGET = 0.70  # autoscaling's usual target utilization
GB = 1024**3
LEFT_OUT = "free tier, reservations, indexes, streams, backups, replicas and data transfer are not included"


Price = Annotated[float, Meta(gt=0, le=1e6)]


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List prices of one region and table class, in US dollars."""

    write_request_units_per_million: Price
    read_request_units_per_million: Price
    write_capacity_unit_hour: Price
    read_capacity_unit_hour: Price
    storage_gb_month: Annotated[float, Meta(ge=0, le=1e6)]


class PriceList(msgspec.Struct, frozen=True):
    """Prices with their date and source."""

    prices: Prices
    date: str
    source: str


class Traffic(msgspec.Struct, frozen=True):
    """Units a second read and written, hour by hour (one hour stands for all when stated), and the storage."""

    read: list[float]
    write: list[float]
    read_peak: float
    write_peak: float
    storage_bytes: int
    origin: str


class Estimate(msgspec.Struct, frozen=True):
    """Dollars a month. `provisioned` is fixed at the peak; `autoscaled` follows every hour at 70 % utilization."""

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


def load_prices(region: str, table_class: str, path: Path | None = None) -> PriceList:
    """The prices of a region and table class. Raises ConfigurationError when the file does not have them."""
    where: Path | str = path or "prices.toml"
    shipped = files("blotter.tables").joinpath("prices.toml")
    raw = parse_toml(where, read_text(path) if path else shipped.read_text(encoding="utf-8"))
    known = [(key, kind) for key, value in raw.items() if isinstance(value, dict) for kind in value]
    if (region, table_class) not in known:
        raise ConfigurationError(
            f"no prices for {region} {table_class} (known: {', '.join(map(' '.join, known))}); give a file of your"
            " own with --prices, or another region's with --prices-of"
        )
    try:
        prices = msgspec.convert(raw[region][table_class], Prices, strict=False)
        return PriceList(prices, str(raw["date"]), str(raw["source"]))
    except (msgspec.ValidationError, KeyError) as error:
        raise ConfigurationError(f"{where}: not a price file: {error}") from None


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
    """Traffic from CloudWatch's consumed units, by the hour; the peak is the busiest hour's average."""
    table = endpoint.call("DescribeTable", TableName=name)["Table"]
    series = {}
    for side in ("Read", "Write"):
        answer = endpoint.call(
            "GetMetricStatistics",
            service="cloudwatch",
            Namespace="AWS/DynamoDB",
            MetricName=f"Consumed{side}CapacityUnits",
            Dimensions=[{"Name": "TableName", "Value": name}],
            StartTime=now - timedelta(days=days),
            EndTime=now,
            Period=3600,
            Statistics=["Sum"],
        )
        sums = [point["Sum"] / 3600 for point in answer.get("Datapoints", [])]
        series[side] = sums + [0.0] * (days * 24 - len(sums))  # an hour without traffic has no point
    size = int(table.get("TableSizeBytes", 0))
    return Traffic(
        series["Read"],
        series["Write"],
        max(series["Read"]),
        max(series["Write"]),
        size,
        f"measured over {days} days",
    )


def estimate(traffic: Traffic, prices: Prices, item_bytes: int) -> Estimate:
    """A month of this traffic, priced every way."""
    read, write = _mean(traffic.read), _mean(traffic.write)
    per_read, per_write = prices.read_request_units_per_million / 1e6, prices.write_request_units_per_million / 1e6
    read_hour, write_hour = prices.read_capacity_unit_hour, prices.write_capacity_unit_hour
    fixed_read, fixed_write = _whole(traffic.read_peak), _whole(traffic.write_peak)
    scaled_read = _mean([_whole(hour / TARGET) for hour in traffic.read])
    scaled_write = _mean([_whole(hour / TARGET) for hour in traffic.write])
    return Estimate(
        on_demand=(read * per_read + write * per_write) * 3600 * HOURS,
        provisioned=(fixed_read * read_hour + fixed_write * write_hour) * HOURS,
        autoscaled=(scaled_read * read_hour + scaled_write * write_hour) * HOURS,
        storage=traffic.storage_bytes / GB * prices.storage_gb_month,
        break_even_write=write_hour / (3600 * per_write),
        break_even_read=read_hour / (3600 * per_read),
        used_write=write / fixed_write,
        used_read=read / fixed_read,
        lookup=units(item_bytes, consistent=False)[0] * per_read,
        scan=math.ceil(traffic.storage_bytes / 4096) / 2 * per_read,
    )


def estimate_text(name: str, traffic: Traffic, cost: Estimate, prices: PriceList) -> list[str]:
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
    lines += [
        f"  {'storage':<12} ${cost.storage:>12,.2f}  {traffic.storage_bytes / GB:,.1f} GB, in every case",
        f"  break-even: provisioned is cheaper when more than {cost.break_even_write:.0%} of its write units and"
        f" {cost.break_even_read:.0%} of its read units are used",
        f"  one lookup by key costs ${cost.lookup:.10f}, one scan of the table ${cost.scan:,.6f}",
        f"  prices of {prices.date}, {prices.source}; {LEFT_OUT}",
    ]
    return lines


def estimate_facts(name: str, traffic: Traffic, cost: Estimate, prices: PriceList) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "table": name,
        "traffic": {
            "origin": traffic.origin,
            "read_units_per_second": _mean(traffic.read),
            "write_units_per_second": _mean(traffic.write),
            "read_peak": traffic.read_peak,
            "write_peak": traffic.write_peak,
            "storage_bytes": traffic.storage_bytes,
        },
        "dollars_per_month": msgspec.to_builtins(cost) | {"cheapest": cost.cheapest},
        "prices": {"date": prices.date, "source": prices.source},
    }
    return facts


def _rates(traffic: Traffic) -> str:
    return (
        f"{_mean(traffic.read):,.1f} read units/s (peak {traffic.read_peak:,.1f}),"
        f" {_mean(traffic.write):,.1f} write units/s (peak {traffic.write_peak:,.1f})"
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _whole(value: float) -> float:
    """Provisioned units are whole, and at least one."""
    return float(max(1, math.ceil(round(value, 9))))
