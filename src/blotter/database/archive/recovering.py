"""`blotter recover`: builds a data directory out of an archive, with every table at one common moment.

The rows of a base are loaded, the log is replayed up to the moment, indexes are filled, everything is checked as
`blotter check` does, and only then does the directory get its name: whatever happens before, nothing is there that
looks whole. The moment of a time is before the first entry of the log that arrived later, so no transaction is
split and nothing that was acknowledged before it is missing.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from blotter.database.archive.choosing import Choice, NotRecoverable, choose, newest_epochs
from blotter.database.archive.layout import START, Start, base_folder, read_value
from blotter.database.archive.rebuilding import Building, Progress, Recovered
from blotter.database.copies.objects import ObjectNotFound, Objects
from blotter.database.durable_files import sync_directory, write_durably
from blotter.database.encryption.directory_keys import KEY_FILES, DirectoryKeys, open_keys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.inspection.check import check
from blotter.database.inspection.snapshot import UnsoundCopy, refuse_contents, rename_into_place
from blotter.database.storage.data_directory import make_directory, mark_incomplete, mark_whole
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite.recovering import make_file
from blotter.database.storage.sqlite.schema import FILE_NAME
from blotter.database.storage.sqlite.storage import SqliteStorage


def recover(
    objects: Objects,
    target: Path,
    at: float | None,
    master_key: MasterKey | None,
    progress: Progress,
    clock: Callable[[], float] = time.time,
) -> Recovered:
    """Builds `target`, which must be missing or empty. Raises NotRecoverable, DamagedArchive, DamagedSegment,
    DamagedCopy, ObjectsUnavailable, DataDirectoryError, UnsoundCopy; nothing is left in `target` then."""
    target = Path(target).absolute()
    refuse_contents(target)
    make_directory(target.parent)
    incomplete = target.with_name(f".{target.name}.incomplete-{secrets.token_hex(8)}")
    try:
        incomplete.mkdir(mode=0o700)
        mark_incomplete(incomplete)
        choice, keys, passed_over = _choose(objects, incomplete, at, master_key)
        recovered = asyncio.run(_build(objects, choice, keys, incomplete, at, progress, clock))
        recovered = recovered._replace(passed_over=passed_over)
        progress("looking for damage", recovered.items)
        report = check(incomplete, master_key)
        if not report.is_sound:
            raise UnsoundCopy(report)
        mark_whole(incomplete)
        sync_directory(incomplete)
        rename_into_place(incomplete, target)
    except OSError as error:
        raise DataDirectoryError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
    sync_directory(target.parent)
    return recovered


def _choose(
    objects: Objects, directory: Path, at: float | None, master_key: MasterKey | None
) -> tuple[Choice, DirectoryKeys, float | None]:
    """What to recover from, with the directory's key files in place; and when an epoch began that was passed
    over."""
    candidates = newest_epochs(objects, at)
    passed_over = None
    for epoch in candidates:
        keys = _take_keys(objects.within(epoch.id), directory, master_key)
        choice = choose(objects, epoch, keys.file_cipher(), at)
        if choice is not None:
            return choice, keys, passed_over
        passed_over = passed_over or epoch.started_at
    shown = "yet" if at is None else "that is as old as --at"
    raise NotRecoverable(f"the archive {objects.place} has no complete base {shown}")


def _take_keys(place: Objects, directory: Path, master_key: MasterKey | None) -> DirectoryKeys:
    for name in KEY_FILES:
        (directory / name).unlink(missing_ok=True)
        try:
            write_durably(directory / name, place.get(name))
        except ObjectNotFound:
            continue
    try:
        return open_keys(directory, master_key)
    except MasterKeyError as error:
        raise DataDirectoryError(str(error).replace(str(directory), place.place)) from None


async def _build(
    objects: Objects,
    choice: Choice,
    keys: DirectoryKeys,
    directory: Path,
    at: float | None,
    progress: Progress,
    clock: Callable[[], float],
) -> Recovered:
    place = objects.within(choice.epoch.id)
    base = place.within(base_folder(choice.base.position))
    cipher = keys.file_cipher()
    start = await asyncio.to_thread(read_value, base, START, Start, cipher)
    key = keys.database_key(directory / FILE_NAME)
    make_file(directory / FILE_NAME, key, choice.segments[-1].last if choice.segments else start.position)
    storage = SqliteStorage.open(directory, key=key)
    try:
        building = Building(storage, progress)
        await building.begin(start)
        for table_id in choice.base.tables:
            await building.load(base.within(table_id), cipher, table_id)
        await building.replay(place, choice, cipher, at)
        return await building.finish(choice.base, clock())
    finally:
        await storage.close()
