"""Jobs: work that a request starts and the background process does, however long it takes.

A job is a record in the store, made in the transaction of the request that starts it, so that both exist or
neither does. The background process is notified by that commit and runs the job (`background.jobs`); a job that
was interrupted, by a crash or because its store of objects is out of reach, is run again from what it has saved of
its state. It ends by removing its record, in the transaction that makes its result visible. So every step must be
repeatable, and what a job has saved must be true already.

    job/0a1b…    {"id": "0a1b…", "kind": "backup", "started_at": 1795911600.0, "state": {…}}
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from blotter.database.copies.objects import FolderObjects, Objects, open_objects
from blotter.database.encryption.files import FileCipher
from blotter.database.shared_disk import SharedDisk
from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.records import records_in

T = TypeVar("T")

_PREFIX: Final = b"job/"
_END: Final = b"job0"
_AT_ONCE: Final = 100

KINDS: Final[dict[str, str]] = {
    "create-backup": "blotter.database.backups.creating:run",
    "delete-backup": "blotter.database.backups.deleting:run",
    "export": "blotter.database.exporting.job:run",
    "restore": "blotter.database.backups.restoring:run",
    "restore-to-time": "blotter.database.backups.point_in_time:run",
    "import": "blotter.database.importing.job:run",
    "bulk-put": "blotter.database.importing.bulk_job:run",
}
"""Kind of job → the coroutine function that runs it, as module:name, imported when the first one runs."""


class Job(msgspec.Struct, frozen=True):
    """One job as it is stored."""

    id: str
    """Unique among all jobs; jobs that start together are begun in this order."""
    kind: str
    started_at: float
    state: msgspec.Raw = msgspec.Raw(b"{}")
    """What the job is about and how far it has come: JSON of the kind's own."""

    @classmethod
    def new(cls, job_id: str, kind: str, now: float, state: Any) -> Job:
        return cls(job_id, kind, now, msgspec.Raw(msgspec.json.encode(state)))

    def state_as(self, kind: type[T]) -> T:
        return msgspec.json.decode(self.state, type=kind)

    def with_state(self, state: Any) -> Job:
        return replace(self, state=msgspec.Raw(msgspec.json.encode(state)))


def start(tx: WriteTransaction, job: Job) -> None:
    """Has the job run by the background process once this transaction is committed."""
    save(tx, job)
    tx.notify_background()


def save(tx: WriteTransaction, job: Job) -> None:
    """Adds the job's record, or replaces it."""
    key = _PREFIX + job.id.encode()
    tx.put(RECORDS_SPACE, StoredItem(key, 0, msgspec.json.encode(job)), tx.get(RECORDS_SPACE, key))


def find(tx: ReadTransaction, job_id: str) -> Job | None:
    """None if there is no such job, or it has ended."""
    found = tx.get(RECORDS_SPACE, _PREFIX + job_id.encode())
    return None if found is None else msgspec.json.decode(found.body, type=Job)


def end(tx: WriteTransaction, job_id: str) -> None:
    """Removes the job's record; does nothing if that was done before."""
    found = tx.get(RECORDS_SPACE, _PREFIX + job_id.encode())
    if found is not None:
        tx.delete(RECORDS_SPACE, found)
        tx.notify_background()  # there may be one that waits


def all_jobs(tx: ReadTransaction) -> list[Job]:
    """Those that have not ended, by id."""
    return [msgspec.json.decode(body, type=Job) for _, _, body in records_in(tx, _PREFIX, _END, _AT_ONCE)]


def count(tx: ReadTransaction, prefix: str, most: int) -> int:
    """How many jobs there are whose ids begin so; `most` for that many or more."""
    first = _PREFIX + prefix.encode()
    return len(tx.items(RECORDS_SPACE, first, first + b"\xff", most))


class Tools:
    """What a job works with. `scratch` is a private folder for files that are of no use after a crash; None: there
    is no disk. `disk` is the store's, if it has one. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        storage: Storage,
        objects_url: str,
        cipher: FileCipher,
        scratch: Path | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        disk: SharedDisk | None = None,
    ) -> None:
        self.storage = storage
        self.cipher = cipher
        self.scratch = scratch
        self.clock = clock
        self.monotonic = monotonic
        self.disk = disk
        self._objects_url = objects_url

    @cached_property
    def objects(self) -> Objects:
        """The store of objects (`--objects`). Its calls block: make them on a thread."""
        return open_objects(self._objects_url, self.disk)

    def tidy(self) -> None:
        """Removes what a crash has left half-written. Before anything of this process writes; blocks."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        if isinstance(self.objects, FolderObjects):
            self.objects.remove_unfinished()

    async def save(self, job: Job) -> Job:
        """Stores how far a job has come; returns it."""
        await self.storage.write(lambda tx: save(tx, job))
        return job


Run = Callable[[Job, Tools], Awaitable[None]]


def run_of(kind: str) -> Run:
    """What runs jobs of a kind. Raises LookupError for one that this version does not know."""
    module, _, name = KINDS[kind].partition(":")
    found: Run = getattr(import_module(module), name)
    return found
