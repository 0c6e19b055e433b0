"""`blotter crimes train`: from a file to a stored model with its figures and its card.

Joins training, evaluation, model and card in the order that keeps the report honest: split first, fit on the
earlier part, and only then look at the held-out part, once. What is measured is what is stored.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from datetime import date
from importlib import resources
from pathlib import Path

from blotter.crimes.failures import FileRefused
from blotter.crimes.learning import evaluation, training
from blotter.crimes.learning.model import Manifest, save_model
from blotter.crimes.learning.model_card import write_card
from blotter.crimes.learning.training import Incidents
from blotter.crimes.settings import CrimesSettings

_LEAST_ARRESTS = 20
# The columns that the card shows the model without.
_BLANKED: tuple[tuple[str, ...], ...] = (
    *((name,) for name in (*training.BLANKABLE, "time")),
    ("primary_type", "description"),
    tuple(name for name in training.BLANKABLE if name != "primary_type"),
    (*training.BLANKABLE, "time"),
)


def train_model(
    open_chunks: Callable[[], Iterable[bytes]],
    out: Path,
    card: Path | None,
    held_out_from: date | None,
    say: Callable[[str], None],
) -> Manifest:
    """Trains, stores and reports; `open_chunks` begins the file anew.

    Raises FileRefused when the file cannot be trained on.
    """
    began = time.monotonic()
    limits = CrimesSettings()
    incidents = training.read_incidents(
        open_chunks, max_bytes=limits.max_decompressed_bytes, max_line=limits.max_line_bytes
    )
    if not incidents.moments:
        raise FileRefused("NO_VALID_ROWS", "no row has a readable date and outcome")
    start = held_out_from or training.holdout_start(incidents)
    earlier, held_out = training.split(incidents, start)
    for name, part in (("before", earlier), ("from", held_out)):
        if min(part.labels.sum(), len(part.labels) - part.labels.sum()) < _LEAST_ARRESTS:
            raise FileRefused(
                "NO_VALID_ROWS",
                f"too few incidents with or without arrest {name} {start}: nothing to train or test",
            )
    say(f"{len(earlier.moments):,} incidents to train on, {len(held_out.moments):,} from {start} held out")
    encoder, trees = training.fit(earlier)
    probabilities = training.predict(encoder, trees, held_out)
    found = _evaluate(held_out, probabilities)
    facts = {**_period(earlier, "trained"), **_period(held_out, "held_out"), "metrics": found.metrics}
    manifest = save_model(out, trees.model_to_string(), encoder, facts)
    if card is not None:
        blanked = {
            names: _evaluate(part, training.predict(encoder, trees, part)).metrics
            for names in _BLANKED
            for part in (training.without(held_out, names),)
        }
        write_card(card, manifest, found, blanked, area_names())
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    for name, value in found.metrics.items():
        say(f"  {name:20} {value:.5f}")
    say(f"{manifest.version}: {size:,} bytes in {out}, after {time.monotonic() - began:.0f} s")
    return manifest


def _evaluate(incidents: Incidents, probabilities: training.Vector) -> evaluation.Evaluation:
    values = incidents.values
    return evaluation.evaluate(
        incidents.labels, probabilities, values["community_area"], values["primary_type"], incidents.days
    )


def area_names() -> dict[str, str]:
    """Community area number → name, from the file the map uses."""
    place = resources.files("blotter.crimes.web").joinpath("data", "chicago-community-areas.csv")
    with place.open(encoding="utf-8") as file:
        return {row["CommunityArea"]: row["CommunityName"] for row in csv.DictReader(file)}


def _period(incidents: Incidents, name: str) -> dict[str, str | int]:
    days = incidents.days
    return {
        f"{name}_from": date.fromordinal(int(days.min())).isoformat(),
        f"{name}_to": date.fromordinal(int(days.max())).isoformat(),
        f"{name}_rows": len(days),
    }
