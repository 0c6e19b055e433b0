"""The model as it is stored and used: three text files that are data, never code.

`arrest.txt` is LightGBM's own text format, `encoder.json` the training period's statistics, `manifest.json`
records what belongs together: version, checksums, training period and the figures of the held-out months. A file
that is not the one the manifest names is refused, because LightGBM's reader trusts its input. LightGBM is imported
when a model is loaded: the pages start without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from blotter.crimes.learning import features
from blotter.crimes.learning.features import Encoder, Matrix
from blotter.crimes.reading.reader import Batch

if TYPE_CHECKING:
    import lightgbm

TREES, ENCODER, MANIFEST = "arrest.txt", "encoder.json", "manifest.json"
# A row above this probability counts as a predicted arrest.
THRESHOLD = 0.5

Vector = NDArray[np.float64]


class ModelError(Exception):
    """The model's files are missing, damaged or not of this version of the program."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the model's files are. Dates are ISO; `metrics` are those of the held-out period."""

    version: str
    trees_sha256: str
    encoder_sha256: str
    features: list[str]
    trained_from: str
    trained_to: str
    trained_rows: int
    held_out_from: str
    held_out_to: str
    held_out_rows: int
    metrics: dict[str, float]


class Model:
    """A loaded model; `threads` is how many one prediction may use."""

    def __init__(self, booster: lightgbm.Booster, encoder: Encoder, manifest: Manifest, threads: int) -> None:
        self._booster = booster
        self._encoder = encoder
        self._lookup = features.Lookup(encoder)
        self._threads = threads
        self.manifest = manifest

    @property
    def version(self) -> str:
        return self.manifest.version

    def knows(self, column: str, value: str) -> bool:
        """Whether a cleaned value of a column counts in a prediction."""
        return self._lookup.knows(column, value)

    def matrix(self, batch: Batch) -> Matrix | None:
        """The features of `batch.valid`, in order; None when there are none. Python's half of the work."""
        return self._lookup.matrix(features.clean(batch.columns), batch.moments) if batch.valid else None

    def probabilities(self, matrix: Matrix | None) -> Vector:
        """The probability of arrest for each row, between 0 and 1. LightGBM's half: other threads run on."""
        if matrix is None:
            return np.empty(0)
        raw = np.asarray(self._booster.predict(matrix, num_threads=self._threads), dtype=np.float64)
        return features.calibrated(self._encoder, raw)


def load_model(folder: str = "", threads: int = 1) -> Model:
    """Loads the model of a folder, or the one shipped with the package. Raises ModelError."""
    import lightgbm

    try:
        texts = _read_files(folder)
        manifest = msgspec.json.decode(texts[MANIFEST], type=Manifest)
        for name, expected in ((TREES, manifest.trees_sha256), (ENCODER, manifest.encoder_sha256)):
            if hashlib.sha256(texts[name]).hexdigest() != expected:
                raise ModelError(f"{name} is not the file that {MANIFEST} names; train the model again")
        encoder = msgspec.json.decode(texts[ENCODER], type=Encoder)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"the model in {folder or 'the package'} cannot be read: {error}") from error
    if manifest.features != features.feature_names():
        raise ModelError("the model was trained for other features than this version makes; train it again")
    return Model(lightgbm.Booster(model_str=texts[TREES].decode()), encoder, manifest, threads)


def save_model(folder: Path, trees: str, encoder: Encoder, facts: Mapping[str, object]) -> Manifest:
    """Writes the three files; `facts` are the manifest's fields beyond version, checksums and features.

    The version is made of the period and the content, so that equal models have equal versions.
    """
    texts = {TREES: trees.encode(), ENCODER: msgspec.json.encode(encoder)}
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    content = hashlib.sha256("".join(digests.values()).encode()).hexdigest()[:8]
    manifest = msgspec.convert(
        {
            **facts,
            "version": f"arrest-{str(facts['trained_to']).replace('-', '')}-{content}",
            "trees_sha256": digests[TREES],
            "encoder_sha256": digests[ENCODER],
            "features": features.feature_names(),
        },
        Manifest,
    )
    folder.mkdir(parents=True, exist_ok=True)
    texts[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    return manifest


def _read_files(folder: str) -> dict[str, bytes]:
    place = Path(folder) if folder else resources.files("blotter.crimes").joinpath("model")
    return {name: place.joinpath(name).read_bytes() for name in (TREES, ENCODER, MANIFEST)}
