"""Requests with heavy bodies (`http.budget.is_heavy`), one at a time: checked, decoded, executed and freed.

    check (another process) → decode in slices, prepare (a thread) → execute (the loop) → free (the thread)

Each body is checked before any of it is decoded here, so that what is wrong with it costs this process no more
than handing it over (`checking`). What is right is decoded in slices, with the event loop served in between;
freeing a million values at once would keep the loop waiting too, so that is done in slices as well. The next
request begins when nothing is left of the one before, so only one of them takes memory beside its body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.security.identity import Identity
from blotter.database.work_thread import WorkThread, give_way


class HeavyBody(Exception):
    """A request has a heavy body, which is unpacked here, and cannot be prepared like others. `identity` is the
    caller's, if he was authenticated already."""

    def __init__(self, request: Request, body: bytes, identity: Identity | None) -> None:
        super().__init__()
        self.request = request
        self.body = body
        self.identity = identity


class Work(NamedTuple):
    """What the pipeline does for a heavy request: `prepare` on the thread, `execute` and `give_up` on the loop.
    `prepare` adds the parts of what it decodes to the list."""

    prepare: Callable[[HeavyBody, list[Any]], Any]
    execute: Callable[[Request, Any], Response | Pending]
    give_up: Callable[[Request, BaseException | None], Response | Pending]


class HeavyRequests:
    """The heavy requests of a worker. Used on the event loop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: deque[tuple[HeavyBody, Pending]] = deque()
        self._thread: WorkThread | None = None
        self._running = False

    def add(self, request: HeavyBody, answer: Pending) -> None:
        """Settles the answer when the requests before this one are done; nothing is done for an abandoned one."""
        self._waiting.append((request, answer))
        if not self._running:
            self._running = True
            self._next()

    def _next(self) -> None:
        while self._waiting:
            heavy, answer = self._waiting.popleft()
            if not answer.abandoned:
                self._begin(heavy, answer)
                return
            answer.settle_with(self._work.give_up(heavy.request, None))
        self._running = False

    def _begin(self, heavy: HeavyBody, answer: Pending) -> None:
        prepared: list[Any] = []
        pieces: list[Any] = []

        def prepare() -> None:
            prepared.append(self._work.prepare(heavy, pieces))

        def execute(error: BaseException | None) -> None:
            request = heavy.request
            if error is None:
                response = self._work.execute(request, prepared.pop())
            else:
                response = self._work.give_up(request, error)
            if isinstance(response, Pending):
                response.then(settle)
            else:
                settle(response)

        def settle(response: Response) -> None:
            # What led here still has the plan: it is freed when an iteration of the loop has gone by.
            asyncio.get_running_loop().call_soon(self._on_thread, lambda: _free(pieces), lambda _: self._next())
            answer.settle(response)

        self._on_thread(prepare, execute)

    def _on_thread(self, work: Callable[[], object], done: Callable[[BaseException | None], None]) -> None:
        if self._thread is None:
            self._thread = WorkThread("heavy-bodies", computes=True)
        self._thread.run(asyncio.get_running_loop(), work, done)


def _free(pieces: list[Any]) -> None:
    while pieces:
        pieces.pop()
        give_way()
