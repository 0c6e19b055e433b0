"""Which part of an archive a recovery uses: epoch, base, and the segments up to a time.

The newest epoch that can serve the time is taken, and in it the newest base that is exact at that time. The
segments from there on must follow one another without a gap; a segment that was stored twice, once longer, counts
once.
"""

from __future__ import annotations

from typing import NamedTuple

from blotter.database.archive.layout import (
    COMPLETE,
    Complete,
    DamagedArchive,
    Epoch,
    Segment,
    base_folder,
    bases,
    epochs,
    read_value,
    segments,
)
from blotter.database.copies.objects import Objects
from blotter.database.encryption.files import FileCipher
from blotter.database.model.timestamps import iso


class NotRecoverable(Exception):
    """The archive does not hold what was asked for; the text says what it holds."""


class Choice(NamedTuple):
    epoch: Epoch
    base: Complete
    segments: list[Segment]
    """In order; the first ones may begin before the base."""


def newest_epochs(objects: Objects, at: float | None) -> list[Epoch]:
    """The epochs that may serve a time, the best first. Raises NotRecoverable, DamagedArchive."""
    found = epochs(objects)
    if not found:
        raise NotRecoverable(f"{objects.place} holds no archive")
    usable = [epoch for epoch in reversed(found) if at is None or epoch.started_at <= at]
    if not usable:
        raise NotRecoverable(
            f"the archive {objects.place} begins at {iso(found[0].started_at)}; --at must not be earlier"
        )
    return usable


def choose(objects: Objects, epoch: Epoch, cipher: FileCipher, at: float | None) -> Choice | None:
    """The newest base of an epoch that serves a time, None if it has none. Raises DamagedArchive."""
    place = objects.within(epoch.id)
    found = []
    for position, names in bases(place).items():
        if COMPLETE in names:
            found.append(read_value(place.within(base_folder(position)), COMPLETE, Complete, cipher))
    for base in sorted(found, key=lambda base: base.position, reverse=True):
        if at is not None and base.time > at:
            continue
        chain = _chain(objects, epoch, base.position, at)
        reached = chain[-1].last if chain else base.position
        if reached < base.end:  # the log was shipped up to the base, but not to its end
            continue
        return Choice(epoch, base, chain)
    return None


def _chain(objects: Objects, epoch: Epoch, position: int, at: float | None) -> list[Segment]:
    """The segments from a position on. Raises DamagedArchive for a gap before the time."""
    place = objects.within(epoch.id)
    longest: dict[int, Segment] = {}
    for segment in segments(place, position):
        longest[segment.after] = max(segment, longest.get(segment.after, segment), key=lambda found: found.last)
    if not longest:
        return []
    first = max((after for after in longest if after <= position), default=None)
    if first is None:
        raise DamagedArchive(f"{place.place}: the segment with entry {position + 1} of the log is missing")
    chain = []
    following: Segment | None = longest[first]
    while following is not None:
        chain.append(following)
        following = longest.get(following.last)
    last = max(longest.values(), key=lambda found: found.last)
    reaches = at is not None and any(segment.latest > at for segment in chain)
    if chain[-1].last < last.last and not reaches:
        raise DamagedArchive(
            f"{place.place}: the segment with entry {chain[-1].last + 1} of the log is missing; what is "
            f"before it can be recovered with --at {iso(chain[-1].latest)}"
        )
    return chain
