"""The audit trail of a server: its keys before the server forks, and what each process has of it.

With `--audit off` nothing is made and nothing recorded. A server in memory keeps its last events in memory.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from blotter.database.audit.archive import make_folders
from blotter.database.audit.keys import FOLDER, SECRET, AuditKeys
from blotter.database.audit.reading import Reader
from blotter.database.audit.recorder import Recorder
from blotter.database.audit.reserve import Reserve
from blotter.database.audit.trail import FileTrail, Trail
from blotter.database.encryption.files import FileCipher
from blotter.database.model.arns import parse_arn
from blotter.database.services.cloudtrail.lookup import EventSource
from blotter.database.serving.supervisor import StartError
from blotter.database.settings import Settings
from blotter.database.storage.at_hand import GoOn, NotAtHand
from blotter.database.storage.protocol import ReadTransaction, Storage, Store

KEPT_SECONDS: Final = 1.0
_MOST_KEPT: Final = 10_000
"""Tables whose keys' names are kept."""


class RunningAudit(NamedTuple):
    """The trail of one process: what records its requests, where records go, where events are looked up."""

    recorder: Recorder
    trail: Trail
    events: EventSource


class AuditSetup:
    """What the processes of a server share. Made after the store is claimed. Raises DataDirectoryError and
    StartError."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._keys: AuditKeys | None = None
        self._cipher: FileCipher | None = None
        if settings.audit != "off" and not settings.in_memory:
            self._keys = AuditKeys(store.secret_key(SECRET))
            self._cipher = store.file_cipher()
            self._reserve(settings.data_dir / FOLDER)

    def _reserve(self, folder: Path) -> None:
        """Before the store is opened, and with it decided how much of the disk the data may take."""
        try:
            make_folders(folder)
            Reserve(folder, self._store.spare_bytes).refill()
        except OSError as error:
            raise _unwritable(folder, error) from None

    def start(self, storage: Storage) -> RunningAudit | None:
        """Begins in this process, on its event loop. Raises StartError."""
        settings = self._settings
        if settings.audit == "off":
            return None
        if self._keys is None or self._cipher is None:
            from blotter.database.audit.memory_trail import MemoryTrail

            memory = MemoryTrail()
            return RunningAudit(self._recorder(memory, storage), memory, memory)
        folder = settings.data_dir / FOLDER
        trail = FileTrail(folder, self._keys, self._cipher, spare=self._store.spare_bytes)
        recorder = self._recorder(trail, storage)
        try:
            trail.start(recorder.lost)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return RunningAudit(recorder, trail, Reader(folder, self._cipher))

    def _recorder(self, trail: Trail, storage: Storage) -> Recorder:
        settings = self._settings
        return Recorder(
            trail,
            settings.account,
            settings.region,
            key_names(storage),
            data_events=settings.audit == "all",
            submit_read=storage.submit_read,
        )


def _unwritable(folder: Path, error: OSError) -> StartError:
    return StartError(f"the audit trail in {folder} cannot be written: {error.strerror}")


class KeyNames(Protocol):
    def __call__(self, account: str, region: str, table: str) -> tuple[str, ...]: ...


def key_names(storage: Storage) -> KeyNames:
    """Finds the names of tables' keys. Of a store that answers later they are kept for `KEPT_SECONDS`; raises
    NotAtHand for others."""
    kept: dict[tuple[str, str, str], tuple[float, tuple[str, ...]]] = {}

    def find(account: str, region: str, table: str) -> tuple[str, ...]:
        arn = parse_arn(table) if table.startswith("arn:") else None
        if arn is not None:
            account, region, table = arn.account, arn.region, arn.table
        wanted = account, region, table
        snapshot = storage.read()
        if snapshot is not None:
            with snapshot as tx:
                return _names(tx, *wanted)
        found = kept.get(wanted)
        if found is not None and time.monotonic() < found[0]:
            return found[1]

        def use(names: tuple[str, ...] | None, go_on: GoOn) -> None:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[wanted] = time.monotonic() + KEPT_SECONDS, names or ()
            go_on()

        raise NotAtHand(lambda tx: _names(tx, *wanted), use)

    return find


def _names(tx: ReadTransaction, account: str, region: str, table: str) -> tuple[str, ...]:
    found = tx.find_table(account, region, table)
    return () if found is None else found.keys.names
