"""Training: the same file gives the same model, nothing leaks from the held-out months, the figures are right."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from blotter.crimes.commands.train import train_model
from blotter.crimes.failures import FileRefused
from blotter.crimes.learning import evaluation, features, training
from blotter.crimes.learning.model import ENCODER, MANIFEST, TREES, ModelError, load_model

CRIMES_2022 = Path(__file__).parents[5] / "shared" / "data" / "chicago-crimes-2022.csv.gz"
TYPES = {"NARCOTICS": 0.9, "THEFT": 0.05, "BATTERY": 0.2, "ASSAULT": 0.3}


def incidents_file(rows: int = 3000, seed: int = 1, months: int = 6) -> bytes:
    """Made-up incidents whose arrests follow the type, spread evenly over the months of 2022."""
    generator = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text)
    header = ["Date", "Block", "Primary Type", "Description", "Location Description", "Arrest", "Domestic"]
    writer.writerow([*header, "Community Area"])
    for _ in range(rows):
        moment = datetime(2022, 1, 1) + timedelta(minutes=generator.randrange(months * 30 * 1440))
        kind = generator.choice(list(TYPES))
        writer.writerow(
            [
                f"{moment:%m/%d/%Y %I:%M:%S %p}",
                f"{generator.randrange(60):03}XX S STATE ST",
                kind,
                "SIMPLE",
                "STREET",
                str(generator.random() < TYPES[kind]),
                "false",
                generator.randrange(1, 78),
            ]
        )
    return text.getvalue().encode()


def read(content: bytes) -> training.Incidents:
    return training.read_incidents(lambda: [content], max_bytes=1 << 30, max_line=1 << 20)


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 10)


def test_the_same_file_gives_the_same_model(tmp_path: Path) -> None:
    content = incidents_file()
    said: list[str] = []
    for name in ("a", "b"):
        train_model(lambda: [content], tmp_path / name, tmp_path / name / "card.md", None, said.append)
    for name in (TREES, ENCODER, MANIFEST, "card.md", "images/model-calibration.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    model = load_model(str(tmp_path / "a"))
    assert model.manifest.held_out_from == "2022-05-01"
    assert model.manifest.trained_to == "2022-04-30"
    assert model.manifest.metrics["roc_auc"] > 0.8
    assert model.version in said[-1]


def test_the_held_out_months_do_not_reach_the_model() -> None:
    incidents = read(incidents_file())
    start = date(2022, 5, 1)
    earlier, held_out = training.split(incidents, start)
    assert max(earlier.days) < start.toordinal() <= min(held_out.days)
    turned = msgspec.structs.replace(
        incidents, labels=np.where(incidents.days >= start.toordinal(), 1 - incidents.labels, incidents.labels)
    )
    models = [training.fit(training.split(each, start)[0]) for each in (incidents, turned)]
    assert models[0][0] == models[1][0]
    assert models[0][1].model_to_string() == models[1][1].model_to_string()


def test_no_row_sees_its_own_arrest() -> None:
    """A statistic keyed by noise must carry no information, even for the rows it was made of."""
    incidents = read(incidents_file())
    labels = np.random.default_rng(3).random(len(incidents.labels)) < 0.5
    keys = [f"key {number % 500}" for number in range(len(labels))]
    folds = incidents.days % training.FOLDS
    rate, rows = training._out_of_fold(keys, labels.astype(float), folds, own=len(labels))
    known = ~np.isnan(rate)
    assert known.mean() > 0.5
    assert abs(evaluation.roc_auc(labels[known].astype(float), rate[known]) - 0.5) < 0.06
    assert np.nanmax(rows) < 7


def test_blanked_columns_are_unknown_not_guessed() -> None:
    incidents = read(incidents_file(500))
    encoder = training.fit_encoder(incidents)
    values = features.derive({**incidents.values, "description": [""] * 500, "community_area": [""] * 500})
    matrix = features.Lookup(encoder).matrix(values, incidents.moments)
    names = features.feature_names()
    assert matrix.shape == (500, len(names))
    for name in ("rate_description", "rate_area", "community_area", "rate_description_area"):
        assert np.isnan(matrix[:, names.index(name)]).all()
    assert not np.isnan(matrix[:, names.index("rate_type")]).any()


def test_what_is_not_known_is_the_base_rate() -> None:
    """A type the model has never seen was predicted as an arrest at 0.7; with nothing known it is the average."""
    incidents = read(incidents_file(6000))
    encoder, trees = training.fit(incidents)
    everything = (*training.BLANKABLE, "time")
    for names in (("primary_type",), ("primary_type", "description"), everything):
        found = training.predict(encoder, trees, training.without(incidents, names))
        assert abs(found.mean() - incidents.labels.mean()) < 0.05, names
        assert found.max() < 0.6


def test_a_file_without_outcomes_is_refused(tmp_path: Path) -> None:
    content = incidents_file(50).replace(b"Arrest", b"Other")
    with pytest.raises(FileRefused) as caught:
        train_model(lambda: [content], tmp_path, None, None, print)
    assert caught.value.code == "MISSING_COLUMNS"
    assert "Arrest" in caught.value.message


@pytest.mark.parametrize("held_out", [date(2021, 1, 1), date(2030, 1, 1)])
def test_too_little_to_train_or_test(tmp_path: Path, held_out: date) -> None:
    with pytest.raises(FileRefused):
        train_model(lambda: [incidents_file(500)], tmp_path, None, held_out, print)


@pytest.mark.parametrize("name", [TREES, ENCODER])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    train_model(lambda: [incidents_file(2000)], tmp_path, None, None, lambda _: None)
    path = tmp_path / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(ModelError, match=name):
        load_model(str(tmp_path))


def test_a_missing_model_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        load_model(str(tmp_path))


def test_figures_against_plain_definitions() -> None:
    generator = np.random.default_rng(5)
    labels = (generator.random(200) < 0.3).astype(float)
    scores = np.round(generator.random(200) * 0.7 + labels * 0.3, 2)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels == 1] for b in scores[labels == 0]]
    assert evaluation.roc_auc(labels, scores) == pytest.approx(np.mean(pairs))
    precisions, last_recall, expected = [], 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        precision, recall = labels[chosen].mean(), labels[chosen].sum() / labels.sum()
        expected += precision * (recall - last_recall)
        last_recall = recall
        precisions.append(precision)
    assert evaluation.average_precision(labels, scores) == pytest.approx(expected)
    assert evaluation.brier(labels, labels) == 0
    bins = evaluation.calibration_bins(labels, scores)
    assert sum(bin_.rows for bin_ in bins) == 200
    assert bins[-1].high == 1.0


def test_calibration_finds_a_known_distortion() -> None:
    generator = np.random.default_rng(5)
    odds = generator.normal(-1, 1.5, 60_000)
    labels = (generator.random(60_000) < 1 / (1 + np.exp(-(0.8 * odds - 0.3)))).astype(float)
    slope, intercept = training.fit_calibration(labels, 1 / (1 + np.exp(-odds)))
    assert slope == pytest.approx(0.8, abs=0.05)
    assert intercept == pytest.approx(-0.3, abs=0.05)


def test_the_shipped_model_is_what_the_card_says() -> None:
    manifest = load_model().manifest
    card = (Path(__file__).parents[4] / "docs" / "model-card.md").read_text()
    assert manifest.version in card
    assert f"| ROC AUC | {manifest.metrics['roc_auc']:.4f} |" in card
    assert manifest.metrics["roc_auc"] >= 0.915
    assert manifest.metrics["calibration_error"] <= 0.01
    assert (manifest.held_out_from, manifest.trained_to) == ("2022-10-01", "2022-09-30")


def held_out_rows() -> Iterator[bytes]:
    with gzip.open(CRIMES_2022, "rt") as file:
        yield file.readline().encode()
        for line in file:
            if line[:7] in ("2022-10", "2022-11"):
                yield line.encode()


@pytest.mark.skipif(
    not CRIMES_2022.exists(), reason="needs the year of incidents beside the checkout (3.4 MB, not committed)"
)
def test_the_shipped_model_on_the_held_out_months() -> None:
    incidents = training.read_incidents(held_out_rows, max_bytes=1 << 30, max_line=1 << 20)
    model = load_model(threads=1)
    probabilities = training.predict(model._encoder, model._booster, incidents)
    found = evaluation.evaluate(
        incidents.labels,
        probabilities,
        incidents.values["community_area"],
        incidents.values["primary_type"],
        incidents.days,
    )
    assert found.metrics == model.manifest.metrics
    assert found.metrics["roc_auc"] >= 0.915
    assert found.metrics["calibration_error"] <= 0.01
    for names in (("primary_type",), ("primary_type", "description"), (*training.BLANKABLE, "time")):
        blanked = training.predict(model._encoder, model._booster, training.without(incidents, names))
        assert abs(blanked.mean() - incidents.labels.mean()) < 0.03, f"without {names}"
