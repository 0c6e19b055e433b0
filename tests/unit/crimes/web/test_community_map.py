"""The outlines of the 77 community areas."""

from __future__ import annotations

import re

import pytest

from blotter.crimes.web import community_map


def test_every_area_is_there_with_name_side_and_outline() -> None:
    areas = community_map.areas()
    assert [area.number for area in areas] == list(range(1, 78))
    assert all(area.name and area.side and area.path.startswith("M") and area.path.endswith("Z") for area in areas)
    assert areas[31].name == "Loop"


def test_outlines_lie_inside_the_drawing_with_north_up() -> None:
    width, height = community_map.view_box()
    middles = {}
    for area in community_map.areas():
        pairs = [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", area.path)]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in pairs), area.name
        middles[area.name] = (sum(x for x, _ in pairs) / len(pairs), sum(y for _, y in pairs) / len(pairs))
    assert middles["Rogers Park"][1] < middles["Loop"][1] < middles["Hegewisch"][1]
    assert middles["O'Hare"][0] < middles["Loop"][0]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("8", 8),
        ("8.0", 8),
        (" 77 ", 77),
        ("near north side", 8),
        ("0", None),
        ("78", None),
        ("8.5", None),
        ("unknown", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_areas_are_found_by_number_or_name(name: str, number: int | None) -> None:
    assert community_map.find_number(name) == number
