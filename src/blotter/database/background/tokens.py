"""Deletes ClientRequestTokens that are older than ten minutes.

SDKs send one with every TransactWriteItems, so they would pile up. The walk over them is made of short reads, each
followed by the deletion of what it found and a rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from blotter.database.operations.request_tokens import TOKEN_RECORDS, is_expired_token
from blotter.database.storage.protocol import RECORDS_SPACE, Storage, WriteTransaction

_TOKENS_AT_ONCE = 250
_REST_SECONDS = 0.02


class TokenSweeper:
    """`clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def run_once(self) -> int:
        """One walk over all tokens; returns how many were deleted."""
        deleted = 0
        start, end = TOKEN_RECORDS
        while True:
            now = self._clock()
            found = await self._storage.fetch(
                lambda tx: tx.items(RECORDS_SPACE, start, end, _TOKENS_AT_ONCE)  # noqa: B023
            )
            expired = [key for key, _, body in found if is_expired_token(body, now)]
            if expired:
                deleted += await self._storage.write(lambda tx: _delete_expired(tx, expired, now))  # noqa: B023
            if len(found) < _TOKENS_AT_ONCE:
                return deleted
            start = found[-1][0] + b"\x00"
            await asyncio.sleep(_REST_SECONDS)


def _delete_expired(tx: WriteTransaction, keys: list[bytes], now: float) -> int:
    """A token may have been used anew since it was read."""
    deleted = 0
    for key in keys:
        stored = tx.get(RECORDS_SPACE, key)
        if stored is not None and is_expired_token(stored.body, now):
            tx.delete(RECORDS_SPACE, stored)
            deleted += 1
    return deleted
