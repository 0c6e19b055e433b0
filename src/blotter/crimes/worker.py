"""The worker: a process of its own that works off the local queue and sweeps, until it is asked to stop.

One process, one file at a time; several workers may share a queue and a table, the lease keeps them apart. It is
a separate process so that the pages answer while a file is scored. On SIGTERM or SIGINT the current file goes back
to UPLOADED within one batch; after SIGKILL its lease ends and any worker takes it over.
Whatever happens to one event is logged and the loop goes on: a worker that ends is a bug.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from blotter.crimes.events import BadEvent, LocalQueue, QueuedEvent
from blotter.crimes.handler import Parts, handle_event
from blotter.crimes.processing import WorkerStopping
from blotter.crimes.settings import Application
from blotter.crimes.sweeper import MISSING_SECONDS

_POLL_SECONDS = 0.1
_LONGEST_DEFERRAL = 60.0
_DRAFT_AGE_SECONDS = 24 * 3600.0
_MOST_DELIVERIES = 50  # about forty minutes; afterwards the sweeper alone looks for the file

_log = logging.getLogger(__name__)


class Worker:
    """Works off events. `stop` may be called from a signal handler or another thread."""

    def __init__(self, application: Application, parent: int | None = None) -> None:
        self._parent = parent
        self._stop = threading.Event()
        self._settings = application.settings
        self._queue = application.queue
        self.parts = Parts(application, self._stop.is_set)

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Works until `stop`, or until the parent process is gone."""
        self.parts.application.objects.discard_drafts(_DRAFT_AGE_SECONDS)
        next_sweep = 0.0
        while not self._stop.is_set() and self._parent in (None, os.getppid()):
            worked = self.work_off(self._queue) if self._queue is not None else False
            if time.monotonic() >= next_sweep:
                self.sweep()
                next_sweep = time.monotonic() + self._settings.sweep_seconds
            if not worked:
                self._stop.wait(_POLL_SECONDS)

    def work_off(self, queue: LocalQueue) -> bool:
        """Handles the events that are due; whether there were any."""
        worked = False
        for queued in queue.due():
            if self._stop.is_set():
                break
            worked = True
            self._handle(queue, queued)
        return worked

    def _handle(self, queue: LocalQueue, queued: QueuedEvent) -> None:
        try:
            done = handle_event(self.parts, queued.event)
        except BadEvent as error:
            _log.error("an event is not S3's and is dropped: %s", error)
            queue.done(queued)
        except WorkerStopping:
            return None
        except Exception as error:
            if queued.deliveries >= _MOST_DELIVERIES:
                _log.error("an event is given up after %d deliveries: %s", queued.deliveries, error)
                return queue.done(queued)
            delay = min(2.0**queued.deliveries, _LONGEST_DEFERRAL)
            _log.warning("an event could not be handled, again in %.0f s: %s", delay, error)
            queue.defer(queued, time.time() + delay)
        else:
            again = [outcome.again_at for outcome in done.values() if outcome.again_at is not None]
            if again:
                queue.defer(queued, min(again))
            else:
                queue.done(queued)
        return None

    def sweep(self) -> None:
        """Looks for lost files and processes them; the table out of reach is a reason to try later."""
        try:
            for key in list(self.parts.sweeper.find_lost()):
                if self._stop.is_set():
                    return
                done = self.parts.processor.process(key, missing_after=MISSING_SECONDS)
                _log.debug("sweep: %s %s", key, done.what)
        except WorkerStopping:
            return
        except Exception as error:
            _log.warning("the sweep broke off: %s: %s", type(error).__name__, error)


def run_worker(application: Application, parent: int | None) -> None:
    """The worker process: signals and the loop. `parent`: the process it must not outlive."""
    worker = Worker(application, parent)
    worker.parts.load_model()  # a model that cannot be loaded is told at once, not with the first file
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
