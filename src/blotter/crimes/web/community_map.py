"""Chicago's 77 community areas as outlines for a map: read from the committed boundaries, projected once, kept.

Source: City of Chicago Data Portal, "Boundaries - Community Areas (current)", simplified with shared borders
kept; names and sides from the portal's table of community areas. The projection is equirectangular at the city's
middle latitude, which over 40 km is off by less than the width of a drawn line. No outside service, no tile, no
request. This file knows geography only: `charts.py` decides the colors.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

HEIGHT = 640.0
_MARGIN = 6.0
Ring = list[list[float]]


@dataclass(frozen=True, slots=True)
class Area:
    """One community area: its number (1–77), name, side of the city, and SVG path data inside `view_box()`."""

    number: int
    name: str
    side: str
    path: str


@cache
def areas() -> tuple[Area, ...]:
    """All community areas by number."""
    features = json.loads(_read("chicago-community-areas.geojson"))["features"]
    table = _table()
    project = _projection(features)
    found = [
        Area(
            number=int(feature["properties"]["community_area"]),
            name=table[int(feature["properties"]["community_area"])][0],
            side=table[int(feature["properties"]["community_area"])][1],
            path="".join(_ring_path(ring, project) for ring in _rings(feature)),
        )
        for feature in features
    ]
    return tuple(sorted(found, key=lambda area: area.number))


@cache
def view_box() -> tuple[float, float]:
    """Width and height of the drawing in SVG user units."""
    west, east, south, north = _bounds(json.loads(_read("chicago-community-areas.geojson"))["features"])
    scale = (HEIGHT - 2 * _MARGIN) / (north - south)
    return round((east - west) * _shrink(south, north) * scale + 2 * _MARGIN, 1), HEIGHT


@cache
def numbers_by_name() -> dict[str, int]:
    """Casefolded name → number, for results that name their areas."""
    return {area.name.casefold(): area.number for area in areas()}


def find_number(name: str) -> int | None:
    """The area's number from what a breakdown calls it ("8", "8.0" or "Near North Side"); None when unknown."""
    text = name.strip().casefold()
    if text in numbers_by_name():
        return numbers_by_name()[text]
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and 1 <= value <= len(areas()) else None


def _read(name: str) -> str:
    return files("blotter.crimes.web").joinpath("data", name).read_text(encoding="utf-8")


def _table() -> dict[int, tuple[str, str]]:
    """Number → name and side. The boundaries have names too, in a worse spelling ("Ohare")."""
    rows = csv.DictReader(_read("chicago-community-areas.csv").splitlines())
    return {int(row["CommunityArea"]): (row["CommunityName"], row["Side"]) for row in rows}


def _rings(feature: dict[str, object]) -> list[Ring]:
    geometry = feature["geometry"]
    assert isinstance(geometry, dict)
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [ring for polygon in polygons for ring in polygon]


def _bounds(features: list[dict[str, object]]) -> tuple[float, float, float, float]:
    points = [point for feature in features for ring in _rings(feature) for point in ring]
    longitudes, latitudes = [point[0] for point in points], [point[1] for point in points]
    return min(longitudes), max(longitudes), min(latitudes), max(latitudes)


def _shrink(south: float, north: float) -> float:
    """How much shorter a degree of longitude is than one of latitude here."""
    return math.cos(math.radians((south + north) / 2))


def _projection(features: list[dict[str, object]]) -> tuple[float, float, float, float]:
    west, _, south, north = _bounds(features)
    scale = (HEIGHT - 2 * _MARGIN) / (north - south)
    return west, north, scale * _shrink(south, north), scale


def _ring_path(ring: Ring, projection: tuple[float, float, float, float]) -> str:
    west, north, x_scale, y_scale = projection
    points = (
        f"{(longitude - west) * x_scale + _MARGIN:.1f} {(north - latitude) * y_scale + _MARGIN:.1f}"
        for longitude, latitude, *_ in ring
    )
    return "M" + "L".join(points) + "Z"
