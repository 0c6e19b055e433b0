"""What the reader of a result should know before trusting it, as sentences made from the summary.

Each note has a code for programs and a sentence for people; the pages show them as they are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from blotter.crimes.item import ColumnCheck, Note, Summary
from blotter.crimes.reading.reader import COLUMNS, LONG_RECORD, Found

_FEW = 0.001  # of the scored rows; fewer blank values are not worth a note
_OPTIONAL = ("block", "description", "location_description", "domestic", "community_area")


def notes_on(summary: Summary, found: Found) -> Summary:
    """The summary with its notes, the most important first."""
    notes = [Note(code, message) for code, message in _all(summary, found)]
    return msgspec.structs.replace(summary, notes=notes)


def _all(summary: Summary, found: Found) -> Iterator[tuple[str, str]]:
    yield from _overlap(summary)
    yield from _dates(summary, found)
    yield from _columns(summary)
    yield from _rows(summary, found)


def _overlap(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.training_overlap_rows:
        yield (
            "TRAINING_OVERLAP",
            f"{_rows_text(summary.training_overlap_rows)} a date from {summary.trained_from} to"
            f" {summary.trained_to}, the months the model learned from: on them it looks better than it is.",
        )


def _dates(summary: Summary, found: Found) -> Iterator[tuple[str, str]]:
    reading = summary.reading
    if reading is not None and reading.date_order_reason:
        yield (
            "DATE_ORDER",
            f"Dates are read with the {reading.date_order}: {reading.date_order_reason}."
            f" “{reading.date_example}” is {reading.date_read_as}.",
        )
    if found.zoned_dates:
        yield (
            "ZONE_IGNORED",
            f"{_rows_text(found.zoned_dates)} a time zone in the date (such as UTC). Times are taken as they are"
            " written, as Chicago's: exports add a zone to the portal's times without changing them.",
        )
    if summary.date_only_rows:
        yield (
            "NO_TIME",
            f"{_rows_text(summary.date_only_rows)} a day without a time; the hour is unknown to the model there.",
        )
    if summary.midnight_rows > max(summary.rows_scored * 0.02, 10):
        yield (
            "MIDNIGHT",
            f"{_rows_text(summary.midnight_rows)} exactly 00:00 as the time, which the portal writes where the"
            " time is not known: the first hour of the day is too high in the charts.",
        )


def _columns(summary: Summary) -> Iterator[tuple[str, str]]:
    missing = [COLUMNS[name] for name in _OPTIONAL if name in summary.columns and _lacks(summary.columns[name])]
    if missing:
        yield (
            "COLUMNS_MISSING",
            f"The file has no {_listed(missing)}: the predictions are less certain without, and stay nearer to the"
            " average.",
        )
    for name, check in summary.columns.items():
        heading = COLUMNS[name]
        if check.unknown and name not in ("date", "block"):
            examples = ", ".join(f"“{example}”" for example in check.examples)
            yield (
                "UNKNOWN_VALUES",
                f"{heading}: {_rows_text(check.unknown)} values the model does not know ({examples}); they count"
                " as not given.",
            )
        if check.renamed:
            yield (
                "RENAMED_VALUES",
                f"{heading}: {_rows_text(check.renamed)} an older name of the portal, read as the present one.",
            )
        if check.blank > summary.rows_scored * _FEW and name not in ("date", "arrest"):
            yield "BLANK_VALUES", f"{heading}: {_rows_text(check.blank)} no value."


def _lacks(check: ColumnCheck) -> bool:
    return check.heading is None


def _rows(summary: Summary, found: Found) -> Iterator[tuple[str, str]]:
    broken = summary.skipped_reasons.get("UNCLOSED_QUOTE", 0)
    if broken:
        lines = [str(problem.line) for problem in summary.problems if problem.code == "UNCLOSED_QUOTE"]
        yield (
            "UNCLOSED_QUOTES",
            f"{_rows_text(broken)} a quote that is never closed (line {', '.join(lines)}); they are skipped, the"
            " lines after them are read.",
        )
    if found.long_records:
        lines_, line = found.longest_record
        yield (
            "LONG_ROWS",
            f"{_rows_text(found.long_records)} more than {LONG_RECORD} lines; the longest begins in line {line:,}"
            f" and has {lines_:,}. If that is not meant, a quote is missing there.",
        )
    if found.short_rows:
        yield (
            "SHORT_ROWS",
            f"{_rows_text(found.short_rows)} fewer fields than the header; what they lack counts as not given.",
        )


def _rows_text(rows: int) -> str:
    return "1 row has" if rows == 1 else f"{rows:,} rows have"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
