"""Items as rows of a table, validated exactly as PutItem validates them."""

from __future__ import annotations

from blotter.database.importing.formats import Put
from blotter.database.model.keys import table_key
from blotter.database.model.table import KeySchema, Table
from blotter.database.model.values import item_bytes
from blotter.database.storage.protocol import Row
from blotter.database.validation.attribute_values import check_item_size, validate_item
from blotter.database.validation.keys import check_item_keys


class RowMaker:
    """Makes the rows of one table. It keeps no state."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._keys: KeySchema = table.keys

    def __call__(self, put: Put) -> Row:
        """Raises DynamoDBError with AWS's message for an item that is not valid or does not fit the keys of the
        table and its indexes."""
        item, size = validate_item(put.Item)
        check_item_size(size)
        check_item_keys(self._table, item)
        return table_key(self._keys, item), size, item_bytes(item)


def key_types(table: Table) -> dict[str, str]:
    """The attributes whose columns in CSV are no strings: keys of the table and of its indexes."""
    return {attribute.name: attribute.type for attribute in table.key_attributes if attribute.type != "S"}
