"""The newest results, from a table that has no order: a bounded Scan, sorted here.

The seed's table has a hash key only and no index, so "newest first" cannot be asked of DynamoDB. This reads at
most `MAX_PAGES` pages (1 MB each at most) without the breakdowns, sorts by upload time and says when there is
more than it looked at. Why not an index, and when that will have to change:
docs/decisions/0004-newest-results-by-bounded-scan.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from blotter.crimes.item import Result
from blotter.crimes.results import ResultsTable

MAX_PAGES = 20
_PAGE_ITEMS = 500


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest results first. `found` counts what was read; `complete` is False when the table holds more."""

    results: list[Result]
    found: int
    complete: bool


def newest(table: ResultsTable, limit: int) -> Newest:
    """The `limit` newest of what a bounded Scan finds. Results without upload time come last."""
    found: list[Result] = []
    token: str | None = None
    for _ in range(MAX_PAGES):
        page = table.page(_PAGE_ITEMS, token)
        found += page.results
        token = page.next
        if token is None:
            break
    found.sort(key=lambda result: (result.uploaded_at or "", result.file_key), reverse=True)
    return Newest(found[:limit], len(found), token is None)
