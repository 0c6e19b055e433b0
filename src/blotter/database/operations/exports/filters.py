"""The FilterSpecification of an export: which items, and which of their attributes.

A key condition narrows the export to a range of one partition, a filter decides item by item, a projection takes a
part of each. With a key condition, the filter may not look at the key. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Filtered.html
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from blotter.database.expressions import Condition, Projection, refuse_nested_keys
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.pages import KeyRange
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.reading import query_range
from blotter.database.validation.exports import in_filter
from blotter.database.validation.keys import check_key_length
from blotter.database.wire.requests import FilterSpecification

EVERYTHING: Final[KeyRange] = (b"", None)


class ExportFilter:
    """`range` are the storage keys that can match, as start <= key < end."""

    __slots__ = ("_condition", "_projection", "range")

    def __init__(self, key_range: KeyRange, condition: Condition | None, projection: Projection | None) -> None:
        self.range: Final = key_range
        self._condition: Final = condition
        self._projection: Final = projection

    def matches(self, item: Item) -> bool:
        """For an item whose key is in the range."""
        return self._condition is None or self._condition.matches(item)

    def part(self, item: Item) -> Item:
        """What is exported of an item."""
        return item if self._projection is None else self._projection.project(item)


def compile_filter(given: FilterSpecification, table: Table) -> ExportFilter:
    """Raises ValidationException for expressions that are wrong, or do not fit the table's keys. The values were
    validated before."""
    try:
        return _compile(given, table)
    except DynamoDBError as error:
        raise in_filter(error) from None


def filter_of(recorded: dict[str, Any], table: Table) -> ExportFilter:
    """The filter of an export's record."""
    return compile_filter(msgspec.convert(recorded, FilterSpecification), table)


def _compile(given: FilterSpecification, table: Table) -> ExportFilter:
    attributes = expression_attributes(given)
    key_condition = condition = projection = None
    if given.KeyConditionExpression is not None:
        key_condition = attributes.key_condition(given.KeyConditionExpression)
    if given.FilterExpression is not None:
        condition = attributes.condition("FilterExpression", given.FilterExpression)
    if given.ProjectionExpression is not None:
        projection = attributes.projection(given.ProjectionExpression)
    attributes.finish()
    key_range = EVERYTHING
    if key_condition is not None:
        resolved = key_condition.resolve(table.keys)
        for value in resolved.partition:
            check_key_length(value, partition=True)
        key_range = query_range(table.keys, None, resolved)
        if condition is not None:
            condition.refuse_keys(table.keys.names)
    refuse_nested_keys(table, projection)
    refuse_nested_keys(table, condition)
    return ExportFilter(key_range, condition, projection)
