"""Tables as the catalog holds them, decoded once per process and validated by the catalog's generation.

Every commit that changes the catalog raises its generation. A transaction reads the generation in its own snapshot
and looks tables up here; a cache of another generation is emptied first. So a request never works on a table that
its snapshot does not have, and a table is decoded again only after some table changed. Misses are not cached:
callers could make any number of them.
"""

from __future__ import annotations

from typing import cast

import apsw
import msgspec

from blotter.database.model.table import Table

SELECT_DESCRIPTION = "SELECT description FROM catalog WHERE account = ? AND region = ? AND name = ?"

_decode = msgspec.json.Decoder(Table).decode
encode_table = msgspec.json.Encoder().encode


def decode_table(description: bytes) -> Table:
    return _decode(description)


class CatalogCache:
    __slots__ = ("_generation", "_tables")

    def __init__(self) -> None:
        self._generation = 0
        self._tables: dict[tuple[str, str, str], Table] = {}

    def find(self, generation: int, cursor: apsw.Cursor, name: tuple[str, str, str]) -> Table | None:
        """The table of (account, region, name) in the cursor's snapshot, which has this generation."""
        if generation != self._generation:
            self._tables.clear()
            self._generation = generation
        table = self._tables.get(name)
        if table is None:
            description = cursor.execute(SELECT_DESCRIPTION, name).get
            if description is None:
                return None
            table = self._tables[name] = _decode(cast(bytes, description))
        return table
