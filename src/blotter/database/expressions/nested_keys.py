"""The rule that no expression looks inside a key attribute, be it the table's or an index's.

Only the table shows which attributes are keys, so an operation checks this once it has the table. Keys of the
table are named first, then those of global and of local secondary indexes. Source: dynalite's tests (getItem.js,
query.js, scan.js, updateItem.js), recorded from the service.
"""

from __future__ import annotations

from typing import Protocol

from blotter.database.model.errors import validation_error
from blotter.database.model.table import Table


class LooksInside(Protocol):
    """A condition, projection or update."""

    @property
    def nested_names(self) -> tuple[str, ...]: ...


def refuse_nested_keys(table: Table, *expressions: LooksInside | None) -> None:
    """Raises ValidationException for the first key attribute that an expression reads or writes a part of."""
    nested = {name for expression in expressions if expression is not None for name in expression.nested_names}
    if not nested:
        return
    for attribute in table.keys.attributes:
        if attribute.name in nested:
            raise _not_a_scalar("Key", attribute.name)
    for index in sorted(table.indexes, key=lambda index: index.local):
        for attribute in () if index.vector is not None else index.keys.attributes:
            if attribute.name in nested:
                raise _not_a_scalar("IndexKey", attribute.name)


def _not_a_scalar(kind: str, name: str) -> Exception:
    return validation_error(
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
        f"{kind}: {name}"
    )
