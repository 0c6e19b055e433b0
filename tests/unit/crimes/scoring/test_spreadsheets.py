"""Predictions for people: nothing a spreadsheet would run, every other cell untouched."""

from __future__ import annotations

import csv
import io

import pytest

from blotter.crimes.scoring.spreadsheets import neutral, neutralized


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example")',
        "+cmd|' /C calc'!A0",
        "-2+3+cmd",
        "@SUM(A1:A9)",
        "  =1",
        "\t=1",
        "\r=1",
        "\ufeff=1",
        "\u00a0=1",
        "-87,6",
        "--1",
        "＝1+1",
        "-",
    ],
)
def test_formulas_are_neutralized(cell: str) -> None:
    assert neutral(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "THEFT", "-87.617", "+5", "1e-5", "-.5", "-1.5E+3", "a=b", "'=1", "0.5"])
def test_other_cells_stay(cell: str) -> None:
    assert neutral(cell) == cell


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_whole_file_keeps_its_rows(size: int) -> None:
    rows = [["Date", "=x"], ["a\nb", "@y"], ["c\rd", 'q"u'], ["ü", "-1"]] * 700
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = text.getvalue().encode()
    out = b"".join(neutralized(data[start : start + size] for start in range(0, len(data), size)))
    expected = [[neutral(cell) for cell in row] for row in rows]
    assert list(csv.reader(io.StringIO(out.decode(), newline=""))) == expected
