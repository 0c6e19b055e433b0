"""Writes the data files of an export into its bucket, one after another, out of rows in key order.

A file ends with the range of hashes that it is about, as AWS writes one for each partition, and earlier when it is
large; a range without items has an empty file. Lines are made and compressed on a thread while the next rows are
read. After each file the state of the export is saved, so that an interrupted export goes on behind it.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from blotter.database.copies.objects import Objects, ObjectsUnavailable
from blotter.database.exporting.compression import GzipStream
from blotter.database.exporting.layout import Places, etag_of
from blotter.database.operations.exports.records import DataFile, ExportState

FILE_BYTES: Final = 32 * 1024 * 1024
"""A file with so many compressed bytes takes no more,"""
LINES_BYTES: Final = 512 * 1024 * 1024
"""nor one with lines of so many bytes."""
FILES_OF_A_SIZE: Final = 256
"""After so many files the next ones may be as much larger: the state names them all."""

ExportRow = tuple[bytes, int, Any]
"""Storage key, bytes that are billed, and what is exported: a body, or a `changes.ChangedItem`."""

Encode = Callable[[Sequence[ExportRow]], tuple[bytes, int]]
"""The lines of rows, and how many they are. Called on a thread."""

Save = Callable[[ExportState], Awaitable[None]]


async def write_files(
    slices: AsyncIterator[Sequence[ExportRow]],
    encode: Encode,
    bucket: Objects,
    places: Places,
    starts: Sequence[bytes],
    state: ExportState,
    save: Save,
) -> ExportState:
    """Writes what is left to write. `slices` begin at `state.next`; `starts` are the keys at which the second and
    every further file begin at the latest. Raises ObjectsUnavailable."""
    writer = _Writer(encode, bucket, places, starts, state, save)
    try:
        async for rows in slices:
            await writer.add(rows)
        return await writer.finish()
    finally:
        await writer.wait()


class _File:
    """A data file that is being made."""

    def __init__(self) -> None:
        self.stream = GzipStream()
        self.pieces: list[bytes] = []
        self.size = 0
        self.items = 0
        self._lines = 0

    def add(self, lines: bytes, items: int) -> None:
        self._keep(self.stream.add(lines))
        self.items += items
        self._lines += len(lines)

    def is_full(self, factor: int) -> bool:
        return self.size >= FILE_BYTES * factor or self._lines >= LINES_BYTES * factor

    def finish(self) -> bytes:
        self._keep(self.stream.finish())
        return b"".join(self.pieces)

    def _keep(self, piece: bytes) -> None:
        if piece:
            self.pieces.append(piece)
            self.size += len(piece)


class _Writer:
    def __init__(
        self,
        encode: Encode,
        bucket: Objects,
        places: Places,
        starts: Sequence[bytes],
        state: ExportState,
        save: Save,
    ) -> None:
        self._encode = encode
        self._bucket = bucket
        self._places = places
        self._starts = starts
        self._save = save
        self._state = state
        self._range = bisect_right(starts, state.next)
        self._file = _File()
        self._work: asyncio.Task[None] | None = None

    async def add(self, rows: Sequence[ExportRow]) -> None:
        keys = [row[0] for row in rows]
        first = 0
        while self._range < len(self._starts):
            end = self._starts[self._range]
            cut = bisect_left(keys, end, first)
            if cut == len(keys):
                break
            await self._append(rows[first:cut])
            await self._close(end)
            self._range += 1
            first = cut
        await self._append(rows[first:])

    async def finish(self) -> ExportState:
        """The rest of the files; those of the last ranges may be empty."""
        for start in self._starts[self._range :]:
            await self._close(start)
        await self._close(self._state.next, done=True)
        return self._state

    async def wait(self) -> None:
        """Waits for the thread, which may be at work after a failure."""
        if self._work is not None:
            await asyncio.wait([self._work])

    async def _append(self, rows: Sequence[ExportRow]) -> None:
        if not rows:
            return
        await self._settle()
        if self._file.is_full(1 + len(self._state.files) // FILES_OF_A_SIZE):
            await self._close(rows[0][0])
        self._state = replace(self._state, billed_bytes=self._state.billed_bytes + sum([row[1] for row in rows]))
        self._work = asyncio.create_task(asyncio.to_thread(self._compress, self._file, rows))

    def _compress(self, file: _File, rows: Sequence[ExportRow]) -> None:
        file.add(*self._encode(rows))

    async def _settle(self) -> None:
        if self._work is not None:
            work, self._work = self._work, None
            await work

    async def _close(self, after: bytes, *, done: bool = False) -> None:
        """Ends the file: what comes next begins at the key `after`."""
        await self._settle()
        file, self._file = self._file, _File()
        key = self._places.data_file(len(self._state.files))
        written = await asyncio.to_thread(self._put, key, file)
        state = replace(self._state, files=(*self._state.files, written), next=after, done=done)
        await self._save(state)
        self._state = state

    def _put(self, key: str, file: _File) -> DataFile:
        content = file.finish()
        self._bucket.put(key, content)
        found = self._bucket.find(key)
        if found is None or found.size != len(content):
            raise ObjectsUnavailable(f"{self._bucket.place}/{key} is not there as it was written")
        md5 = file.stream.md5
        etag = found.etag or etag_of(md5)
        return DataFile(key, file.items, b64encode(md5).decode(), etag)
