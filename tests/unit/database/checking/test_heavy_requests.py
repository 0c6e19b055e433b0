"""Heavy requests: one at a time, and nothing is done for a client that is gone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from blotter.database.heavy_requests import HeavyBody, HeavyRequests, Work
from blotter.database.http.messages import Pending, Request, Response
from tests.waiting import until


class _Pipeline:
    """Records what it does; the responses to what it executes are settled by the test."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.answers: dict[str, Pending] = {}
        self.loop_thread = threading.get_ident()

    def prepare(self, heavy: HeavyBody, pieces: list[Any]) -> str:
        assert threading.get_ident() != self.loop_thread
        self.done.append(f"prepare {heavy.request.id}")
        if heavy.request.id == "broken":
            raise RuntimeError("broken")
        pieces.extend([{}, {}])
        return heavy.request.id

    def execute(self, request: Request, prepared: str) -> Response | Pending:
        assert request.id == prepared
        self.done.append(f"execute {prepared}")
        self.answers[prepared] = Pending()
        return self.answers[prepared]

    def give_up(self, request: Request, error: BaseException | None) -> Response | Pending:
        self.done.append(f"give up {request.id}: {error!r}")
        return Response(500)


class _Bench:
    def __init__(self) -> None:
        self.pipeline = _Pipeline()
        self.heavy = HeavyRequests(Work(self.pipeline.prepare, self.pipeline.execute, self.pipeline.give_up))

    def add(self, name: str) -> Pending:
        answer = Pending()
        request = Request("POST", "/", {}, b"", id=name)
        self.heavy.add(HeavyBody(request, b"", None), answer)
        return answer


@pytest.fixture
def loop() -> Any:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_the_next_one_begins_when_the_one_before_is_answered(loop: asyncio.AbstractEventLoop) -> None:
    async def run() -> list[str]:
        bench = _Bench()
        first, second = bench.add("first"), bench.add("second")
        await until(lambda: "first" in bench.pipeline.answers)
        assert bench.pipeline.done == ["prepare first", "execute first"]
        bench.pipeline.answers["first"].settle(Response(200))
        assert (await first).status == 200
        await until(lambda: "second" in bench.pipeline.answers)
        bench.pipeline.answers["second"].settle(Response(201))
        assert (await second).status == 201
        return bench.pipeline.done

    expected = ["prepare first", "execute first", "prepare second", "execute second"]
    assert loop.run_until_complete(run()) == expected


def test_nothing_is_done_for_a_client_that_is_gone(loop: asyncio.AbstractEventLoop) -> None:
    async def run() -> list[str]:
        bench = _Bench()
        bench.add("first")
        gone = bench.add("gone")
        gone.abandoned = True
        last = bench.add("last")
        await until(lambda: "first" in bench.pipeline.answers)
        bench.pipeline.answers["first"].settle(Response(200))
        assert (await gone).status == 500
        await until(lambda: "last" in bench.pipeline.answers)
        bench.pipeline.answers["last"].settle(Response(200))
        await last
        return bench.pipeline.done

    done = loop.run_until_complete(run())
    assert done[2:] == ["give up gone: None", "prepare last", "execute last"]


def test_one_that_fails_does_not_stop_the_others(loop: asyncio.AbstractEventLoop) -> None:
    async def run() -> None:
        bench = _Bench()
        broken, last = bench.add("broken"), bench.add("last")
        assert (await broken).status == 500
        await until(lambda: "last" in bench.pipeline.answers)
        bench.pipeline.answers["last"].settle(Response(200))
        assert (await last).status == 200

    loop.run_until_complete(run())
