"""Makes workers of the application stop in the middle of a file until they are let go on: a file `go_on` appears.

Python imports this module by its name in every process that has this folder on its PYTHONPATH. A file is then
read in small batches, and after the first of them its progress is reported again and again, as that of a long file
would be: the lease is renewed, and a worker that is told to stop hears of it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

_ROWS = 100
_PAUSE = 0.02


def _hold() -> None:
    from blotter.crimes.jobs import processing
    from blotter.crimes.reading import reader

    score_file = processing.score_file

    def held(*arguments: Any, on_progress: Any, **more: Any) -> Any:
        def show(progress: Any) -> None:
            on_progress(progress)
            while progress.rows_read > 0 and not Path("go_on").exists():
                time.sleep(_PAUSE)
                on_progress(progress)

        return score_file(*arguments, on_progress=show, **more)

    processing.score_file = held
    defaults = reader.IncidentReader.__init__.__kwdefaults__ or {}
    reader.IncidentReader.__init__.__kwdefaults__ = {**defaults, "batch_rows": _ROWS}


if "worker" in sys.orig_argv:
    _hold()
