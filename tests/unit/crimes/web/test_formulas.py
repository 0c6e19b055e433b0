"""Downloads that a spreadsheet may open: neutralized for people, untouched for programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.scoring.spreadsheets import neutral, neutralized

_CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1), st.integers(1, 50))
def test_every_row_and_cell_stays_in_its_place(rows: list[tuple[str, ...]], size: int) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode()
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    result = b"".join(neutralized(chunks)).decode()
    assert list(csv.reader(io.StringIO(result, newline=""))) == [[neutral(cell) for cell in row] for row in rows]


def test_a_semicolon_cannot_cut_a_formula_out_of_a_cell() -> None:
    """Where semicolons separate, an unquoted cell `a;=1+1` would be two, the second a formula."""
    assert b"".join(neutralized([b"a;=1+1,b\n"])) == b'"a;=1+1",b\n'


def test_the_download_keeps_formulas_by_default_and_the_page_links_the_other(
    client: TestClient, files: Any
) -> None:
    key = files.completed("uploads/x/a.csv")
    files.objects.put_stream(f"{key}.predictions.csv", [b"Block,probability\n=1+1,0.5\n-1.5,0.1\n"])
    url = f"/api/results/{key}/predictions.csv"
    assert client.get(url).text == "Block,probability\n=1+1,0.5\n-1.5,0.1\n"
    people = client.get(url, params={"formulas": "neutralize"})
    assert people.text == "Block,probability\n'=1+1,0.5\n-1.5,0.1\n".replace("'=1+1", '"\'=1+1"')
    assert people.headers["etag"] != client.get(url).headers["etag"]
    assert client.get(url, params={"formulas": "maybe"}).status_code == 422
    assert "predictions.csv?formulas=neutralize" in client.get(f"/results/{key}").text
