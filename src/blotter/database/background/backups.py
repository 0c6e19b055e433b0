"""Removes the backups that the service has made once they expire."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from blotter.database.operations.backups.system_backups import expired, remove_expired
from blotter.database.storage.protocol import Storage


class BackupExpiry:
    """`clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def run_once(self) -> None:
        now = self._clock()
        if not await self._storage.fetch(partial(expired, now=now)):
            return  # without taking the write lock
        while await self._storage.write(partial(remove_expired, now=now)):
            pass
