"""The journal of a vector index: which entries changed last, so that a copy in memory can follow.

Every change of an entry is a step. A journal's key space holds a head, with the number of the last step, and a
ring of the last `RING` steps. A copy that has followed to a step reads the ones after it; one that is too far
behind is made anew. Each step has a fingerprint, which covers all steps before it: two copies that have the same
one hold the same entries, whatever became of the data directory in between (a copy of it, put back in place, may
have other steps of the same numbers).

The head is changed by every write of the index, so steps are recorded where the write lock is held (`in_lock`):
writes that are run ahead of it do not contradict each other for it.

    b"head" → number (8 bytes) + fingerprint (16) + bytes saved by all entries (8, signed)
    slot (4 bytes) → number (8) + fingerprint (16) + key of the entry
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

from blotter.database.storage.protocol import ReadTransaction, StorageUnavailable, StoredItem, WriteTransaction

RING: Final = 1 << 16
"""Steps that can be followed."""

_HEAD: Final = b"head"
_STEP: Final = Struct(">Q16s")
_SAVED: Final = Struct(">q")
_NONE: Final = bytes(16)


class Step(NamedTuple):
    """A state of an index: after so many changes, with their fingerprint."""

    number: int = 0
    fingerprint: bytes = _NONE


def record_step(tx: WriteTransaction, space: int, key: bytes, body: bytes, saved: int) -> None:
    """Records that the entry under a key now has a body, b"" for none; `saved` is by how much its saved bytes
    changed."""
    tx.in_lock(lambda tx: _record(tx, space, key, body, saved))


def _record(tx: WriteTransaction, space: int, key: bytes, body: bytes, saved: int) -> None:
    head = tx.get(space, _HEAD)
    last, total = (Step(), 0) if head is None else _read_head(head.body)
    hasher = blake2b(last.fingerprint, digest_size=16)
    hasher.update(key)
    hasher.update(body)
    step = Step(last.number + 1, hasher.digest())
    new = StoredItem(_HEAD, 0, _STEP.pack(*step) + _SAVED.pack(total + saved))
    tx.put(space, new, head)
    slot = _slot(step.number)
    with suppress(StorageUnavailable):  # the disk is full and this is a deletion: copies in memory are made anew
        tx.put(space, StoredItem(slot, 0, _STEP.pack(*step) + key), tx.get(space, slot))


def last_step(tx: ReadTransaction, space: int) -> Step:
    """The state of an index in a snapshot."""
    head = tx.get(space, _HEAD)
    return Step() if head is None else _read_head(head.body)[0]


def saved_by_all(tx: ReadTransaction, space: int) -> int:
    """The sum of `saved_bytes` over all entries of an index."""
    head = tx.get(space, _HEAD)
    return 0 if head is None else _read_head(head.body)[1]


def changed_keys(tx: ReadTransaction, space: int, step: Step, until: int, limit: int) -> list[bytes] | None:
    """The keys that changed in up to `limit` steps after one, in their order and none after the number `until`.
    None when the journal does not have that step any more, or another of its number."""
    if until - step.number >= RING or (step.number and _step_at(tx, space, step.number) != step):
        return None
    keys: list[bytes] = []
    for number in range(step.number + 1, min(until, step.number + limit) + 1):
        stored = tx.get(space, _slot(number))
        if stored is None or _STEP.unpack_from(stored.body)[0] != number:
            return None
        keys.append(stored.body[_STEP.size :])
    return keys


def step_at(tx: ReadTransaction, space: int, number: int) -> Step | None:
    """The step of a number, None when the journal does not have it any more."""
    return _step_at(tx, space, number) if number else Step()


def _step_at(tx: ReadTransaction, space: int, number: int) -> Step | None:
    stored = tx.get(space, _slot(number))
    if stored is None:
        return None
    step = Step(*_STEP.unpack_from(stored.body))
    return step if step.number == number else None


def _read_head(body: bytes) -> tuple[Step, int]:
    return Step(*_STEP.unpack_from(body)), _SAVED.unpack_from(body, _STEP.size)[0]


def _slot(number: int) -> bytes:
    return (number % RING).to_bytes(4)
