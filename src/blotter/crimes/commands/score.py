"""`blotter crimes score`: one local file, no table, no queue; the same reader, model and writer as the worker's.

The predictions file appears only when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from blotter.crimes.learning.model import load_model
from blotter.crimes.scoring.scoring import score_file
from blotter.crimes.settings import CrimesSettings


def score_locally(
    file: Path, open_chunks: Callable[[], Iterable[bytes]], out: Path | None, model_folder: str
) -> tuple[str, Path]:
    """Returns the summary as JSON and where the predictions are. Raises FileRefused, ModelError."""
    target = out or file.with_name(f"{file.name}.predictions.csv")
    draft = target.with_name(f".{target.name}.draft")
    try:
        with draft.open("wb") as sink:
            summary = score_file(
                load_model(model_folder),
                open_chunks,
                sink,
                size=file.stat().st_size,
                limits=CrimesSettings().limits(),
                on_progress=lambda _: None,
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode(), target
