"""Stage 4 of a request: what can be checked without the table.

The check of an operation runs after the service model's constraints (`wire.decode`) and before expressions are
compiled. It raises AWS's error, or leaves every attribute value of the request that AWS looks at here validated,
in place: canonical and well-formed (items, keys, expression values and legacy conditions; the keys and items of
batches and transactions are left to their operations, because AWS reads them after the expressions beside them).
One module for each family of operations holds a table `CHECKS`; an operation without an entry has nothing to
check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.validation import (
    backups,
    batches,
    bulk,
    continuous_backups,
    exports,
    imports,
    items,
    reading,
    tables,
    tags,
    transactions,
    update_table,
)

CHECKS: dict[str, Callable[[Any], Any]] = {
    **items.CHECKS,
    **reading.CHECKS,
    **batches.CHECKS,
    **transactions.CHECKS,
    **tables.CHECKS,
    **update_table.CHECKS,
    **tags.CHECKS,
    **continuous_backups.CHECKS,
    **exports.CHECKS,
    **backups.CHECKS,
    **imports.CHECKS,
    **bulk.CHECKS,
}
