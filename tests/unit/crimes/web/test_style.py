"""The style sheet's palettes: text is readable on what it stands on, and more is always further from the page."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

import blotter.crimes.web

STYLE = (Path(blotter.crimes.web.__file__).parent / "static" / "app.css").read_text(encoding="utf-8")
READABLE = 4.5  # WCAG 2.2, 1.4.3 https://www.w3.org/TR/WCAG22/#contrast-minimum
VISIBLE = 3.0  # WCAG 2.2, 1.4.11


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0]))
    return {"light": light, "dark": light | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[1]))}


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3", "link", "good", "bad", "busy"])
@pytest.mark.parametrize("ground", ["page", "card", "sunk"])
def test_text_is_readable(scheme: str, ink: str, ground: str) -> None:
    palette = palettes()[scheme]
    assert contrast(palette[ink], palette[ground]) >= READABLE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_are_readable(scheme: str) -> None:
    palette = palettes()[scheme]
    assert contrast(palette["accent-ink"], palette["accent"]) >= READABLE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_stand_out_from_the_card(scheme: str) -> None:
    palette = palettes()[scheme]
    for name in ("count", "chance", "high"):
        assert contrast(palette[name], palette["card"]) >= VISIBLE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sequential_scale_runs_one_way_in_even_steps(scheme: str) -> None:
    """Lightness alone distinguishes the classes, whatever colors an eye can see."""
    palette = palettes()[scheme]
    scale = [palette[f"s{level}"] for level in range(5)]
    away = [contrast(color, palette["card"]) for color in scale]
    assert away == sorted(away)
    assert all(contrast(lower, upper) >= 1.35 for lower, upper in pairwise(scale))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_three_levels_differ_in_lightness(scheme: str) -> None:
    palette = palettes()[scheme]
    low, medium, high = (luminance(palette[name]) for name in ("low", "medium", "high"))
    assert min(abs(low - medium), abs(medium - high)) > 0.02
