"""Stores of objects and storages that fail or end where a test wants them to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from blotter.database.copies.jobs import Tools
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import ObjectInfo, Objects
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing of it runs on."""


class Steps:
    """Counts steps with an effect outside of the process, and fails before or after one of them."""

    def __init__(self, fatal: int = -1, error: Callable[[], BaseException] = Killed) -> None:
        self.taken = 0
        self.fatal = fatal
        """Twice the number of the step, plus 1 to let it take effect first."""
        self._error = error

    def around(self, effect: Callable[[], T]) -> T:
        self._fail_at(0)
        result = effect()
        self._fail_at(1)
        self.taken += 1
        return result

    def _fail_at(self, after: int) -> None:
        if self.fatal == 2 * self.taken + after:
            raise self._error()


class WatchedObjects:
    """Objects whose writes and deletions are steps. `reading` is called before every read."""

    def __init__(self, inner: Objects, steps: Steps, reading: Callable[[], object] = lambda: None) -> None:
        self.inner = inner
        self.steps = steps
        self.reading = reading

    @property
    def place(self) -> str:
        return self.inner.place

    def put(self, name: str, content: bytes) -> None:
        self.steps.around(lambda: self.inner.put(name, content))

    def upload(self, name: str, pieces: Iterable[bytes]) -> int:
        return self.steps.around(lambda: self.inner.upload(name, pieces))

    def get(self, name: str) -> bytes:
        self.reading()
        return self.inner.get(name)

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        self.reading()
        return self.inner.read(name, start)

    def find(self, name: str) -> ObjectInfo | None:
        return self.inner.find(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        self.steps.around(lambda: self.inner.delete(name))

    def within(self, folder: str) -> WatchedObjects:
        return WatchedObjects(self.inner.within(folder), self.steps, self.reading)

    def bucket(self, name: str) -> WatchedObjects:
        return WatchedObjects(self.inner.bucket(name), self.steps, self.reading)

    def has_bucket(self, name: str) -> bool:
        return self.inner.has_bucket(name)


class WatchedStorage:
    """A storage whose writes are steps; `between` is awaited before every read. The rest is the storage's."""

    def __init__(self, inner: Storage, steps: Steps, between: Callable[[], Any] | None = None) -> None:
        self._inner = inner
        self._steps = steps
        self._between = between

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        if self._between is not None:
            await self._between()
        return await self._inner.fetch(handler)

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await self._counted(self._inner.write(handler))

    async def write_slice(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        return await self._counted(self._inner.write_slice(handler))

    async def _counted(self, write: Coroutine[Any, Any, T]) -> T:
        with closing(write):  # it may not begin
            self._steps._fail_at(0)
            result = await write
        self._steps._fail_at(1)
        self._steps.taken += 1
        return result


def watched(
    tools: Tools,
    objects: Objects,
    steps: Steps,
    between: Callable[[], Any] | None = None,
    reading: Callable[[], object] = lambda: None,
) -> Tools:
    """The same tools over watched stores, as a new process would have them."""
    new = Tools(tools.storage, tools.objects.place, tools.cipher, tools.scratch, tools.clock, tools.monotonic)
    new.storage = WatchedStorage(tools.storage, steps, between)  # type: ignore[assignment]
    new.objects = WatchedObjects(objects, steps, reading)  # type: ignore[misc]
    return new


def memory_objects() -> MemoryObjects:
    return MemoryObjects({}, "")
