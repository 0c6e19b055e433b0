"""A cache that counts bytes: what requests put into it may be of any size, what it holds is bounded.

`functools.lru_cache` bounds the number of entries only: two thousand parsed statements of a few KB, each with
parts as large as a request, are gigabytes. Sizes here are estimates that the caller makes; they err on the large
side.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

# An entry larger than this part of the cache is not kept: it would only push others out.
_LARGEST_PART = 16


class ByteCache:
    """A dictionary of at most `limit` bytes; the entries put in first go first. A lookup is one of a
    dictionary."""

    __slots__ = ("_entries", "_sizes", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._entries: dict[Any, Any] = {}
        self._sizes: dict[Any, int] = {}

    def get(self, key: Hashable) -> Any:
        return self._entries.get(key)

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keeps a value, unless it is too large."""
        self.discard(key)
        if size > self.limit // _LARGEST_PART:
            return
        self._entries[key] = value
        self._sizes[key] = size
        self.used += size
        self._evict()

    def grow(self, key: Hashable, value: Any, size: int) -> None:
        """Takes note that a value holds `size` bytes more (or less) than when it was put in. Nothing happens if
        it is no longer kept; it is given up when it has become too large."""
        if self._entries.get(key) is not value:
            return
        self._sizes[key] += size
        self.used += size
        if self._sizes[key] > self.limit // _LARGEST_PART:
            self.discard(key)
        self._evict()

    def discard(self, key: Hashable) -> None:
        if key in self._entries:
            del self._entries[key]
            self.used -= self._sizes.pop(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _evict(self) -> None:
        while self.used > self.limit:
            self.discard(next(iter(self._entries)))
