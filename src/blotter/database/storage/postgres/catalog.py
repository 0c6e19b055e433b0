"""The tables' descriptions as a front end has them in memory, by the generation of the catalog.

The cache is filled by name, as tables are used, and is emptied when a statement reports another generation. A
handler may run over it without asking PostgreSQL, because what the handler finds out is used only after a
statement has confirmed the generation that it ran with. Names without a table are not kept: callers could make any
number of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from blotter.database.model.table import Table

Name = tuple[str, str, str]
"""Account, region and name of a table."""

encode_table: Final = msgspec.json.Encoder().encode
decode_table: Final = msgspec.json.Decoder(Table).decode


class CatalogCache:
    __slots__ = ("generation", "tables")

    def __init__(self) -> None:
        self.generation = 0
        """Of what is in `tables`; 0 before the first statement."""
        self.tables: dict[Name, Table] = {}

    def note(self, generation: int) -> bool:
        """Empties the cache if it is older than a statement's generation; returns whether the cache has that
        generation now, and not a later one."""
        if generation > self.generation:
            self.generation = generation
            self.tables = {}  # a new dictionary: who runs over the old one goes on with it
        return generation == self.generation

    def add(self, generation: int, name: Name, description: bytes) -> Table:
        """The table of a description that a statement has found at a generation."""
        table = decode_table(description)
        if self.note(generation):
            self.tables[name] = table
        return table


def encoded_name(name: Name) -> tuple[bytes, bytes, bytes]:
    """A table's name as it is stored."""
    account, region, table = name
    return account.encode(), region.encode(), table.encode()
