"""Objects in memory: for `--in-memory`, where nothing is written to disk, and for tests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

from blotter.database.copies.objects import PIECE_BYTES, ObjectInfo, ObjectNotFound, check_name


class MemoryObjects:
    """See `objects.Objects`. `contents` is shared by all views of one store."""

    makes_buckets: Final = True

    def __init__(self, contents: dict[str, tuple[bytes, float]], prefix: str) -> None:
        self._contents = contents
        self._prefix = prefix
        self.place: Final = f"memory:{prefix}".rstrip("/")

    def put(self, name: str, content: bytes) -> None:
        self._contents[self._full(name)] = (bytes(content), time.time())

    def upload(self, name: str, pieces: Iterable[bytes]) -> int:
        content = b"".join(pieces)
        self.put(name, content)
        return len(content)

    def get(self, name: str) -> bytes:
        return self._found(name)[0]

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        content = self.get(name)
        for position in range(start, len(content), PIECE_BYTES):
            yield content[position : position + PIECE_BYTES]

    def find(self, name: str) -> ObjectInfo | None:
        found = self._contents.get(self._full(name))
        return None if found is None else ObjectInfo(name, len(found[0]), found[1])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        start = self._prefix + prefix
        for full in sorted(name for name in self._contents if name.startswith(start)):
            found = self._contents.get(full)
            if found is not None:
                yield ObjectInfo(full.removeprefix(self._prefix), len(found[0]), found[1])

    def delete(self, name: str) -> None:
        self._contents.pop(self._full(name), None)

    def within(self, folder: str) -> MemoryObjects:
        return MemoryObjects(self._contents, f"{self._full(folder)}/")

    def bucket(self, name: str) -> MemoryObjects:
        return MemoryObjects(self._contents, f"{check_name(name)}/")

    def has_bucket(self, name: str, owner: str | None = None) -> bool:  # noqa: ARG002
        """Every one: there are no folders in memory."""
        return bool(name)

    def encrypted_by(self, kms_key: str | None) -> MemoryObjects:
        raise ValueError(f"{self.place} cannot be encrypted by {kms_key or 'AWS KMS'}")

    def _full(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _found(self, name: str) -> tuple[bytes, float]:
        try:
            return self._contents[self._full(name)]
        except KeyError:
            raise ObjectNotFound(f"{self.place}/{name}") from None
