"""A store across a network, in memory: a double of what `blotter serve` meets with PostgreSQL, without a server.

`read` and `open_snapshot` give nothing. Every handler is run on a later turn of the event loop and more than once,
as a store does that looks up what a handler misses and then runs it again: first up to its first read of an item,
then from the start to its end. A write is run, undone, and run again, together with its batch. So what must happen
once, and what must not be kept from one run to the next, shows here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from blotter.database.storage.coroutines import outcome_of
from blotter.database.storage.memory import MemoryStorage, MemoryStore
from blotter.database.storage.memory.transactions import MemoryReader, MemorySnapshot
from blotter.database.storage.protocol import (
    ReadTransaction,
    Settled,
    Slices,
)
from blotter.database.storage.submission import Submission

T = TypeVar("T")


class _Missing(BaseException):
    """What a handler asked for is not here yet."""


def _missing(*_: object, **__: object) -> NoReturn:
    raise _Missing


class _EmptyHanded(MemoryReader):
    """Has the catalog, and no item yet."""

    get = get_many = items = version = _missing  # type: ignore[assignment]


class DistantStorage(MemoryStorage):
    """See the module's text. `turns` later turns pass before anything is answered."""

    turns = 2

    def read(self) -> None:  # type: ignore[override]
        return None

    def open_snapshot(self) -> None:  # type: ignore[override]
        return None

    def submit_read(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._later(lambda: self._answer(handler, settled))

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        result: T = await outcome_of(lambda settled: self.submit_read(handler, settled))
        return result

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self.submit_read(handler, settled)

    def submit_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        asyncio.get_running_loop().create_task(self._read_slices(start, settled))

    def _later(self, action: Callable[[], object], turns: int | None = None) -> None:
        left = self.turns if turns is None else turns
        loop = asyncio.get_running_loop()
        loop.call_soon(action if left <= 1 else lambda: self._later(action, left - 1))

    def _answer(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        value, error = None, None
        snapshot = self._snapshot()
        try:
            value = _run_twice(handler, _EmptyHanded(self._maps), snapshot)
        except Exception as raised:
            error = raised
        finally:
            snapshot.close()
        settled(value, error)

    async def _read_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        value, error = None, None
        await asyncio.sleep(0)
        snapshot = self._snapshot()
        try:
            slices = start(_EmptyHanded(self._maps))
            try:
                next(slices)
            except (_Missing, StopIteration):
                await asyncio.sleep(0)
            slices.close()
            slices = start(snapshot)
            while True:
                work = next(slices)
                if work is not None:
                    await asyncio.to_thread(work)
                await asyncio.sleep(0)
        except StopIteration as done:
            value = done.value
        except Exception as raised:
            error = raised
        finally:
            snapshot.close()
        settled(value, error)

    def _snapshot(self) -> MemorySnapshot:
        return MemorySnapshot(self._maps.snapshot(), self._monotonic() + self._snapshot_max_age, self._monotonic)

    # Writing: a batch is run and undone before it is run for good

    def _run_queue(self) -> list[Submission]:
        batch = super()._run_queue()
        self._maps.roll_back()
        for submission in batch:
            submission.excluded = False
            if not submission.abandoned and not self._run_handler(submission):
                self._start_over(batch)
                break
        return batch


def _run_twice(handler: Callable[[ReadTransaction], T], first: ReadTransaction, then: ReadTransaction) -> T:
    with suppress(_Missing):
        handler(first)
    return handler(then)


class DistantStore(MemoryStore):
    """See `protocol.Store`: what several servers on one store would share."""

    description = "data in the memory of a test"
    several_servers = True

    def open(self) -> DistantStorage:
        return DistantStorage(self._maps)
