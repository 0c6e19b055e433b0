"""A statement whose time is over ends its connection; it is not canceled."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from blotter.database.storage.postgres.connections.deadlines import within


class _Connection:
    """One statement, answered by the test, or by the end of the connection with an error."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.was_canceled = False

    async def statement(self) -> int:
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.was_canceled = True
            raise

    def terminate(self) -> None:
        self.answer.set_exception(ConnectionError("closed"))


def test_an_answer_in_time_is_given() -> None:
    async def run() -> int:
        connection = _Connection()
        connection.answer.set_result(7)
        return await within(60, connection, connection.statement())

    assert asyncio.run(run()) == 7


def test_without_an_answer_the_connection_is_ended() -> None:
    async def run() -> None:
        connection = _Connection()
        with pytest.raises(TimeoutError):
            await within(0, connection, connection.statement())
        assert connection.answer.done()
        assert not connection.was_canceled

    asyncio.run(run())


def test_who_is_canceled_ends_the_connection_too() -> None:
    reported: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        connection = _Connection()
        waiting = asyncio.ensure_future(within(60, connection, connection.statement()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not connection.was_canceled

    asyncio.run(run())
    gc.collect()
    assert not reported
