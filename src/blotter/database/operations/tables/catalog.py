"""Saves changed tables. Control-plane operations see a table without the indexes that are gone by time
(`Table.at`), while the catalog may still hold them; saving such a table must also remove their entries.
"""

from __future__ import annotations

from blotter.database.model.table import Table
from blotter.database.storage.protocol import WriteTransaction


def save_table(tx: WriteTransaction, table: Table) -> None:
    """Replaces the table of the same name in the catalog and drops the key spaces of indexes that are no longer
    in it."""
    stored = tx.find_table(table.account, table.region, table.name)
    if stored is not None and stored.id == table.id:
        kept = {index.space for index in table.indexes}
        for index in stored.indexes:
            if index.space not in kept:
                for space in index.spaces:
                    tx.drop_space(space)
    tx.save_table(table)
