"""The shipped example: real variety, outside the training months, the same in package and checkout."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from blotter.crimes import example
from blotter.crimes.learning.model import load_model

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_package_and_the_checkout_have_the_same_file() -> None:
    assert example.content() == (EXAMPLES / example.FILE_NAME).read_bytes()


def test_it_shows_every_hour_and_area_and_many_types() -> None:
    rows = list(csv.DictReader(io.StringIO(example.content().decode())))
    assert len({row["Primary Type"] for row in rows}) >= 25
    assert {row["Community Area"] for row in rows} == {str(number) for number in range(1, 78)}
    assert len({row["Date"][11:13] + row["Date"][-2:] for row in rows}) == 24
    assert {row["Arrest"] for row in rows} == {"true", "false"}


def test_the_shipped_model_was_not_trained_on_its_months() -> None:
    days = {
        f"{row['Date'][6:10]}-{row['Date'][:2]}-{row['Date'][3:5]}"
        for row in csv.DictReader(io.StringIO(example.content().decode()))
    }
    assert min(days) > load_model().manifest.trained_to


def test_its_source_and_terms_are_stated() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert "data.cityofchicago.org" in page
    for path in EXAMPLES.glob("*.csv"):
        assert f"`{path.name}`" in page
