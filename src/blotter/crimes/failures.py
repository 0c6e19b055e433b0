"""Why a file is refused or a row is skipped: every code the application writes, with what a person reads.

A refused file ends as FAILED with one of `FILE_CODES`; a skipped row keeps the file going and is counted under one
of `ROW_REASONS`. Codes are part of the API: they are added, never renamed. Does no I/O.
"""

from __future__ import annotations

# error_code → what it means to the person who uploaded
FILE_CODES = {
    "EMPTY_FILE": "The file has no content.",
    "NO_ROWS": "The file has a header but no rows.",
    "MISSING_COLUMNS": "A column that the prediction needs is not in the header.",
    "TOO_MANY_COLUMNS": "The header has more columns than any file of incidents.",
    "WRONG_DELIMITER": "The columns are not separated by commas, semicolons, tabs or bars.",
    "NOT_CSV": "The file is not CSV: a PDF, an archive, a workbook or another format.",
    "NOT_UTF8": "The text is not encoded as UTF-8.",
    "TRUNCATED_GZIP": "The gzip data end too early; the upload or the export was cut off.",
    "CORRUPT_GZIP": "The gzip data are damaged.",
    "TOO_LARGE": "The file unpacks to more than the limit.",
    "FIELD_TOO_LONG": "A line is longer than the limit.",
    "UNCLOSED_QUOTE": "So many quotes are never closed that the rows cannot be separated.",
    "NO_VALID_ROWS": "Not one row could be scored.",
    "TOO_MANY_BAD_ROWS": "Nearly all rows cannot be scored.",
    "OUTPUT_TOO_LARGE": "The predictions would be many times larger than the upload.",
    "OBJECT_MISSING": "The uploaded object is gone.",
    "TOO_MANY_ATTEMPTS": "Several workers ended while they processed this file.",
    "TIME_LIMIT": "The time allowed for one file ended before the file did.",
    "CANCELED": "The work on this file was canceled.",
    "INTERNAL_ERROR": "An error of the application, not of the file.",
}

# reason → what it means
ROW_REASONS = {
    "WRONG_FIELD_COUNT": "The row has more fields than the header, or ends before its date and type.",
    "MISSING_DATE": "The row has no date.",
    "BAD_DATE": "The date cannot be read.",
    "UNCLOSED_QUOTE": "The row opens a quote that is never closed.",
}


class FileRefused(Exception):
    """The file as a whole cannot be scored. `code` is one of FILE_CODES, `message` names what was found."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
