"""Ships the change log of a server to its archive, in order, every second; starts a new epoch when the log is
broken.

One coroutine of the background process (`run`). Each round reads what the log has since the last confirmed entry,
stores it as one segment, and confirms it in the store, so at any moment the archive holds the log up to the
reader's position, and at most one segment more: one that was stored when the process died. The next process
compares that one with the log, which still has its entries. Whatever else does not fit (the directory is an
older copy of itself, the archive was emptied, trimming has stopped waiting, the data key was replaced) begins a
new epoch: the archive never holds two histories in one.

What cannot be shipped is tried again, at intervals up to ten seconds, for as long as the log waits for its reader.
When the oldest entry that is not shipped is older than BEHIND_SECONDS, the log of the server says so.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from blotter.database.archive.bases import BaseMaker
from blotter.database.archive.layout import (
    EPOCHS,
    Epoch,
    bucket,
    epoch_ids,
    epochs,
    filled_by,
    new_epoch,
    parse_segment,
    segment_name,
    write_epoch,
)
from blotter.database.archive.state import State, find_state, save_state
from blotter.database.copies.objects import ObjectNotFound, Objects, ObjectsUnavailable
from blotter.database.copies.segments import DamagedSegment, decode_segment, encode_segment
from blotter.database.encryption.files import FileCipher
from blotter.database.storage.change_log import ARCHIVE, add_reader, confirm, find_reader
from blotter.database.storage.protocol import (
    Change,
    ReadTransaction,
    Storage,
    StorageUnavailable,
    WriteTransaction,
)

log = logging.getLogger(__name__)

BEHIND_SECONDS: Final = 30.0
"""A warning is logged when an entry waits longer to be shipped."""
LONGEST_PAUSE_SECONDS: Final = 10.0
"""Between attempts while the archive cannot be reached."""
SEGMENT_BYTES: Final = 4 * 1024 * 1024
SEGMENT_ENTRIES: Final = 20_000
WATCH_SECONDS: Final = 2.0
"""Between looks at how far behind the archive is."""
KEYS_SECONDS: Final = 60.0
"""Between looks at whether the key files have changed."""

_EXPECTED = (ObjectsUnavailable, StorageUnavailable)


class Archiver:
    """Ships to `objects`, the archive's own place. `key_files` reads those of the store. `clock` gives seconds
    since the epoch, `monotonic` measures pauses."""

    def __init__(
        self,
        storage: Storage,
        objects: Objects,
        cipher: FileCipher,
        key_files: Callable[[], dict[str, bytes]],
        interval: float,
        retention: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._objects = objects
        self._cipher = cipher
        self._key_files = key_files
        self._interval = interval
        self._clock = clock
        self._monotonic = monotonic
        self._bases = BaseMaker(storage, objects, cipher, retention, clock)
        self._state: State | None = None
        self._keys: dict[str, bytes] = {}
        self._looked_at_keys = float("-inf")
        self._is_failing = False
        self._is_behind = False
        self._seconds_behind = 0.0

    def levels(self) -> Iterator[tuple[str, float]]:
        """The metrics of the server's own that are known here."""
        yield "ArchiveLag", self._seconds_behind

    async def run(self) -> None:
        """Ships until it is canceled."""
        failures = 0
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                failures = 0 if await self._attempt() else failures + 1
                pause = min(2.0 ** min(failures, 10) / 2, LONGEST_PAUSE_SECONDS) if failures else 0.0
                await asyncio.sleep(max(pause, self._interval))
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._bases.stop()

    async def run_once(self) -> None:
        """Ships everything there is, and finishes a base that is due: for callers without a loop that runs on."""
        for _ in range(2):  # again, because a base is only of use with the log up to its end
            while await self._round():
                pass
            await self._bases.finish()

    async def _attempt(self) -> bool:
        """One round; returns whether it succeeded."""
        error: Exception | None = None
        try:
            while await self._round():
                pass
        except Exception as raised:
            error = raised
        self._report(error)
        return error is None

    async def _round(self) -> bool:
        """Ships the next segment; returns whether there may be more."""
        state = self._state or await self._resume()
        self._state = state
        place = self._objects.within(state.epoch)
        await self._keep_keys(place)
        batch, current = await self._storage.fetch(lambda tx: (_next_entries(tx), find_state(tx)))
        if batch is None or current is None or current.epoch != state.epoch:
            self._state = None  # trimming has given the reader up
            return True
        self._bases.start_if_due(current)
        if not batch.changes:
            return False
        await self._ship(place, state, batch)
        return batch.is_full

    async def _ship(self, place: Objects, state: State, batch: _Batch) -> None:
        def store() -> int:
            stored = encode_segment(state.epoch, batch.after, batch.last, batch.changes, self._cipher)
            place.put(segment_name(batch.after, batch.last, batch.latest), stored)
            return len(stored)

        size = await asyncio.to_thread(store)
        loaded = _loaded(batch.changes)
        await self._storage.write(partial(_confirm, last=batch.last, size=size, loaded=loaded, now=self._clock()))

    # Where it was left

    async def _resume(self) -> State:
        """The epoch that goes on, or a new one."""
        reason = "the archive is new"
        state = await self._storage.fetch(find_state)
        if state is not None:
            reason = await self._broken(state) or ""
            if not reason:
                return state
            log.warning("the archive %s begins a new epoch: %s", self._objects.place, reason)
        existing = await asyncio.to_thread(epoch_ids, self._objects)
        newest = max([*existing, "" if state is None else state.epoch])
        directory = secrets.token_hex(8) if state is None or not state.directory else state.directory
        epoch = new_epoch(self._clock(), 0, self._key_id, directory, newest)
        state = await self._storage.write(
            partial(_begin, epoch=epoch, place=self._objects.place, now=self._clock())
        )
        await self._write_epoch(replace(epoch, position=state.position))
        await self._warn_of_others(directory)
        return state

    async def _warn_of_others(self, directory: str) -> None:
        """Two servers with one archive lose nothing, but a recovery without a time takes the newer epoch."""
        found = await asyncio.to_thread(epochs, self._objects)
        if any(epoch.directory != directory for epoch in found):
            log.warning(
                "the archive %s has epochs of another data directory, which are left alone: if its server still "
                "runs, give each of the two an archive of its own",
                self._objects.place,
            )

    async def _write_epoch(self, epoch: Epoch) -> None:
        """Key files first: what is encrypted must never be there without them."""
        self._looked_at_keys = float("-inf")
        await self._keep_keys(self._objects.within(epoch.id))
        await asyncio.to_thread(write_epoch, self._objects, epoch)

    async def _broken(self, state: State) -> str | None:
        """Why the epoch cannot go on; None if it can."""
        if state.place != self._objects.place:
            return f"it was {state.place} before"
        if state.key_id != self._key_id:
            return "the data key was replaced"
        reader = await self._storage.fetch(lambda tx: find_reader(tx, ARCHIVE))
        if reader is None or reader.lost_at is not None:
            return "it was off, or out of reach for too long, and changes were not kept for it"
        place = self._objects.within(state.epoch)
        if await asyncio.to_thread(self._objects.find, EPOCHS + state.epoch) is None:
            if reader.position == state.position:  # a crash, before anything was stored
                epoch = new_epoch(state.started_at, state.position, self._key_id, state.directory, "")
                await self._write_epoch(replace(epoch, id=state.epoch))
                return None
            return "its objects are gone"
        return await self._compare_end(place, state, reader.position)

    async def _compare_end(self, place: Objects, state: State, position: int) -> str | None:
        """Whether the archive ends where the store says, or one segment later with the same entries."""
        begins, ends = await asyncio.to_thread(_near, place, position)
        if position > state.position and position not in ends:
            return f"its segment that ends with entry {position} is missing"
        later = [begin for begin in begins if begin >= position]
        if not later:
            return None
        if later != [position]:
            return "it is ahead of the data directory, which must be an older copy"
        unconfirmed = begins[position]
        try:
            stored = await asyncio.to_thread(place.get, unconfirmed)
            segment = decode_segment(unconfirmed, stored, self._cipher)
        except (DamagedSegment, ObjectNotFound) as error:
            return str(error)
        logged = await self._storage.fetch(lambda tx: tx.log(position, len(segment.entries)))
        if [replace(change, shard=-1) for change in logged] != segment.changes:
            return "it has another history than the data directory, which must be an older copy"
        loaded = _loaded(logged)
        await self._storage.write(
            partial(_confirm, last=segment.last, size=len(stored), loaded=loaded, now=self._clock())
        )
        return None

    @property
    def _key_id(self) -> str:
        return "" if self._cipher.key is None else self._cipher.key.id.hex()

    async def _keep_keys(self, place: Objects) -> None:
        """Has the key files of the store in the epoch, as they are now."""
        if self._monotonic() - self._looked_at_keys < KEYS_SECONDS:
            return
        for name, content in self._key_files().items():
            held = f"{place.place}/{name}"
            if self._keys.get(held) != content:
                await asyncio.to_thread(place.put, name, content)
                self._keys[held] = content
        self._looked_at_keys = self._monotonic()

    # What the operator is told

    def _report(self, error: Exception | None) -> None:
        if error is not None and not self._is_failing:
            self._is_failing = True
            expected = isinstance(error, _EXPECTED)
            log.error(
                "nothing can be shipped to the archive %s, and it will be tried again until it succeeds: %s: %s",
                self._objects.place,
                type(error).__name__,
                error,
                exc_info=None if expected else error,
            )
        if error is None and self._is_failing:
            self._is_failing = False
            log.warning("changes are shipped to the archive %s again", self._objects.place)

    async def _watch(self) -> None:
        """Looks how far behind the archive is, whatever an attempt is waiting for."""
        while True:
            await self.look()
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Warns when the archive has fallen behind, and says when it has caught up."""
        try:
            behind = await self._storage.fetch(partial(seconds_behind, now=self._clock()))
        except StorageUnavailable:
            return
        self._seconds_behind = behind
        if behind > BEHIND_SECONDS + self._interval:
            if not self._is_behind:
                log.warning(
                    "the archive %s is %.0f s behind: what was written since would be lost with this machine",
                    self._objects.place,
                    behind,
                )
            self._is_behind = True
        elif self._is_behind:
            self._is_behind = False
            log.warning("the archive %s has caught up", self._objects.place)


def seconds_behind(tx: ReadTransaction, now: float) -> float:
    """How old the oldest entry is that was not shipped; 0 if there is none. What would be lost with the
    machine."""
    reader = find_reader(tx, ARCHIVE)
    if reader is None:
        return 0.0
    oldest = tx.log_times(reader.position, 1)
    return max(0.0, now - oldest[0][1]) if oldest else 0.0


class _Batch(NamedTuple):
    after: int
    last: int
    latest: float
    changes: list[Change]
    is_full: bool


def _next_entries(tx: ReadTransaction) -> _Batch | None:
    """What is to be shipped next; None if the reader is gone."""
    reader = find_reader(tx, ARCHIVE)
    if reader is None or reader.lost_at is not None:
        return None
    changes = tx.log(reader.position, SEGMENT_ENTRIES, SEGMENT_BYTES)
    if not changes:
        return _Batch(reader.position, reader.position, 0.0, [], False)
    last = changes[-1].sequence
    latest = max(change.time for change in changes)
    return _Batch(reader.position, last, latest, changes, last < tx.last_change())


def _confirm(tx: WriteTransaction, last: int, size: int, loaded: tuple[str, ...], now: float) -> None:
    confirm(tx, ARCHIVE, last, now)
    state = find_state(tx)
    if state is not None:
        save_state(tx, replace(state, shipped_bytes=state.shipped_bytes + size, loaded=(*state.loaded, *loaded)))


def _loaded(changes: list[Change]) -> tuple[str, ...]:
    """The ids of tables that a job has finished filling."""
    return tuple(table_id for change in changes if (table_id := filled_by(change)) is not None)


def _begin(tx: WriteTransaction, epoch: Epoch, place: str, now: float) -> State:
    """From this transaction on every change is logged for the archive."""
    for table in list(tx.tables()):
        if ARCHIVE not in table.log_readers:
            tx.save_table(replace(table, log_readers=(*table.log_readers, ARCHIVE)))
    position = add_reader(tx, ARCHIVE, now).position
    state = State(epoch.id, place, now, position, epoch.key_id, epoch.directory)
    save_state(tx, state)
    return state


def _near(place: Objects, position: int) -> tuple[dict[int, str], set[int]]:
    """The segments around a position: where each begins, with its name, and where they end."""
    begins: dict[int, str] = {}
    ends: set[int] = set()
    folders = {bucket(max(position - SEGMENT_ENTRIES, 0)), bucket(position)}
    for folder in sorted(folders):
        for info in place.list(folder):
            segment = parse_segment(info.name)
            if segment is not None:
                begins[segment.after] = segment.name
                ends.add(segment.last)
    return begins, ends
