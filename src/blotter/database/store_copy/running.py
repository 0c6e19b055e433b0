"""Runs a copy between two ends, from the first look at them to a target that a server can start on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from blotter.database.encryption.files import FileCipher
from blotter.database.storage.protocol import DataDirectoryError, Storage, StorageUnavailable
from blotter.database.store_copy.copying import Copied, Progress, copy_store
from blotter.database.store_copy.ends import SourceEnd, TargetEnd
from blotter.database.store_copy.files_beside import FOLDERS, copy_files, found_in

Tell = Callable[[str], None]
"""Tells the operator something."""


class _UseOfSource:
    """See `copying.Use`. `stops` it when the copy has caught up, or has the operator do it."""

    def __init__(self, source: SourceEnd, target: TargetEnd, tell: Tell, *, stops: bool) -> None:
        self._source = source
        self._target = target
        self._tell = tell
        self._stops = stops

    async def try_stop(self) -> bool:
        return await self._source.try_stop()

    async def ask_to_stop(self, behind: int) -> None:
        await copy_files_beside(self._source, self._target)
        if self._stops:
            self._tell(f"{behind} changes behind: stopping what uses {self._source.description}")
            await self._source.stop_others()
        else:
            how = await self._source.how_to_stop()
            self._tell(f"{behind} changes behind and following: {how} to finish the copy")


async def copy_files_beside(source: SourceEnd, target: TargetEnd) -> None:
    """Copies what lies beside the database. Files that are there already and have not changed stay."""
    if source.files is not None and target.files is not None:
        cipher = FileCipher(target.keys.newest, source.keys.find)
        await asyncio.to_thread(copy_files, source.files, target.files, cipher)


def left_behind(source: SourceEnd, target: TargetEnd) -> list[str]:
    """What lies beside the database and was not copied, for the operator."""
    if source.files is None:
        return [f"{what}, where the servers on {source.description} have it" for what in FOLDERS.values()]
    return [] if target.files is not None else list(found_in(source.files))


async def run_copy(
    source: SourceEnd, target: TargetEnd, progress: Progress, tell: Tell, *, stops_source: bool
) -> Copied:
    """Copies the source into the target and makes that usable. Raises CopyFailed, DataDirectoryError,
    StorageUnavailable; the target is not usable then."""
    if source.description == target.description:
        raise DataDirectoryError(f"{source.description} cannot be copied into itself")
    if stops_source and not source.can_stop_others:
        raise DataDirectoryError(f"the servers on {source.description} run elsewhere: stop them yourself")
    source_storage = await source.open()
    try:
        return await _filled(source_storage, source, target, progress, tell, stops_source=stops_source)
    finally:
        with suppress(StorageUnavailable):
            await source_storage.close()
        await source.release()
        await target.release()


async def _filled(
    source_storage: Storage,
    source: SourceEnd,
    target: TargetEnd,
    progress: Progress,
    tell: Tell,
    *,
    stops_source: bool,
) -> Copied:
    target_storage = None
    try:
        target_storage = await target.open(source.secret)
        use = _UseOfSource(source, target, tell, stops=stops_source)
        copied = await copy_store(source_storage, target_storage, use, progress)
        await copy_files_beside(source, target)
        await target_storage.close()
        await target.complete()
    except BaseException:
        if target_storage is not None:
            with suppress(Exception):
                await target_storage.close()
        await target.abandon()
        raise
    return copied
