"""Rows in batches of a useful size, whatever their source gives at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from blotter.database.storage.protocol import Row

BATCH_ROWS: Final = 8192
BATCH_BYTES: Final = 2 * 1024 * 1024


async def batches(blocks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[list[Row]]:
    """The rows of blocks in batches of some thousand rows, or so many bytes of items. What came before the source
    failed is given out, too."""
    batch: list[Row] = []
    size = 0
    try:
        async for rows in blocks:
            batch += rows
            size += sum([row[1] for row in rows])
            if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
