"""`blotter crimes score`: one local file, no table, no queue; the same reader, model and writer as the worker's.

The predictions file appears only when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from blotter.crimes.model import load_model
from blotter.crimes.scoring import score_file
from blotter.crimes.settings import CrimesSettings


def score_locally(file: Path, chunks: Iterable[bytes], out: Path | None, model_folder: str) -> tuple[str, Path]:
    """Returns the summary as JSON and where the predictions are. Raises FileRefused, ModelError."""
    target = out or file.with_name(f"{file.name}.predictions.csv")
    draft = target.with_name(f".{target.name}.draft")
    limits = CrimesSettings()
    try:
        with draft.open("wb") as sink:
            summary = score_file(
                load_model(model_folder),
                chunks,
                sink,
                max_bytes=limits.max_decompressed_bytes,
                max_line=limits.max_line_bytes,
                on_progress=lambda _: None,
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode(), target
