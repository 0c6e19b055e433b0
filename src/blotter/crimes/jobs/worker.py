"""The worker: a process that handles the events of the local queue and sweeps, until it is stopped.

One process, one file at a time; several workers may share a queue and a table: each takes the oldest event that no
other holds, and the lease in the item decides. Events and lost files alternate, so that neither waits for all of
the other. It is a separate process so that the pages answer while a file is scored. On SIGTERM or SIGINT the
current file goes back to UPLOADED within one batch; after SIGKILL its lease ends and any worker takes it over.
Whatever happens to one event or file is logged and the loop goes on: a worker that ends is a bug.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable

from blotter.crimes.handler import Parts, handle_event
from blotter.crimes.jobs.events import BadEvent
from blotter.crimes.jobs.local_queue import LocalQueue, QueuedEvent
from blotter.crimes.jobs.processing import WorkerStopping
from blotter.crimes.jobs.sweeper import MISSING_SECONDS
from blotter.crimes.settings import Application
from blotter.crimes.storage.objects import first_line

_POLL_SECONDS = 0.1
_AFTER_ERROR_SECONDS = 1.0
_LEAST_DEFERRAL, _LONGEST_DEFERRAL = 1.0, 60.0
_DRAFT_AGE_SECONDS = 24 * 3600.0
_MOST_DELIVERIES = 50  # about forty minutes; then the event is set aside and the sweeper looks for the file

_log = logging.getLogger(__name__)


class Worker:
    """Handles events and lost files. `stop` may be called from a signal handler or another thread."""

    def __init__(self, application: Application, parent: int | None = None) -> None:
        self._parent = parent
        self._stop = threading.Event()
        self._settings = application.settings
        self._queue = application.queue
        self._lost: deque[str] = deque()
        self._next_sweep = 0.0
        self.parts = Parts(application, self._stop.is_set)

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Works until `stop`, or until the parent process is gone."""
        self._guarded(self._discard_drafts)
        while not self._stop.is_set() and self._parent in (None, os.getppid()):
            worked = self._guarded(self._work_off_one)
            worked = self._guarded(self._sweep_one) or worked
            if not worked:
                self._stop.wait(_POLL_SECONDS)

    def _guarded(self, step: Callable[[], bool]) -> bool:
        """Runs a step of the loop; an unexpected error is logged, and the loop continues after a pause."""
        try:
            return step()
        except WorkerStopping:
            return False
        except Exception as error:
            _log.error("a step of the worker failed: %s: %s", type(error).__name__, first_line(error))
            self._stop.wait(_AFTER_ERROR_SECONDS)
            return False

    def _discard_drafts(self) -> bool:
        removed = self.parts.application.objects.discard_drafts(_DRAFT_AGE_SECONDS)
        if self._queue is not None:
            removed += self._queue.discard_drafts(_DRAFT_AGE_SECONDS)
        return removed > 0

    def work_off(self, queue: LocalQueue) -> bool:
        """Handles the events that are due; whether there were any."""
        worked = False
        for queued in queue.due():
            if self._stop.is_set():
                break
            worked = True
            self._handle(queue, queued)
        return worked

    def _work_off_one(self) -> bool:
        """Handles the oldest event that is due; whether there was one."""
        if self._queue is None:
            return False
        for queued in self._queue.due():
            self._handle(self._queue, queued)
            return True
        return False

    def _handle(self, queue: LocalQueue, queued: QueuedEvent) -> None:
        try:
            done = handle_event(self.parts, queued.event)
        except BadEvent as error:
            queue.reject(queued, f"the event is not understood: {error}")
        except WorkerStopping:
            return
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if queued.deliveries >= _MOST_DELIVERIES:
                queue.reject(queued, f"given up after {queued.deliveries} deliveries: {reason}")
                return
            delay = min(2.0**queued.deliveries, _LONGEST_DEFERRAL)
            _log.warning("an event could not be handled, again in %.0f s: %s", delay, reason)
            queue.defer(queued, time.time() + delay)
        else:
            again = [outcome.again_at for outcome in done.values() if outcome.again_at is not None]
            if again:
                queue.defer(queued, max(min(again), time.time() + _LEAST_DEFERRAL))
            else:
                queue.done(queued)

    def sweep(self) -> None:
        """Looks for lost files and processes them all."""
        self._next_sweep = 0.0
        while self._guarded(self._sweep_one):
            pass

    def _sweep_one(self) -> bool:
        """Processes one lost file, after a new look when it is time; whether there was one."""
        if not self._lost and time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._settings.sweep_seconds
            self._lost.extend(self.parts.sweeper.find_lost())
        if not self._lost or self._stop.is_set():
            return False
        key = self._lost.popleft()
        try:
            done = self.parts.processor.process(key, missing_after=MISSING_SECONDS)
        except WorkerStopping:
            return False
        except Exception as error:
            _log.warning("sweep: %r could not be processed: %s: %s", key, type(error).__name__, first_line(error))
        else:
            _log.debug("sweep: %s %s", key, done.what)
        return True


def run_worker(application: Application, parent: int | None) -> None:
    """The worker process: signals and the loop. `parent`: the process it must not outlive."""
    worker = Worker(application, parent)
    worker.parts.load_model()  # a model that cannot be loaded is reported at once, not with the first file
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
