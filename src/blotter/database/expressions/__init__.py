"""The expression languages: conditions, key conditions, projections and updates.

Start at `attributes.ExpressionAttributes`; how text becomes a function of an item is explained in
docs/architecture/expressions.md. Everything here is pure: text, placeholders and items in, values or AWS's
errors out. Nothing here depends on tables beyond their key schema, on storage or the wire.
"""

from blotter.database.expressions.attributes import ExpressionAttributes
from blotter.database.expressions.condition import Condition
from blotter.database.expressions.key_condition import KeyClause, KeyCondition, ResolvedKeyCondition
from blotter.database.expressions.nested_keys import refuse_nested_keys
from blotter.database.expressions.projection import Projection
from blotter.database.expressions.search_condition import SearchClause
from blotter.database.expressions.update import Update

__all__ = [
    "Condition",
    "ExpressionAttributes",
    "KeyClause",
    "KeyCondition",
    "Projection",
    "ResolvedKeyCondition",
    "SearchClause",
    "Update",
    "refuse_nested_keys",
]
