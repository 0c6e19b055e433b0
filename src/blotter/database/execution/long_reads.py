"""Long reads of a store in this process: Query, Scan, SELECT and searches, one slice after another.

A few run at a time, alternating slice by slice, so that quick requests are served in between and no snapshot grows
too old. Work on large items is done by a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from blotter.database.execution.job import CLIENT_GONE, Job
from blotter.database.http.messages import Pending, Response
from blotter.database.operations.operation import Slices, Slicing
from blotter.database.storage.protocol import Snapshot, SnapshotOutlived, SnapshotTooOld, Storage
from blotter.database.work_thread import WorkThread

MOST_RUNNING = 8
"""Long reads of one process that run at a time."""
RUN_SECONDS = 0.003
"""How long the event loop runs slices before it serves others. A slice may take longer."""
MOST_SNAPSHOTS = 3
"""A long read that cannot use its snapshot, because it is too old at once, gets so many."""


class LongRead(Pending):
    """A read in slices over a snapshot. Only a running one has a snapshot.

    A read whose snapshot ended before it had read anything (the process may have been suspended meanwhile) starts
    over with another snapshot, a few times at most.
    """

    __slots__ = ("_failure", "_job", "_slices", "_slicing", "_snapshot", "_snapshots", "_storage", "work")

    def __init__(self, storage: Storage, slicing: Slicing[Any], job: Job, *, snapshots: int) -> None:
        """`snapshots` is how many it has had."""
        super().__init__()
        self._storage = storage
        self._slicing = slicing
        self._job = job
        self._snapshots = snapshots
        self._snapshot: Snapshot | None = None
        self._slices: Slices | None = None
        self._failure: BaseException | None = None
        self.work: Callable[[], object] | None = None
        """What has to be done, on a thread, before the next step."""

    def resume(self, snapshot: Snapshot, slices: Slices, work: Callable[[], object] | None) -> None:
        """Continues after a first slice."""
        self._snapshot = snapshot
        self._slices = slices
        self.work = work

    def worked(self, error: BaseException | None) -> None:
        """Its work was done, or failed."""
        self.work = None
        self._failure = error

    def step(self) -> Response | Pending | None:
        """Reads one slice. Returns the response once the read is complete or has failed; None before, perhaps with
        work to be done."""
        job = self._job
        try:
            if self._failure is not None:
                raise self._failure
            if self._slices is None:
                self._snapshots += 1
                self._snapshot = snapshot = self._storage.open_snapshot()
                assert snapshot is not None  # a store that had a snapshot for the first slice always has
                self._slices = self._slicing.execute(job.plan, snapshot, job.context)
            self.work = next(self._slices)
        except StopIteration as done:
            self.stop()
            return job.succeeded(done.value)
        except SnapshotOutlived:
            self.stop()
            self._snapshots -= 1
        except SnapshotTooOld as error:
            self.stop()
            return job.failed(error) if self._snapshots >= MOST_SNAPSHOTS else None
        except Exception as error:
            self.stop()
            return job.failed(error)
        return None

    def give_up(self) -> Response | Pending:
        """The response to a client that is gone."""
        self.stop()
        return self._job.failed(CLIENT_GONE)

    def stop(self) -> None:
        """Gives its snapshot up; the next step starts over."""
        self._slices = self.work = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None


class LongReads:
    """The long reads of a process: a few run, alternating slice by slice; the others wait in the order of their
    arrival. What is new while that many run gets its first slice before it waits: for most queries that is all.

    So a read that runs ends long before its snapshot is too old, however many there are, and the number of
    snapshots, each of which has a connection and its cache, is bounded. Work on large items is done by a thread,
    one read after another.
    """

    def __init__(self) -> None:
        self._new: deque[LongRead] = deque()
        self._running: deque[LongRead] = deque()
        self._waiting: deque[LongRead] = deque()
        self._active = 0
        """The running reads, and those whose work the thread has."""
        self._large_items: WorkThread | None = None
        self._scheduled = False

    @property
    def has_room(self) -> bool:
        """Whether another one may run."""
        return self._active < MOST_RUNNING

    def add(self, read: LongRead) -> None:
        """Takes a read after its first slice, which it repeats if it has to wait."""
        if self.has_room:
            self._active += 1
            self._go_on(read)
        else:
            read.stop()
            self._waiting.append(read)
        self._schedule()

    def begin(self, read: LongRead) -> None:
        """Takes a read that has not begun, while there is no room."""
        self._new.append(read)
        self._schedule()

    def _go_on(self, read: LongRead) -> None:
        if read.work is None:
            self._running.append(read)
            return
        if self._large_items is None:
            self._large_items = WorkThread("large-items", computes=True)
        self._large_items.run(asyncio.get_running_loop(), read.work, lambda error: self._worked(read, error))

    def _worked(self, read: LongRead, error: BaseException | None) -> None:
        read.worked(error)
        self._running.append(read)
        self._schedule()

    def _schedule(self) -> None:
        if (self._running or self._new) and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """First slices, and slices of the running reads, by turns, for a few milliseconds at most."""
        new, running, deadline = self._new, self._running, time.monotonic() + RUN_SECONDS
        while new or running:
            if new:
                self._begin(new.popleft())
            if running:
                self._step(running.popleft())
            if time.monotonic() > deadline:
                break
        self._scheduled = False
        self._schedule()

    def _begin(self, read: LongRead) -> None:
        response = read.give_up() if read.abandoned else read.step()
        if response is None:
            self.add(read)
        else:
            read.settle_with(response)

    def _step(self, read: LongRead) -> None:
        response = read.give_up() if read.abandoned else read.step()
        if response is None:
            self._go_on(read)
            return
        self._active -= 1
        while self._waiting and self.has_room:
            self._active += 1
            self._running.append(self._waiting.popleft())
        read.settle_with(response)
