"""Rows of a local file: CSV, JSON Lines, DynamoDB JSON or Parquet, compressed or not, one after another.

A row has its number (the line on which it begins; in Parquet its position, from 1) and its values by name: text in
CSV, what JSON or Parquet have otherwise, attribute values in DynamoDB JSON. Memory is bounded by the longest line.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

from blotter.tables.errors import Exit, SetupError

Form = Literal["csv", "jsonl", "dynamodb-json", "parquet"]
FORMS: Final[tuple[Form, ...]] = ("csv", "jsonl", "dynamodb-json", "parquet")

MAX_LINE: Final = 16 * 1024 * 1024
"""Characters of a line or a CSV field."""
_SUFFIXES: Final[dict[str, Form]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSED: Final = (".gz", ".zst")
_PARQUET_BATCH: Final = 1024


class Row(NamedTuple):
    number: int
    values: dict[str, Any]


class LocalFile(NamedTuple):
    """A file and how it is read. `delimiter` and `header` are of CSV; without a header, the first line is one."""

    path: Path
    form: Form
    delimiter: str = ","
    header: tuple[str, ...] | None = None

    def rows(self) -> Iterator[Row]:
        """Raises SetupError, which names the file and the line."""
        if self.form == "parquet":
            return self._parquet_rows()
        return self._csv_rows() if self.form == "csv" else self._json_rows()

    def wrong(self, number: int, what: str) -> SetupError:
        """The error about one row."""
        place = "row" if self.form == "parquet" else "line"
        return SetupError(f"{self.path}, {place} {number}: {what}", Exit.REFUSED)

    def _csv_rows(self) -> Iterator[Row]:
        csv.field_size_limit(MAX_LINE)
        with _text(self.path) as file:
            reader = csv.reader(_bounded(self, file), delimiter=self.delimiter, strict=True)
            names = list(self.header) if self.header else None
            start = 1
            try:
                for cells in reader:
                    number, start = start, reader.line_num + 1
                    if not cells:
                        continue
                    if names is None:
                        names = self._checked_header(cells)
                    elif len(cells) != len(names):
                        raise self.wrong(number, f"{len(cells)} columns, but the header has {len(names)}")
                    else:
                        yield Row(number, {n: c for n, c in zip(names, cells, strict=True) if c})
            except csv.Error as error:
                raise self.wrong(start, f"not CSV: {error}") from None

    def _checked_header(self, cells: list[str]) -> list[str]:
        if not all(cells):
            raise self.wrong(1, "a column of the header has no name")
        if len(set(cells)) < len(cells):
            raise self.wrong(1, "two columns of the header have the same name")
        return cells

    def _json_rows(self) -> Iterator[Row]:
        with _text(self.path) as file:
            for number, line in enumerate(_bounded(self, file), 1):
                if not line.strip():
                    continue
                try:
                    values = json.loads(line, parse_float=Decimal, parse_constant=_no_constant)
                except (ValueError, RecursionError) as error:
                    raise self.wrong(number, f"not JSON: {error}") from None
                if self.form == "dynamodb-json" and isinstance(values, dict):
                    values = values.get("Item", values)
                if not isinstance(values, dict):
                    raise self.wrong(number, "not a JSON object")
                yield Row(number, values)

    def _parquet_rows(self) -> Iterator[Row]:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise SetupError(
                "reading Parquet needs pyarrow: pip install 'blotter-db[parquet]'", Exit.CONFIGURATION
            ) from None
        number = 0
        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(_PARQUET_BATCH):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(number, {name: each for name, each in values.items() if each is not None})
        except (OSError, ArrowException) as error:
            raise SetupError(f"{self.path}: not readable as Parquet: {error}", Exit.REFUSED) from None


def local_file(path: Path, form: Form | None, delimiter: str | None, header: tuple[str, ...] | None) -> LocalFile:
    """The file, with what its name and its first line say about its form. Raises SetupError."""
    if not path.is_file():
        raise SetupError(f"{path} is not a file", Exit.CONFIGURATION)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    chosen = form or _SUFFIXES.get(suffix)
    if chosen is None:
        raise SetupError(f"{path}: what is in it? Give --format {', '.join(FORMS)}", Exit.USAGE)
    file = LocalFile(path, chosen, delimiter or ("\t" if suffix == ".tsv" else ","), header)
    if form is None and chosen == "jsonl" and _is_dynamodb_json(file):
        return file._replace(form="dynamodb-json")
    return file


def _is_dynamodb_json(file: LocalFile) -> bool:
    """Whether the first line is of an export: `Item` alone, and every attribute with its type."""
    for row in file.rows():
        item = row.values.get("Item")
        return (
            list(row.values) == ["Item"]
            and isinstance(item, dict)
            and all(isinstance(value, dict) and len(value) == 1 for value in item.values())
        )
    return False


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    """The file as text, unpacked."""
    try:
        with _opened(path) as file:
            yield file
    except UnicodeDecodeError as error:
        raise SetupError(f"{path}: not valid UTF-8: {error.reason}", Exit.REFUSED) from None
    except (OSError, EOFError) as error:
        raise SetupError(f"{path}: {getattr(error, 'strerror', None) or error}", Exit.REFUSED) from None


def _opened(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix.lower() == ".zst":
        import zstandard

        opened: IO[str] = zstandard.open(path, "rt", encoding="utf-8-sig", newline="")
        return opened
    return path.open(encoding="utf-8-sig", newline="")


def _bounded(file: LocalFile, text: IO[str]) -> Iterator[str]:
    """The lines of a text, none of them endless."""
    number = 0
    while line := text.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise file.wrong(number, f"longer than {MAX_LINE:,} characters")
        yield line


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of DynamoDB's")
