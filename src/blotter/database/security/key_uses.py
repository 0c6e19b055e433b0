"""When access keys and roles were last used, noted in the store now and then.

Requests leave their date in memory (`EnforcedAccess`); here what is new is written every few seconds, for one key
at most once a minute. What was not noted yet is lost when the process is killed: AWS promises no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from blotter.database.security.access_records import KeyUse, find, save
from blotter.database.security.enforced_access import EnforcedAccess, Use
from blotter.database.storage.protocol import Storage, StorageUnavailable, WriteTransaction

log = logging.getLogger(__name__)

NOTE_SECONDS = 2.0
"""Between looks at what was used."""
PRECISION_SECONDS = 60.0
"""A key is noted again when its last use is so much later than the one that was noted."""
_MOST_REMEMBERED = 20_000

_Key = tuple[str, str]
"""Account, and the id of a `KeyUse`."""


class KeyUses:
    """Notes the uses of the keys of all `services` in one process."""

    def __init__(
        self, storage: Storage, services: Mapping[str, EnforcedAccess], clock: Callable[[], float]
    ) -> None:
        self._storage = storage
        self._services = services
        self._clock = clock
        self._noted: dict[_Key, float] = {}
        self._new: dict[_Key, KeyUse] = {}
        self._timer: asyncio.TimerHandle | None = None

    def collect(self) -> None:
        """Takes the uses out of the services, before these forget them."""
        now = self._clock()
        for service in self._services.values():
            for use in service.take_uses():
                self._add(use, now)

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(NOTE_SECONDS, self._note_new)

    def stop(self) -> None:
        """Writes what is new for the last time."""
        if self._timer is not None:
            self._timer.cancel()
        self._write()

    def _note_new(self) -> None:
        self._write()
        self.start()

    def _write(self) -> None:
        self.collect()
        if not self._new:
            return
        new, self._new = self._new, {}
        try:
            self._storage.submit(lambda tx: _note(tx, new), _noted)
        except StorageUnavailable as error:
            _noted(None, error)

    def _add(self, use: Use, now: float) -> None:
        principal = use.principal
        if principal.kind == "assumed-role":
            name = f"role/{principal.name.lower()}"
        elif principal.session is None:
            name = use.access_key
        else:
            return  # temporary keys of users are not stored anywhere
        key, used_at = (principal.account, name), min(use.used_at, now)
        if used_at < self._noted.get(key, 0.0) + PRECISION_SECONDS:
            return
        if len(self._noted) >= _MOST_REMEMBERED:
            self._noted.clear()
        self._noted[key] = used_at
        self._new[key] = KeyUse(name, used_at, use.service, use.region)


def _note(tx: WriteTransaction, uses: Mapping[_Key, KeyUse]) -> None:
    for (account, name), use in uses.items():
        before = find(tx, account, KeyUse, name)
        if before is None or before.used < use.used:
            save(tx, account, use)


def _noted(_: Any, error: BaseException | None) -> None:
    if error is not None:
        log.warning("the last use of access keys was not noted: %s", error)
