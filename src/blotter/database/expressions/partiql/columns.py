"""The select list: which paths of an item are returned, and under which names.

A path's value comes under the path's last part: `m.k[1]` under `k[1]`. What an item lacks is left out.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from blotter.database.expressions.partiql.problems import Problem
from blotter.database.expressions.paths import getter, head
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.model.errors import parameter_error
from blotter.database.model.values import Item


class Columns:
    """A select list other than `*`."""

    __slots__ = ("_columns", "paths")

    def __init__(self, paths: Iterable[ResolvedPath]) -> None:
        """Raises `Problem` when two paths would return under one name."""
        self.paths = tuple(paths)
        names: set[str] = set()
        for name in map(_column_name, self.paths):
            if name in names:
                raise Problem(f"Duplicate identifiers in select clause: {name}")
            names.add(name)
        self._columns = [(_column_name(path), getter(path)) for path in self.paths]

    @property
    def top_level_names(self) -> tuple[str, ...]:
        """The attributes it reads from, in the order of the statement."""
        return tuple(dict.fromkeys(head(path) for path in self.paths))

    def project(self, item: Item) -> Item:
        selected = {}
        for name, get in self._columns:
            value = get(item)
            if value is not None:
                selected[name] = value
        return selected

    def refuse_unprojected(self, index: str, projected: Container[str]) -> None:
        """Raises ValidationException when a global secondary index does not hold what is selected."""
        missing = [name for name in self.top_level_names if name not in projected]
        if missing:
            raise parameter_error(f"Global secondary index {index} does not project [{', '.join(missing)}]")


def _column_name(path: ResolvedPath) -> str:
    indexes = ""
    for step in reversed(path):
        if isinstance(step, str):
            return step + indexes
        indexes = f"[{step}]{indexes}"
    raise TypeError("a document path starts with a name")
