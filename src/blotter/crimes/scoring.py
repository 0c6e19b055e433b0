"""Scoring one file: batches in, probabilities beside each row out, a summary at the end.

The one loop behind the worker, the Lambda handler and `blotter crimes score`: it reads from an iterator of bytes,
writes CSV text to a sink and says how far it is after every batch. A predictions file repeats every input row in
order, with `probability` (empty where the row was skipped) and `skipped_reason` behind it. Memory holds two
batches, whatever the size of the file. Knows neither table nor store.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from blotter.crimes.failures import FileRefused
from blotter.crimes.item import Summary
from blotter.crimes.model import Model, Vector
from blotter.crimes.objects import Sink
from blotter.crimes.reader import Batch, IncidentReader
from blotter.crimes.summary import SummaryBuilder

ADDED_COLUMNS = ["probability", "skipped_reason"]


class Progress(NamedTuple):
    """How far a file is; `bytes_read` counts the stored (packed) bytes taken in."""

    bytes_read: int
    rows_read: int
    rows_scored: int
    rows_skipped: int
    skipped_reasons: dict[str, int]


def score_file(
    model: Model,
    chunks: Iterable[bytes],
    sink: Sink,
    *,
    max_bytes: int,
    max_line: int,
    on_progress: Callable[[Progress], None],
) -> Summary:
    """Scores a CSV or CSV.gz; raises FileRefused when the file as a whole is no good.

    `on_progress` is called after every batch and may raise to stop the work.
    """
    counted = _Counting(chunks)
    reader = IncidentReader(counted, max_bytes=max_bytes, max_line=max_line)
    output = _PredictionWriter(sink, reader.header)
    summary = SummaryBuilder()
    for batch, probabilities in _predicted(model, reader):
        output.write(batch, probabilities)
        summary.add(batch, probabilities)
        on_progress(
            Progress(
                counted.taken,
                summary.rows_read,
                summary.rows_scored,
                summary.rows_skipped,
                dict(summary.skipped),
            )
        )
    if summary.rows_read == 0:
        raise FileRefused("NO_ROWS", "the file has a header but no rows")
    if summary.rows_scored == 0:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in summary.skipped.most_common())
        raise FileRefused("NO_VALID_ROWS", f"none of {summary.rows_read:,} rows could be scored: {reasons}")
    return summary.build(model.version)


def _predicted(model: Model, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Vector]]:
    """Each batch with its probabilities. While LightGBM works on one, Python reads the next: on two cores."""
    with ThreadPoolExecutor(1) as predictor:
        waiting: tuple[Batch, Future[Vector]] | None = None
        for batch in batches:
            coming = (batch, predictor.submit(model.probabilities, model.matrix(batch)))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()


class _Counting:
    """The chunks, and how many of their bytes were taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += len(chunk)
            yield chunk


class _PredictionWriter:
    """Repeats rows as CSV with the added columns, aligned whatever the width of a row was."""

    def __init__(self, sink: Sink, header: list[str]) -> None:
        self._sink = sink
        self._width = len(header)
        self._write_rows([header + ADDED_COLUMNS])

    def write(self, batch: Batch, probabilities: Vector) -> None:
        added = [["", reason] for reason in batch.reasons]
        for place, probability in zip(batch.valid, probabilities.tolist(), strict=True):
            added[place][0] = f"{probability:.6f}"
        self._write_rows([self._fitted(row) + end for row, end in zip(batch.rows, added, strict=True)])

    def _fitted(self, row: list[str]) -> list[str]:
        """The row as wide as the header: filled up, or with what is too much joined into the last field."""
        if len(row) == self._width:
            return row
        if len(row) < self._width:
            return row + [""] * (self._width - len(row))
        return [*row[: self._width - 1], ",".join(row[self._width - 1 :])]

    def _write_rows(self, rows: list[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode())
