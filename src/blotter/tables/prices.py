"""List prices: a file that names its date and source, with one table for each region and table class.

    [eu-west-1.STANDARD]
    write_request_units_per_million = 0.705

A region whose prices are another's has `same_as` instead. Prices beyond those of units and storage may be missing;
what would need them is then shown without a price.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from blotter.user_files import ConfigurationError, parse_toml, read_text

Price = Annotated[float, Meta(gt=0, le=1e6)]


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List prices of one region and table class, in US dollars."""

    write_request_units_per_million: Price
    read_request_units_per_million: Price
    write_capacity_unit_hour: Price
    read_capacity_unit_hour: Price
    storage_gb_month: Annotated[float, Meta(ge=0, le=1e6)]
    replicated_write_request_units_per_million: Price | None = None
    replicated_write_capacity_unit_hour: Price | None = None
    stream_reads_per_100_000: Price | None = None
    kinesis_units_per_million: Price | None = None
    point_in_time_recovery_gb_month: Price | None = None
    backup_gb_month: Price | None = None
    restore_gb: Price | None = None
    export_gb: Price | None = None
    import_gb: Price | None = None


class PriceList(msgspec.Struct, frozen=True):
    """Prices with their date and source, and whose they are."""

    prices: Prices
    date: str
    source: str
    region: str
    table_class: str


def load_prices(region: str, table_class: str, path: Path | None = None) -> PriceList:
    """The prices of a region and table class. Raises ConfigurationError when the file does not have them."""
    where: Path | str = path or "prices.toml"
    shipped = files("blotter.tables").joinpath("prices.toml")
    raw = parse_toml(where, read_text(path) if path else shipped.read_text(encoding="utf-8"))
    regions = {key: _classes(raw, value) for key, value in raw.items() if isinstance(value, dict)}
    found = regions.get(region, {}).get(table_class)
    if found is None:
        known = [f"{key} {kind}" for key, classes in regions.items() for kind in classes]
        raise ConfigurationError(
            f"no prices for {region} {table_class} (known: {', '.join(known)}); give a file of your own with "
            "--prices, or another region's with --prices-of"
        )
    try:
        prices = msgspec.convert(found, Prices, strict=False)
        return PriceList(prices, str(raw["date"]), str(raw["source"]), region, table_class)
    except (msgspec.ValidationError, KeyError) as error:
        raise ConfigurationError(f"{where}: not a price file: {error}") from None


def _classes(raw: dict[str, Any], region: dict[str, Any]) -> dict[str, Any]:
    """The tables of a region, by table class."""
    same = raw.get(region["same_as"]) if isinstance(region.get("same_as"), str) else None
    found = same if isinstance(same, dict) else region
    return {kind: prices for kind, prices in found.items() if kind != "same_as"}
