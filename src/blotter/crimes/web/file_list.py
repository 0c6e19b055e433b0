"""The list of files: columns, search, filter, sort and pages over results from a table that has no order.

The table's key is a hash, so nothing but a Scan finds results. A Scan is read in windows of at most `MAX_PAGES`
pages (1 MB each at most) without the breakdowns; search, filter and order work on the window, and when the
table holds more, the list links to the next window. So every result can be reached, and one request never reads
more than a window. Why not an index: docs/decisions/0004-newest-results-by-bounded-scan.md.

A column is one entry of `COLUMNS`, anywhere in it; heading, sorting and the phone's layout follow. It may show any
attribute of `Result` but those of `DETAIL_ATTRIBUTES` (`item.py`), formatted by `text.py`. Tested in
tests/unit/crimes/web/test_pages.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from blotter.crimes.item import Result
from blotter.crimes.storage.results import ResultsTable
from blotter.crimes.web import headline, text

MAX_PAGES = 20
PER_PAGE = 50
_SCAN_ITEMS = 500
STATUSES = ("UPLOADED", "PROCESSING", "COMPLETED", "FAILED")
DEFAULT_SORT = "-uploaded"


@dataclass(frozen=True, slots=True)
class Column:
    """`value` is what the list sorts by, None when it is not known; `show` is the text of its cell. A column whose
    cell is more than a number has no `show`: templates/files.html draws it, by name."""

    name: str
    heading: str
    value: Callable[[Result], Any]
    show: Callable[[Result], str] | None = None


def _done(result: Result) -> bool:
    return result.status == "COMPLETED"


def _incidents(result: Result) -> int | None:
    return result.rows_scored if _done(result) else result.rows_read or None


def _expected(result: Result) -> float | None:
    return headline.expected_arrests(result) if _done(result) else None


def _mean(result: Result) -> float | None:
    return result.mean_probability if _done(result) else None


COLUMNS = (
    Column("file", "File", lambda result: (result.file_name or result.file_key).casefold()),
    Column("status", "Status", lambda result: STATUSES.index(result.status)),
    Column("uploaded", "Uploaded", lambda result: result.uploaded_at),
    Column("incidents", "Incidents", _incidents, lambda result: text.number(_incidents(result))),
    Column("expected", "Expected arrests", _expected, lambda result: text.amount(_expected(result))),
    Column("mean", "Mean probability", _mean, lambda result: text.share(_mean(result))),
)
_BY_NAME = {column.name: column for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Query:
    """What the address selects; `after` is the token of the window, None for the first one."""

    search: str = ""
    status: str = ""
    sort: str = DEFAULT_SORT
    page: int = 1
    after: str | None = None

    @classmethod
    def of(cls, search: str, status: str, sort: str, page: int, after: str | None) -> Query:
        """A query from an address; invalid parts are ignored."""
        known = sort if sort.removeprefix("-") in _BY_NAME else DEFAULT_SORT
        return cls(search.strip()[:200], status if status in STATUSES else "", known, max(page, 1), after or None)

    @property
    def narrowed(self) -> bool:
        return bool(self.search or self.status)

    def url(self, **changes: Any) -> str:
        """The address of this query with some changes."""
        query = replace(self, **changes)
        given = {
            "q": query.search,
            "status": query.status,
            "sort": "" if query.sort == DEFAULT_SORT else query.sort,
            "page": "" if query.page == 1 else str(query.page),
            "after": query.after or "",
        }
        address = urlencode({name: value for name, value in given.items() if value})
        return f"/?{address}" if address else "/"

    def sorted_by(self, column: str) -> str:
        """The address of the list by a column; by the one it is sorted by, the other way round."""
        descends_first = column not in ("file", "status")
        sort = f"-{column}" if descends_first else column
        if sort == self.sort:
            sort = column if descends_first else f"-{column}"
        return self.url(sort=sort, page=1)

    def direction(self, column: str) -> str | None:
        """For aria-sort: how the list is sorted by a column, None when by another one."""
        if self.sort.removeprefix("-") != column:
            return None
        return "descending" if self.sort.startswith("-") else "ascending"


@dataclass(frozen=True, slots=True)
class FileList:
    """One page of a window. `found` results match of `looked_at`; `next` is the next window's token."""

    query: Query
    results: list[Result]
    found: int
    looked_at: int
    pages: int
    next: str | None

    @property
    def first(self) -> int:
        return (self.query.page - 1) * PER_PAGE + 1


def read(table: ResultsTable, query: Query) -> FileList:
    """The page that the query selects. Raises InvalidToken, botocore's errors."""
    window, following = _window(table, query.after)
    wanted = query.search.casefold()
    found = [
        result
        for result in window
        if (not query.status or result.status == query.status)
        and (not wanted or wanted in f"{result.file_name}\n{result.file_key}\n{result.error_code}".casefold())
    ]
    _sort(found, query.sort)
    pages = max(1, -(-len(found) // PER_PAGE))
    query = replace(query, page=min(query.page, pages))
    start = (query.page - 1) * PER_PAGE
    return FileList(query, found[start : start + PER_PAGE], len(found), len(window), pages, following)


def _window(table: ResultsTable, token: str | None) -> tuple[list[Result], str | None]:
    found: list[Result] = []
    for _ in range(MAX_PAGES):
        page = table.page(_SCAN_ITEMS, token)
        found += page.results
        token = page.next
        if token is None:
            break
    return found, token


def _sort(results: list[Result], sort: str) -> None:
    """Sorts in place; what is not known comes last in either direction, ties by key."""
    value = _BY_NAME[sort.removeprefix("-")].value
    results.sort(key=lambda result: result.file_key)
    known = [result for result in results if value(result) is not None]
    unknown = [result for result in results if value(result) is None]
    known.sort(key=value, reverse=sort.startswith("-"))
    results[:] = known + unknown
