"""How much memory requests in progress may take, over all connections of a worker.

Three things are counted: request bodies, from their first bytes to the answer; what a body is decoded to, as
long as its request is worked on; answers, as long as a client has not taken them. What is small is not counted:
the number of connections bounds it. Bodies of senders who name no key that is known may take a quarter, until they
are whole: then their signatures are verified. What a heavy body is decoded to is not counted either: only one at a
time is decoded, for which there is room of its own. docs/settings.md has the whole formula.
"""

from __future__ import annotations

from collections.abc import Callable

SMALL = 8192
"""Bodies and answers up to this size are not counted."""

# What JSON becomes, measured with msgspec on CPython 3.11: an object of one member takes 232 bytes, an element
# of a list of texts up to 90.
_PER_OBJECT = 240
_PER_ELEMENT = 90


MANY_VALUES = 100_000
"""A body that may hold more values is heavy: decoding and freeing it keeps the interpreter busy for some 50 ms."""
LONG_BODY = 8 * 1024 * 1024
"""A body of more bytes is heavy too: a single text of that length takes as long."""


def is_heavy(body: bytes) -> bool:
    """Whether decoding the body takes so long that others would notice. Not values are counted but what stands
    before each of them: a comma, or the bracket in which it is the first."""
    return _is_heavy(len(body), body.count(b",") + body.count(b"{") + body.count(b"["))


def _is_heavy(size: int, values: int) -> bool:
    return size > LONG_BODY or values > MANY_VALUES


Knows = Callable[[dict[str, str]], bool]
"""Whether a request with these headers may be from a known sender. The signature is not verified yet."""


class MemoryBudget:
    """`used` bytes of `limit`; of these, `decoded` are estimates of decoded bodies, and `of_strangers` are bodies
    still arriving from senders that are not known. `knows` is None where every sender is believed."""

    __slots__ = ("decoded", "knows", "limit", "of_strangers", "used")

    def __init__(self, limit: int, knows: Knows | None = None) -> None:
        self.limit = limit
        self.knows = knows
        self.used = 0
        self.decoded = 0
        self.of_strangers = 0

    def release(self, size: int) -> None:
        """Gives back what a body of this size took; small ones took nothing."""
        if size > SMALL:
            self.used -= size

    def decode(self, body: bytes) -> int:
        """Takes what a large body will be decoded to, and returns it for `release_decoded`; -1 when it does not
        fit.

        One decoded body always fits: any request may be served, only not all at once. A heavy body takes nothing.
        """
        objects, lists, commas = body.count(b"{"), body.count(b"["), body.count(b",")
        if _is_heavy(len(body), objects + lists + commas):
            return 0
        size = objects * _PER_OBJECT + (lists + commas) * _PER_ELEMENT
        if self.decoded > 0 and self.used + size > self.limit:
            return -1
        self.used += size
        self.decoded += size
        return size

    def release_decoded(self, size: int) -> None:
        self.used -= size
        self.decoded -= size

    def is_stranger(self, headers: dict[str, str]) -> bool:
        return self.knows is not None and not self.knows(headers)

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def exceeded_by_strangers(self) -> bool:
        return self.of_strangers > self.limit // 4
