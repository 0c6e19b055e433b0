"""Scoring one file: batches in, every row with its probability out, a summary at the end.

The loop that the worker, the Lambda handler and `blotter crimes score` share: it reads from an iterator of bytes,
writes CSV text to a sink and reports its progress after every batch. A predictions file repeats every input row in
order, with `probability` (empty where the row was skipped) and `skipped_reason` at its end. Memory holds three
batches, whatever the size of the file. What a file may cost is limited: its predictions against its own size, and
the share of rows that cannot be scored. Imports neither table nor store.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from blotter.crimes.failures import FileRefused
from blotter.crimes.item import Problem, Summary
from blotter.crimes.learning.model import Model, Vector
from blotter.crimes.reading.reader import Batch, IncidentReader, find_order
from blotter.crimes.scoring.column_checks import ColumnChecks
from blotter.crimes.scoring.limits import Limits
from blotter.crimes.scoring.summary import SummaryBuilder
from blotter.crimes.storage.objects import Sink

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
    open_chunks: Callable[[], Iterable[bytes]],
    sink: Sink,
    *,
    size: int,
    limits: Limits,
    on_progress: Callable[[Progress], None],
) -> Summary:
    """Scores a CSV or CSV.gz of `size` stored bytes; raises FileRefused when the file as a whole cannot be scored.

    `open_chunks` begins the file anew; it is called twice, because the order of the dates is found first.
    `on_progress` is called after every batch and every block that is read, and may raise to stop the work.
    """
    counted = _Counting(open_chunks())
    summary = SummaryBuilder(ColumnChecks(model.knows))

    def report_progress() -> None:
        on_progress(
            Progress(
                counted.taken, summary.rows_read, summary.rows_scored, summary.rows_skipped, dict(summary.skipped)
            )
        )

    bounds = (limits.max_bytes, limits.max_line)
    order = find_order(open_chunks(), *bounds, on_block=report_progress)
    reader = IncidentReader(counted, *bounds, order=order, on_block=report_progress)
    most = max(limits.output_floor, int(size * limits.output_ratio))
    output = _PredictionWriter(sink, reader.header, most)
    for batch, probabilities in _predicted(model, reader):
        output.write(batch, probabilities)
        summary.add(batch, probabilities)
        if summary.rows_read >= limits.bad_rows_floor:
            _check_share(summary, reader.found.problems, limits.bad_rows_share)
        report_progress()
    if summary.rows_read == 0:
        raise FileRefused("NO_ROWS", "the file has a header but no rows")
    if summary.rows_scored == 0:
        raise FileRefused(
            "NO_VALID_ROWS",
            f"none of {summary.rows_read:,} rows could be scored: {_reasons(summary, reader.found.problems)}",
        )
    return summary.build(model.manifest, reader, order)


def _check_share(summary: SummaryBuilder, problems: list[Problem], most: float) -> None:
    if summary.rows_skipped > most * summary.rows_read:
        raise FileRefused(
            "TOO_MANY_BAD_ROWS",
            f"{summary.rows_skipped:,} of the first {summary.rows_read:,} rows cannot be scored:"
            f" {_reasons(summary, problems)}",
        )


def _reasons(summary: SummaryBuilder, problems: list[Problem]) -> str:
    """`1,200 BAD_DATE (line 2: Date “31.31.2022” cannot be read …)`, the most frequent reason first."""
    first = {problem.code: problem for problem in reversed(problems)}
    return ", ".join(
        f"{rows:,} {reason}"
        + (f" (line {first[reason].line:,}: {first[reason].message})" if reason in first else "")
        for reason, rows in summary.skipped.most_common()
    )


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
    """Repeats rows as CSV with the added columns, aligned whatever the width of a row was.

    Raises FileRefused before it writes more than `most` bytes.
    """

    def __init__(self, sink: Sink, header: list[str], most: int) -> None:
        self._sink = sink
        self._width = len(header)
        self._most = most
        self._written = 0
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
        data = csv_text(rows).encode("utf-8", "surrogatepass")
        self._written += len(data)
        if self._written > self._most:
            raise FileRefused(
                "OUTPUT_TOO_LARGE",
                f"the predictions would be larger than {self._most:,} bytes, far more than the upload",
            )
        self._sink.write(data)


def csv_text(rows: Sequence[list[str]]) -> str:
    """Rows as CSV with "\\n" at their ends.

    A row with a bare "\\r" in a field is quoted whole: before Python 3.11.9 and 3.12.3 the csv module writes such
    a field without quotes, and every reader then takes it for the end of a row.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    if "\r" in "".join(map("".join, rows)):
        for row in rows:
            (quoted if "\r" in "".join(row) else plain).writerow(row)
    else:
        plain.writerows(rows)
    return text.getvalue()
