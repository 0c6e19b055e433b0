"""One thread that does work for an event loop, in order, and reports back to it.

Smaller and faster than an executor: a queue in, `call_soon_threadsafe` out, no future between. Work is what blocks
in the kernel (a synced commit, a lock, a checkpoint) and releases the interpreter while it does, or what computes
for so long that the loop would keep others waiting.

What computes has to let the loop go first now and then (`let_serve`). The interpreter's lock is not fair: decoding
a large value and compiled code keep it to their end, and a loop that reads rows gives it up at each of them. So a
read of 256 rows would wait 256 times for the work of a thread that is always busy: ten seconds were seen. Code
that may run on such a thread and takes long for large values calls `give_way` now and then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread, local

Work = Callable[[], object]
Done = Callable[[BaseException | None], None]


_LONGEST_SECONDS = 0.1
"""A loop that is not heard of for so long may itself be waiting for the thread."""


def let_serve(loop: asyncio.AbstractEventLoop) -> None:
    """For threads that compute, between two pieces of work of some milliseconds: waits until the loop has served
    what had come."""
    served = Event()
    with suppress(RuntimeError):  # the loop was closed
        # An iteration later: what is ready in this one may come after the callback.
        loop.call_soon_threadsafe(loop.call_soon, served.set)
        served.wait(_LONGEST_SECONDS)


_STRETCH_SECONDS = 0.005
"""How long a thread computes before `give_way` lets the loop serve others."""


class _Computing(local):
    """What a thread that computes knows of itself; `loop` is None on all others."""

    loop: asyncio.AbstractEventLoop | None = None
    since = 0.0


_COMPUTING = _Computing()


def give_way() -> None:
    """Lets the event loop serve what had come, if this thread computes for it and has done so for some
    milliseconds. Does nothing on other threads, the loop's own among them. Never compiled: so the interpreter's
    lock can also be given up where compiled code calls it, which does not do so by itself."""
    loop = _COMPUTING.loop
    if loop is not None and time.monotonic() > _COMPUTING.since + _STRETCH_SECONDS:
        let_serve(loop)
        _COMPUTING.since = time.monotonic()


class WorkThread:
    """`computes`: its work needs the interpreter; the loop goes first before it, and when it calls `give_way`."""

    def __init__(self, name: str, *, computes: bool = False) -> None:
        self._computes = computes
        self._queue: SimpleQueue[tuple[asyncio.AbstractEventLoop, Work, Done] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, loop: asyncio.AbstractEventLoop, work: Work, done: Done) -> None:
        """Does the work on the thread, then calls `done` on the loop with the error it raised or None."""
        self._queue.put((loop, work, done))

    async def call(self, work: Work) -> None:
        """Does the work on the thread and waits for it; raises what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def done(error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.run(loop, work, done)
        await future

    def stop(self) -> None:
        """Ends the thread after the work that is queued."""
        self.leave()
        self._thread.join()

    def leave(self) -> None:
        """`stop` without waiting for the end."""
        self._queue.put(None)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            loop, work, done = entry
            error = None
            try:
                if self._computes:
                    let_serve(loop)
                    _COMPUTING.loop, _COMPUTING.since = loop, time.monotonic()
                work()
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop was closed: nothing waits any more
                loop.call_soon_threadsafe(done, error)
            del entry, work, done, error  # while the thread waits, it keeps none of what was computed
