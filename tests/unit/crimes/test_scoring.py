"""Scoring: every row comes back in order with its probability or its reason, and the summary adds up."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from blotter.crimes.dates import Moment
from blotter.crimes.failures import FileRefused
from blotter.crimes.features import area
from blotter.crimes.item import Summary
from blotter.crimes.model import Model
from blotter.crimes.reader import Batch
from blotter.crimes.scoring import Progress, score_file
from blotter.crimes.summary import SummaryBuilder

SAMPLE = Path(__file__).parents[3] / "examples" / "chicago-crimes-2025-first-100.csv"
HEADER = "Date,Block,Primary Type,Description,Location Description,Domestic,Community Area\n"
NARCOTICS = "2022-09-16 21:31:00,026XX S KEDVALE AVE,NARCOTICS,POSSESS - HEROIN (WHITE),STREET,false,30\n"
BURGLARY = "2022-09-16 21:30:00,026XX S KEDVALE AVE,BURGLARY,FORCIBLE ENTRY,RESIDENCE - GARAGE,false,30\n"


def score(model: Model, content: bytes | str) -> tuple[Summary, list[dict[str, str]], list[Progress]]:
    data = content.encode() if isinstance(content, str) else content
    sink, steps = io.BytesIO(), []
    summary = score_file(model, [data], sink, max_bytes=1 << 30, max_line=1 << 20, on_progress=steps.append)
    return summary, list(csv.DictReader(io.StringIO(sink.getvalue().decode()))), steps


def test_the_sample_in_the_portals_other_headings(model: Model) -> None:
    content = SAMPLE.read_bytes()
    summary, rows, steps = score(model, content)
    assert (summary.rows_read, summary.rows_scored, summary.rows_skipped) == (100, 100, 0)
    originals = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["case_number"] for row in rows] == [row["case_number"] for row in originals]
    assert all(0 < float(row["probability"]) < 1 and row["skipped_reason"] == "" for row in rows)
    assert steps[-1] == Progress(len(content), 100, 100, 0, {})


def test_what_the_model_learned(model: Model) -> None:
    _, rows, _ = score(model, HEADER + NARCOTICS + BURGLARY)
    heroin, burglary = (float(row["probability"]) for row in rows)
    assert heroin > 0.9
    assert burglary < 0.1


def test_unknown_columns_and_values_are_no_obstacle(model: Model) -> None:
    _, rows, _ = score(model, "Date,Primary Type\n2022-09-16,NARCOTICS\n2022-09-16,BURGLARY\n2022-09-16,PIRACY\n")
    heroin, burglary, _ = (float(row["probability"]) for row in rows)
    assert heroin > 0.7
    assert burglary < 0.15


def test_the_arrest_column_changes_nothing(model: Model) -> None:
    content = SAMPLE.read_text()
    _, rows, _ = score(model, content)
    _, without, _ = score(model, content.replace(",arrest,", ",renamed,"))
    assert [row["probability"] for row in without] == [row["probability"] for row in rows]


def test_spelling_does_not_matter(model: Model) -> None:
    _, rows, _ = score(model, HEADER + NARCOTICS + NARCOTICS.lower().replace("narcotics", " Narcotics "))
    assert rows[0]["probability"] == rows[1]["probability"]


def test_skipped_rows_keep_their_place(model: Model) -> None:
    content = HEADER + NARCOTICS + "never,x,THEFT,,,,\n" + "2022-01-01,a\n" + BURGLARY.replace("\n", ",more,\n")
    summary, rows, _ = score(model, content)
    assert [bool(row["probability"]) for row in rows] == [True, False, False, False]
    assert [row["skipped_reason"] for row in rows] == ["", "BAD_DATE", "WRONG_FIELD_COUNT", "WRONG_FIELD_COUNT"]
    assert rows[2]["Block"] == "a"
    assert rows[3]["Community Area"] == "30,more"
    assert summary.skipped_reasons == {"WRONG_FIELD_COUNT": 2, "BAD_DATE": 1}


def test_the_summary_adds_up(model: Model) -> None:
    summary, rows, _ = score(model, HEADER + NARCOTICS * 3 + BURGLARY * 5 + "never,,THEFT,,,,\n")
    probabilities = [float(row["probability"]) for row in rows if row["probability"]]
    assert summary.mean_probability == pytest.approx(np.mean(probabilities), abs=1e-5)
    assert summary.predicted_arrests == sum(value > 0.5 for value in probabilities)
    assert (summary.risk.high, summary.risk.medium, summary.risk.low) == (3, 0, 5)
    assert sum(summary.probability_histogram) == 8
    for groups in (summary.by_hour, summary.by_weekday, summary.by_community_area, summary.by_primary_type):
        assert sum(group.rows for group in groups.values()) == 8
        assert sum(group.predicted_arrests for group in groups.values()) == 3
    assert list(summary.by_hour) == ["21"]
    assert list(summary.by_weekday) == ["4"]
    assert list(summary.by_community_area) == ["30"]
    assert list(summary.by_primary_type) == ["BURGLARY", "NARCOTICS"]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (HEADER, "NO_ROWS", "header"),
        (HEADER + "x,,THEFT,,,,\n,,THEFT,,,,\n", "NO_VALID_ROWS", "1 BAD_DATE, 1 MISSING_DATE"),
        ("", "EMPTY_FILE", "no content"),
    ],
)
def test_nothing_to_score(model: Model, content: str, code: str, words: str) -> None:
    with pytest.raises(FileRefused) as caught:
        score(model, content)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_million_crime_types_stay_a_small_item() -> None:
    builder = SummaryBuilder()
    generator = random.Random(1)
    moments = [(738000, 1, 1, number % 7, number % 1440) for number in range(1000)]
    for _ in range(30):
        types = [f"{generator.getrandbits(900):x}🚓" for _ in range(1000)]
        areas = [str(generator.randrange(-5, 300)) for _ in range(1000)]
        batch = Batch(
            rows=[[]] * 1000,
            reasons=[""] * 1000,
            valid=list(range(1000)),
            moments=[Moment(*moment) for moment in moments],
            columns={"primary_type": types, "community_area": areas},
        )
        builder.add(batch, np.full(1000, 0.5))
    summary = builder.build("m")
    assert len(summary.by_primary_type) <= 61
    assert summary.by_primary_type["OTHER"].rows == 30_000 - 60
    assert len(summary.by_community_area) <= 78
    assert len(msgspec.json.encode(summary)) < 40_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8", "8"),
        ("8.0", "8"),
        (" 77 ", "77"),
        ("0", ""),
        ("78", ""),
        ("8.5", ""),
        ("x", ""),
        ("nan", ""),
        ("inf", ""),
    ],
)
def test_areas(text: str, expected: str) -> None:
    assert area(text) == expected
