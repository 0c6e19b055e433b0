"""The first reading of a file: what is in it, which types its attributes get, which rows cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from blotter.loading.files import LocalFile
from blotter.loading.types import Column, Converter, NotConvertible, common_type, kind_of, kind_of_text

MOST_SHOWN: Final = 20
"""Rows that cannot be written of which the report tells."""
TELL_EVERY: Final = 50_000


class Survey:
    """What was found. `wrong`: the numbers of the rows that cannot be written, with the reason, the first ones."""

    def __init__(self, converter: Converter) -> None:
        self.converter = converter
        self.columns: dict[str, Column] = {}
        self.rows = 0
        self.refused = 0
        self.wrong: list[tuple[int, str]] = []

    def facts(self) -> list[dict[str, Any]]:
        """One entry for each attribute: type, where that comes from, in how many rows it is."""
        found = []
        for name, column in self.columns.items():
            type_, source = self.converter.type_of(name)
            found.append(
                {
                    "attribute": name,
                    "type": type_ or column.kind,
                    "from": source,
                    "rows": column.kinds.total(),
                    "example": column.example[:60],
                }
            )
        return found


def survey(file: LocalFile, converter: Converter, notify: Callable[[str], None]) -> Survey:
    """Reads the file: once for its columns, if they are text, and once for its rows. Raises SetupError for what is
    no file of its form."""
    found = Survey(converter)
    look = _look_at_text if file.form == "csv" else _look_at_types if file.form == "dynamodb-json" else kind_of
    for row in file.rows():
        found.rows += 1
        for name, value in row.values.items():
            found.columns.setdefault(name, Column()).add(look(value), value)
        if found.rows % TELL_EVERY == 0:
            notify(f"{found.rows:,} rows looked at")
    if file.form == "csv":
        converter.found = {name: common_type(column) for name, column in found.columns.items()}
    for row in file.rows():
        try:
            converter.item(row)
        except NotConvertible as reason:
            found.refused += 1
            if len(found.wrong) < MOST_SHOWN:
                found.wrong.append((row.number, str(reason)))
    return found


def _look_at_text(value: Any) -> str:
    return kind_of_text(value)


def _look_at_types(value: Any) -> str:
    return next(iter(value), "?") if isinstance(value, dict) else "?"
