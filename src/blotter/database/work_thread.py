"""One thread that does work for an event loop, in order, and reports back to it.

Smaller and faster than an executor: a queue in, `call_soon_threadsafe` out, no future between. Work is what blocks
in the kernel (a synced commit, a lock, a checkpoint) and releases the interpreter while it does, or what computes
for so long that the loop would keep others waiting: the interpreter then switches between the two every few
milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

Work = Callable[[], object]
Done = Callable[[BaseException | None], None]


class WorkThread:
    def __init__(self, name: str) -> None:
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
                work()
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop was closed: nothing waits any more
                loop.call_soon_threadsafe(done, error)
            del entry, work, done, error  # while the thread waits, it keeps none of what was computed
