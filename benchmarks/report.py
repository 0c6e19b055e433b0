"""Results as text and pictures: markdown tables, an SVG plot, and where they stand in docs/performance.md.

A document marks its measured parts: `<!-- measured: name -->` up to `<!-- end -->`; `write` replaces what lies
between and nothing else: prose and figures are in one file, and only the figures are written by a program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_COLORS = ("#c2410c", "#f59e0b", "#1d4ed8", "#15803d", "#7e22ce", "#737373")
_ROW, _LEFT, _WIDTH, _TOP = 26, 170, 860, 56


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; columns after the first are aligned right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three figures that mean something, thousands separated."""
    if value >= 1000:
        return f"{round(value, 2 - int(math.log10(value))):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def write(document: Path, parts: Mapping[str, str]) -> None:
    """Replaces the measured parts of a document by name. Raises ValueError for a part it does not have."""
    text = document.read_text()
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        escaped = content.replace("\\", "\\\\")
        text, found = pattern.subn(rf"\g<1>{escaped}\n\g<2>", text)
        if not found:
            raise ValueError(f"{document} has no part {name!r}")
    document.write_text(text)


def plot(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """An SVG: one line for each row, a dot for each server on a common logarithmic axis."""
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    colors = dict(zip(names, _COLORS * len(names), strict=False))
    found = [value for values in rows.values() for value in values.values() if value > 0]
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))

    def x(value: float) -> float:
        return _LEFT + (math.log10(max(value, 10**low)) - low) / (high - low) * (_WIDTH - _LEFT - 30)

    bottom = _TOP + _ROW * len(rows)
    drawn = [
        f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>',
        *_legend(colors),
        *_axis(low, high, x, bottom, unit),
    ]
    for place, (label, values) in enumerate(rows.items()):
        y = _TOP + _ROW * place + _ROW / 2
        drawn.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        shown = [x(value) for value in values.values() if value > 0]
        drawn.append(f'<line x1="{min(shown):.1f}" x2="{max(shown):.1f}" y1="{y}" y2="{y}" stroke="#a3a3a3"/>')
        for name, value in values.items():
            drawn.append(
                f'<circle cx="{x(value):.1f}" cy="{y}" r="5.5" fill="{colors[name]}">'
                f"<title>{escape(name)}: {number(value)} {escape(unit)}</title></circle>"
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 40}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#262626">\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _legend(colors: Mapping[str, str]) -> list[str]:
    drawn, at = [], _LEFT
    for name, color in colors.items():
        drawn.append(f'<circle cx="{at}" cy="40" r="5.5" fill="{color}"/>')
        drawn.append(f'<text x="{at + 10}" y="44">{escape(name)}</text>')
        at += 34 + 8 * len(name)
    return drawn


def _axis(low: int, high: int, x: object, bottom: float, unit: str) -> list[str]:
    drawn = []
    for power in range(low, high + 1):
        at = x(10**power)  # type: ignore[operator]
        drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#e5e5e5"/>')
        drawn.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{10**power:,}</text>')
    drawn.append(f'<text x="{_WIDTH - 12}" y="{bottom + 34}" text-anchor="end">{escape(unit)}, logarithmic</text>')
    return drawn
