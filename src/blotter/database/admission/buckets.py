"""Token buckets in memory that all workers of a server share.

A bucket holds the units that were provisioned and not used: it is filled at its rate, holds at most what its rate
gives in `seconds`, and is full when it is first seen. It is one number, the moment at which it would have been
empty (`origin`): it holds (now - origin) * rate, and taking units moves that moment forward. So nothing has to
fill it, and what a worker writes to it is 8 bytes at once: one that is killed leaves it as before or as after.

Workers exclude each other by a lock on the bucket's bytes of the shared file, which the kernel releases when its
holder dies. A holder that does not run (the machine is overloaded, the process was stopped) is waited for only
`PATIENCE_SECONDS`: then units may be given twice, which is better than an event loop that stands still.

Locks are slow, so a process that takes units takes some more at once, a lease, from which it gives without a lock
until it is used up. A lease is at most what the rate gives in `LEASE_SECONDS`, and at most a 1024th of what the
bucket holds, so there is none of a bucket that is nearly empty: then every unit is taken by itself. A process puts
its lease back before it refuses a request, and before it forgets the bucket; only one that is killed loses it.

Memory is bounded by the number of slots. A bucket that was not used for so long that it is full again holds
nothing that is worth keeping, so its slot is given to another.

The same memory has the version of the catalog's limits, a number that changes whenever a commit of any process
changed the catalog, and how many servers share the store: each gives an equal part of the units.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import time
from collections.abc import Callable
from typing import Final

BURST_SECONDS: Final = 300.0
"""How long unused capacity is kept. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
burst-adaptive-capacity.html"""
PATIENCE_SECONDS: Final = 0.1
LEASE_SECONDS: Final = 0.01
_LEASE_PART: Final = 1.0 / 1024.0

SLOTS: Final = 1 << 16
_WINDOW: Final = 64
"""Slots, from the one that follows from its key on, in which a bucket may lie."""
_FIELDS: Final = 4
"""8-byte fields of a slot: key, origin, rate, seconds."""
_TRIES: Final = 20
"""Attempts to lock before the loop sleeps between them."""
_ROUNDING: Final = 0.001
"""Units that may be missing because moments are rounded."""


class Buckets:
    """All buckets of a server. Made before it forks; `shared` is whether several processes use them. `clock` gives
    seconds on a clock that is the same in every process and is never set."""

    __slots__ = (
        "_clock",
        "_descriptor",
        "_floats",
        "_leased",
        "_memory",
        "_numbers",
        "_patience",
        "_shared",
        "_slots",
    )

    def __init__(
        self,
        *,
        shared: bool = True,
        slots: int = SLOTS,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        size = (slots + 1) * _FIELDS * 8
        self._slots = slots
        self._shared = shared
        self._clock = clock
        self._patience = patience
        self._descriptor = -1
        self._leased: list[Bucket] = []
        """The buckets of which this process may have a lease."""
        if shared:
            with tempfile.TemporaryFile() as file:
                file.truncate(size)
                self._descriptor = os.dup(file.fileno())
                self._memory = mmap.mmap(self._descriptor, size)
        else:
            self._memory = mmap.mmap(-1, size)
        view = memoryview(self._memory)
        self._floats: memoryview[float] = view.cast("d")
        self._numbers: memoryview[int] = view.cast("Q")

    # The version of the catalog's limits, in the last slot

    @property
    def version(self) -> int:
        return self._numbers[self._slots * _FIELDS]

    @property
    def servers(self) -> int:
        """How many servers share what tables have: each of them has as many processes and buckets of its own."""
        return self._numbers[self._slots * _FIELDS + 1] or 1

    def share_with(self, servers: int) -> None:
        """Sets that number; this server is one of them."""
        self._numbers[self._slots * _FIELDS + 1] = servers
        self.changed()

    def changed(self) -> None:
        """Makes the version one that it never was."""
        self._numbers[self._slots * _FIELDS] = time.monotonic_ns()

    # Taking units

    def take(self, bucket: Bucket, units: float) -> bool:
        """Takes units if there are as many; whether there were. None of 0 units: whether it holds a whole one."""
        leased = bucket.leased
        if leased >= (units or 1.0):
            bucket.leased = leased - units
            return True
        return self._take(bucket, units)

    def _take(self, bucket: Bucket, units: float) -> bool:
        """`take` without a lease, or with one that is too small: it is put back, and there is another one if the
        bucket has as many units."""
        slot = self._lock(bucket)
        try:
            now = self._clock()
            origin, leased = self._origin(bucket, slot, now), bucket.leased
            held = (now - origin) * bucket.rate + leased
            if held + _ROUNDING < (units or 1.0):
                if leased > 0.0:
                    bucket.leased = 0.0
                    self._floats[slot + 1] = origin - leased / bucket.rate
                return False
            lease = (held - units) * _LEASE_PART
            if lease > bucket.most_leased:
                lease = bucket.most_leased
            if lease > 0.0:
                self._note(bucket)
            else:
                lease = 0.0
            bucket.leased = lease
            taken = units + lease - leased
            if taken:
                self._floats[slot + 1] = origin + taken / bucket.rate
            return True
        finally:
            self._unlock(slot)

    def charge(self, bucket: Bucket, units: float) -> None:
        """Takes units even if there are not as many: what is owed must be filled in before others are given. With
        a negative number, gives units back."""
        leased = bucket.leased
        if 0.0 <= units <= leased:
            bucket.leased = leased - units
        else:
            self._charge(bucket, units)

    def _charge(self, bucket: Bucket, units: float) -> None:
        """`charge` that also puts the lease back."""
        slot = self._lock(bucket)
        try:
            now = self._clock()
            units -= bucket.leased
            bucket.leased = 0.0
            self._floats[slot + 1] = self._origin(bucket, slot, now) + units / bucket.rate
        finally:
            self._unlock(slot)

    def _note(self, bucket: Bucket) -> None:
        if not bucket.noted:
            bucket.noted = True
            self._leased.append(bucket)

    def put_back(self) -> None:
        """Puts the leases of this process back. To be called before it forgets the buckets."""
        for bucket in self._leased:
            bucket.noted = False
            if bucket.leased > 0.0:
                self._charge(bucket, 0.0)
        self._leased.clear()

    def holds(self, bucket: Bucket) -> float:
        """The units that a bucket holds now, with the lease of this process; negative when units are owed."""
        slot = self._lock(bucket)
        try:
            now = self._clock()
            return (now - self._origin(bucket, slot, now)) * bucket.rate + bucket.leased
        finally:
            self._unlock(slot)

    def _origin(self, bucket: Bucket, slot: int, now: float) -> float:
        """When the locked bucket would have been empty: not longer ago than it can be filled, and the same units
        at its present rate when that has changed."""
        floats = self._floats
        origin, rate, earliest = floats[slot + 1], floats[slot + 2], now - bucket.seconds
        if rate != bucket.rate:
            units = (now - max(origin, now - floats[slot + 3])) * rate
            origin = max(now - units / bucket.rate, earliest)
            floats[slot + 1] = origin
            floats[slot + 2] = bucket.rate
            floats[slot + 3] = bucket.seconds
        return max(origin, earliest)

    # Slots

    def _lock(self, bucket: Bucket) -> int:
        """Locks the bucket and returns its first field."""
        while True:
            slot = bucket.slot
            if slot >= 0:
                self._acquire(slot)
                if self._numbers[slot] == bucket.key:
                    return slot
                self._unlock(slot)  # it was given to another
            bucket.slot = self._find(bucket)

    def _find(self, bucket: Bucket) -> int:
        """The first field of the bucket's slot; one is made if there is none."""
        numbers, key = self._numbers, bucket.key
        for slot in self._window(key):
            if numbers[slot] == key:
                return slot
            if not numbers[slot]:
                break
        last = self._slots * _FIELDS
        self._acquire(last)  # of several that make slots, one at a time
        try:
            return self._make(bucket)
        finally:
            self._unlock(last)

    def _make(self, bucket: Bucket) -> int:
        numbers, floats, key = self._numbers, self._floats, bucket.key
        chosen, longest, now = -1, float("-inf"), self._clock()
        for slot in self._window(key):
            if numbers[slot] == key:
                return slot  # meanwhile
            if not numbers[slot]:
                chosen = slot
                break
            unused = now - floats[slot + 1] - floats[slot + 3]
            if unused > longest:
                chosen, longest = slot, unused
        self._acquire(chosen)
        try:
            numbers[chosen] = 0
            floats[chosen + 1] = now - bucket.seconds
            floats[chosen + 2] = bucket.rate
            floats[chosen + 3] = bucket.seconds
            numbers[chosen] = key
        finally:
            self._unlock(chosen)
        return chosen

    def _window(self, key: int) -> list[int]:
        home = (key * 0x9E3779B97F4A7C15 >> 20) % self._slots
        return [(home + step) % self._slots * _FIELDS for step in range(min(_WINDOW, self._slots))]

    # Locks

    def _acquire(self, slot: int) -> None:
        if not self._shared:
            return
        tries, deadline = 0, 0.0
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
                return
            except (BlockingIOError, PermissionError):
                tries += 1
            if tries < _TRIES:
                os.sched_yield()
                continue
            now = time.monotonic()
            deadline = deadline or now + self._patience
            if now >= deadline:
                return
            time.sleep(0.0001)

    def _unlock(self, slot: int) -> None:
        if self._shared:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, slot)


class Bucket:
    """One bucket as a process sees it: `rate` units a second, at most what that gives in `seconds`. `key` is a
    number that stands for it in every process, never 0. `leases`: for one that is not thrown away after a request.
    """

    __slots__ = ("key", "leased", "most_leased", "noted", "rate", "seconds", "slot")

    def __init__(self, key: int, rate: float, seconds: float = BURST_SECONDS, *, leases: bool = True) -> None:
        self.key: Final = key
        self.rate: Final = rate
        self.seconds: Final = seconds
        self.most_leased: Final = rate * LEASE_SECONDS if leases else 0.0
        self.leased = 0.0
        """Units that were taken from the shared memory and not given yet."""
        self.noted = False
        """Whether `Buckets` knows that there may be a lease."""
        self.slot = -1
        """Its first field in the shared memory, once it was found; another bucket may have got it since."""
