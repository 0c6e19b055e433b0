"""How much memory requests in progress may take, over all connections of a worker.

Three things are counted: request bodies, from their first bytes to the answer; what a body is decoded to, as
long as its request is worked on; answers, as long as a client has not taken them. What is small is not counted:
the number of connections bounds it. docs/settings.md has the whole formula.
"""

from __future__ import annotations

SMALL = 8192
"""Bodies and answers up to this size are not counted."""

# What JSON becomes, measured with msgspec on CPython 3.11: an object of one member takes 232 bytes, an element
# of a list of texts up to 90.
_PER_OBJECT = 240
_PER_ELEMENT = 90


class MemoryBudget:
    """`used` bytes of `limit`; of these, `decoded` are estimates of decoded bodies."""

    __slots__ = ("decoded", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.decoded = 0

    def release(self, size: int) -> None:
        """Gives back what a body of this size took; small ones took nothing."""
        if size > SMALL:
            self.used -= size

    def decode(self, body: bytes) -> int:
        """Takes what a large body will be decoded to, and returns it for `release_decoded`; -1 when it does not
        fit.

        One decoded body always fits: any request may be served, only not all at once.
        """
        size = body.count(b"{") * _PER_OBJECT + body.count(b",") * _PER_ELEMENT
        if self.decoded > 0 and self.used + size > self.limit:
            return -1
        self.used += size
        self.decoded += size
        return size

    def release_decoded(self, size: int) -> None:
        self.used -= size
        self.decoded -= size

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit
