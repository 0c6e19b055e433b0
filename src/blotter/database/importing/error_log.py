"""What is wrong with items, as lines of JSON in objects, for whoever looks after an import.

The objects are not encrypted: they stand beside the files from which the items came, and say less than these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from blotter.database.copies.objects import Objects
from blotter.database.importing.reading import Fault

OBJECT_BYTES: Final = 1024 * 1024
"""An object takes no further lines after so many bytes."""
MOST_LINES: Final = 100_000
"""Lines that are written; one more says how many are left out."""


class ErrorLog:
    """Lines in objects `<folder>/000001.json`, …; written anew, it replaces what was there. `add` collects,
    `write` stores, and blocks."""

    def __init__(self, objects: Objects, folder: str) -> None:
        self._objects = objects
        self._folder = folder
        self._lines: list[bytes] = []
        self._size = 0
        self._written = 0
        self._kept = 0
        self.lines = 0

    @property
    def is_full(self) -> bool:
        return self._size >= OBJECT_BYTES

    def add(self, lines: Sequence[bytes]) -> None:
        self.lines += len(lines)
        kept = lines[: MOST_LINES - self._kept]
        self._kept += len(kept)
        self._lines += kept
        self._size += sum(map(len, kept))

    def write(self, *, last: bool = False) -> None:
        """Stores what was collected; `last` for the end of the log. Raises ObjectsUnavailable."""
        if last and self.lines > self._kept:
            left_out = self.lines - self._kept
            self._lines.append(orjson.dumps({"errorMessages": [f"{left_out} further errors are not logged"]}))
        if not self._lines:
            return
        self._written += 1
        self._objects.put(f"{self._folder}/{self._written:06d}.json", b"\n".join(self._lines) + b"\n")
        self._lines, self._size = [], 0


class ItemErrors:
    """Faults of one import, in AWS's form. `bucket` is where the objects are, `arn` the import's."""

    def __init__(self, bucket: str, arn: str) -> None:
        self._bucket = bucket
        self._arn = arn

    def line(self, fault: Fault) -> bytes:
        pointer = {"bucket": self._bucket, "key": fault.name, "itemIndex": fault.number}
        if fault.line is not None:
            pointer["line"] = fault.line
        return orjson.dumps({"itemS3Pointer": pointer, "importArn": self._arn, "errorMessages": [fault.message]})
