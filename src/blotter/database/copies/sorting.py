"""Sorts more rows than memory holds: sorted runs on disk, merged block by block.

Rows are added in any order and come out in key order; of rows with the same key, the one that was added last. A
run is one file, complete or not there, so a job can note how many it has (`runs`) and go on after a crash: what
was added since the last `spill` is to be added again. Without a folder everything stays in memory.

    run = block, block, … · block = length (4 bytes), encoded content: a Zstandard frame of [[key, size, body], …]
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from blotter.database.durable_files import SteadyWriter, make_private_folder
from blotter.database.encryption.files import FileCipher, frame, read_frames
from blotter.database.shared_disk import SharedDisk
from blotter.database.storage.protocol import Row

MEMORY_BYTES: Final = 32 * 1024 * 1024
"""Keys and bodies that are kept in memory until a run is written; Python needs two to three times as much."""
ROW_BYTES: Final = 200
"""What a row counts beside its key and body."""
BLOCK_BYTES: Final = 256 * 1024
SORTED_ROWS: Final = 4096
"""So many rows are sorted at once, which keeps other threads waiting for some milliseconds, and"""
MERGED_ROWS: Final = 256
"""so many of each such piece are merged at once."""

_key = itemgetter(0)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]]).decode


class SortedRuns:
    """`folder` is private and holds nothing else; `runs` is the number of those in it that are used, others are
    removed."""

    def __init__(
        self,
        folder: Path | None,
        cipher: FileCipher,
        runs: int = 0,
        memory_bytes: int = MEMORY_BYTES,
        disk: SharedDisk | None = None,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._cipher = cipher
        self._memory_bytes = memory_bytes
        self._rows: list[Row] = []
        self._size = 0
        self.runs = runs
        if folder is not None:
            make_private_folder(folder)
            kept = {_name(number) for number in range(runs)}
            for path in folder.iterdir():
                if path.name not in kept:
                    path.unlink()

    @property
    def is_full(self) -> bool:
        """Whether `spill` should be called."""
        return self._folder is not None and self._size >= self._memory_bytes

    def add(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        self._size += sum([len(key) + len(body) for key, _, body in rows]) + ROW_BYTES * len(rows)

    def spill(self) -> int:
        """Writes what is in memory as a run, durably; returns how many there are now. Raises OSError."""
        if self._rows and self._folder is not None:
            if self._disk is not None:
                self._disk.take(self._folder, self._size)
            _write_run(self._folder / _name(self.runs), self._sorted(), self._cipher)
            self.runs += 1
            self._rows, self._size = [], 0
        return self.runs

    def merged(self, after: bytes | None = None) -> Iterator[list[Row]]:
        """All rows in key order, those after a key, in blocks of some thousand rows."""
        sources = [_read_run(self._path(number), self._cipher) for number in range(self.runs)]
        sources.append(self._sorted())
        return _merge([_Run(source, after) for source in sources])

    def remove(self) -> None:
        """Removes the runs and the folder."""
        self._rows, self._size = [], 0
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / _name(number)

    def _sorted(self) -> Iterator[list[Row]]:
        """What is in memory, in blocks."""
        pieces = [self._rows[start : start + SORTED_ROWS] for start in range(0, len(self._rows), SORTED_ROWS)]
        for piece in pieces:
            piece.sort(key=_key)  # stable: of equal keys, the last one added is last
        for rows in _merge([_Run(_cut(_unique(piece)), None) for piece in pieces]):
            yield from _blocks(rows)


class _Run:
    """One sorted source: the block that is being taken from."""

    def __init__(self, blocks: Iterator[list[Row]], after: bytes | None) -> None:
        self._blocks = blocks
        self.rows: list[Row] = []
        self.next()
        while after is not None and self.rows and self.rows[0][0] <= after:
            self.rows = self.rows[bisect_right(self.rows, after, key=_key) :]
            if not self.rows:
                self.next()

    def next(self) -> None:
        self.rows = next(self._blocks, [])

    def take(self, boundary: bytes) -> list[Row]:
        """Removes and returns the rows up to a key, of the block at hand."""
        end = bisect_right(self.rows, boundary, key=_key)
        taken = self.rows[:end]
        if end < len(self.rows):
            self.rows = self.rows[end:]
        else:
            self.next()
        return taken


def _merge(runs: list[_Run]) -> Iterator[list[Row]]:
    """Whole pieces of blocks are sorted together: Python's sort merges what is sorted already, faster than rows
    can be merged one by one. The boundary is one for all runs, so rows with the same key meet."""
    while runs := [run for run in runs if run.rows]:
        boundary = min([run.rows[-1][0] for run in runs])
        together: list[Row] = []
        for run in runs:
            if run.rows[0][0] <= boundary:
                together += run.take(boundary)
        together.sort(key=_key)
        yield _unique(together)


def _unique(rows: list[Row]) -> list[Row]:
    """Sorted rows, and of those with the same key only the last."""
    keys = [row[0] for row in rows]
    if len(set(keys)) == len(keys):
        return rows
    return [row for row, following in zip(rows, [*keys[1:], None], strict=True) if row[0] != following]


def _blocks(rows: list[Row]) -> Iterator[list[Row]]:
    start = size = 0
    for end, (key, _, body) in enumerate(rows, 1):
        size += len(key) + len(body)
        if size >= BLOCK_BYTES:
            yield rows[start:end]
            start, size = end, 0
    if start < len(rows):
        yield rows[start:]


def _cut(rows: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), MERGED_ROWS):
        yield rows[start : start + MERGED_ROWS]


def _write_run(path: Path, blocks: Iterator[list[Row]], cipher: FileCipher) -> None:
    from zstandard import ZstdCompressor

    compress = ZstdCompressor(level=1).compress
    unfinished = path.with_name(f".{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        file = SteadyWriter(descriptor)
        for block in blocks:
            file.write(frame(cipher.encode(compress(_encode(block)))))
        file.finish()
    finally:
        os.close(descriptor)
    unfinished.replace(path)


def _read_run(path: Path, cipher: FileCipher) -> Iterator[list[Row]]:
    from zstandard import ZstdDecompressor

    decompress = ZstdDecompressor().decompress
    with path.open("rb") as file:
        for stored in read_frames(file):
            yield _decode(decompress(cipher.decode(stored)))


def _name(number: int) -> str:
    return f"run-{number:06d}"
