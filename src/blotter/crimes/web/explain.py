"""What a stored code means to the person who uploaded the file: a heading, and what to do about it.

The codes and their meaning are the application's (`crimes/failures.py`); the item's own message states what was
wrong with this file; this module has how to mend it. A code that is not known (a newer worker wrote it) gets a
general answer, never an error page.
"""

from __future__ import annotations

from dataclasses import dataclass

from blotter.crimes.failures import FILE_CODES, ROW_REASONS


@dataclass(frozen=True, slots=True)
class Advice:
    """`heading` is what happened, `remedy` what to do next."""

    heading: str
    remedy: str


_EXPORT = "Export the incidents from the portal again as CSV and upload that file."
_AGAIN = "Upload the file again. If it fails once more, the log of the application says why."

# error code → what to do
REMEDIES = {
    "EMPTY_FILE": _EXPORT,
    "NO_ROWS": "Check the filter of the export: it matched no incident. " + _EXPORT,
    "MISSING_COLUMNS": "Keep the portal’s column headings: a date and a primary type are needed, the others help.",
    "WRONG_DELIMITER": "Save the file with commas between the columns: “CSV (comma delimited)” in spreadsheets.",
    "NOT_CSV": "Save the incidents as CSV, plain or compressed with gzip, and upload that file.",
    "NOT_UTF8": "Save the file as “CSV UTF-8”, and upload it again.",
    "TRUNCATED_GZIP": "Compress or download the file again, then check it with “gzip -t” before you upload it.",
    "CORRUPT_GZIP": "Compress or download the file again, then check it with “gzip -t” before you upload it.",
    "TOO_LARGE": "Split the file, by year for instance, and upload the parts.",
    "FIELD_TOO_LONG": "Look at the row that is named, close its quote, and upload the file again.",
    "TOO_MANY_COLUMNS": "Keep the columns of the portal’s export. " + _EXPORT,
    "UNCLOSED_QUOTE": "Close the quote in the line that is named, or remove it, and upload the file again.",
    "TOO_MANY_BAD_ROWS": "Look at the lines that are named: often the dates or columns are not as expected.",
    "OUTPUT_TOO_LARGE": "Remove columns that are not needed, or split the file, and upload it again.",
    "CANCELED": "Upload the file again, or start the work again, when you want its predictions after all.",
    "NO_VALID_ROWS": "Look at the reasons above: most often the dates are written in a way that is not known.",
    "OBJECT_MISSING": "Upload the file again.",
    "TOO_MANY_ATTEMPTS": _AGAIN,
    "TIME_LIMIT": "Split the file and upload the parts.",
    "INTERNAL_ERROR": _AGAIN,
}


def failure(code: str | None) -> Advice:
    """The advice for an error code of a result item."""
    heading = FILE_CODES.get(code or "", "This file could not be scored.")
    return Advice(heading, REMEDIES.get(code or "", _AGAIN))


def skipped(reason: str) -> str:
    """A reason for which rows were skipped, as a sentence; one that is not known is shown as it was written."""
    return ROW_REASONS.get(reason, reason)
