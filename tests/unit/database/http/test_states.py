"""The states of a connection: it makes the transitions of the table, all and no others, and the drawing shows
them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.http.connection import Connection
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.http.server import HttpServer
from blotter.database.http.states import TRANSITIONS, State, diagram
from tests.examples import examples
from tests.unit.database.http.iterations import iterate
from tests.unit.database.http.transport import Transport

PAGE = Path(__file__).parents[4] / "docs" / "architecture" / "connection.md"
HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
HALF = b"POST / HT"


class _Watched(Connection):
    """Records its transitions, and fails at one that the table does not have."""

    __slots__ = ("seen",)

    def __init__(self, host: HttpServer) -> None:
        self.seen: list[tuple[State, State]] = []
        super().__init__(host)

    def _enter(self, state: State) -> None:
        step = (self._state, state)
        if state is not self._state or step in TRANSITIONS:
            assert step in TRANSITIONS, f"{step[0].name} → {step[1].name} is not in the table"
            self.seen.append(step)
        super()._enter(state)


class _Bench:
    """A connection whose handler answers at once, or later for the body "wait"."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waiting: list[Pending] = []
        self.server = HttpServer(self._handle, Limits(), clock=lambda: self.now)
        self._transport = Transport()
        self.connection = _Watched(self.server)
        self.connection.connection_made(self._transport)  # type: ignore[arg-type]

    @property
    def transport(self) -> Transport:
        """The transport, at the end of an iteration of the loop."""
        self.server.outbox.flush()
        return self._transport

    def _handle(self, request: Request) -> Response | Pending:
        if request.body != b"wait":
            return Response(200, request.body)
        self.waiting.append(Pending())
        return self.waiting[-1]

    def send(self, data: bytes) -> None:
        if not self.transport.closed and not self.transport.aborted:
            self.connection.data_received(data)

    def settle(self) -> None:
        if self.waiting:
            self.waiting.pop(0).settle(Response(200, b"late"))

    def block(self) -> None:
        if self.connection._writable and self.connection._state is not State.CLOSED:
            self.connection.pause_writing()

    def unblock(self) -> None:
        if not self.connection._writable and self.connection._state is not State.CLOSED:
            self.connection.resume_writing()

    def tick(self) -> None:
        self.now += 61
        self.server.tick()

    def lose(self) -> None:
        if self.connection._state is not State.CLOSED:
            self.connection.connection_lost(None)


STEPS: dict[str, Callable[[_Bench], None]] = {
    "half a head": lambda bench: bench.send(HALF),
    "its rest": lambda bench: bench.send(HEAD[len(HALF) :]),
    "a head": lambda bench: bench.send(HEAD),
    "a body": lambda bench: bench.send(b"body"),
    "a body to wait for": lambda bench: bench.send(b"wait"),
    "a request": lambda bench: bench.send(HEAD + b"body"),
    "a request to wait for": lambda bench: bench.send(HEAD + b"wait"),
    "two requests": lambda bench: bench.send((HEAD + b"body") * 2),
    "a request and half a head": lambda bench: bench.send(HEAD + b"body" + HALF),
    "a request and a head": lambda bench: bench.send(HEAD + b"body" + HEAD),
    "nonsense": lambda bench: bench.send(b"nonsense\r\n\r\n"),
    "answer": _Bench.settle,
    "block": _Bench.block,
    "unblock": _Bench.unblock,
    "time": _Bench.tick,
    "drain": lambda bench: bench.connection.drain(),
    "lost": _Bench.lose,
}

# Enough to make every transition of the table at least once.
ROUNDS = [
    ["half a head", "its rest", "a body", "lost"],
    ["half a head", "time", "lost"],
    ["half a head", "block", "unblock", "lost"],
    ["a head", "block", "unblock", "a body to wait for", "answer", "two requests", "nonsense", "lost"],
    ["a head", "time", "lost"],
    ["a head", "lost"],
    ["half a head", "lost"],
    ["half a head", "its rest", "nonsense"],
    ["half a head", "its rest", "a body", "a request to wait for", "lost"],
    ["half a head", "block", "its rest", "a body", "unblock"],
    [*["a request and half a head", "its rest", "a body"], *["a request and a head", "a body"]],
    ["a request to wait for", "block", "answer", "unblock", "a request to wait for", "nonsense", "answer"],
    ["block", "a request", "unblock", "block", "nonsense", "unblock", "lost"],
    ["block", "time", "lost"],
    ["block", "half a head", "unblock", "lost"],
    ["block", "a head", "unblock", "lost"],
    ["half a head", "block", "its rest", "unblock"],
    ["half a head", "its rest", "a body", "drain", "lost"],
]


def _play(steps: list[str]) -> list[tuple[State, State]]:
    async def work() -> list[tuple[State, State]]:
        bench = _Bench()
        for step in steps:
            STEPS[step](bench)
            await iterate(3)
        return bench.connection.seen

    return asyncio.run(work())


def test_every_transition_of_the_table_is_made() -> None:
    made = {step for steps in ROUNDS for step in _play(steps)}
    # A whole head in the head's own state needs its end and its request in two pieces.
    made |= set(_play_pieces(HEAD[:20], HEAD[20:], b"body"))
    made |= set(_play_pieces(HEAD[:20], HEAD[20:] + b"body"))
    missing = {f"{before.name} → {after.name}" for before, after in set(TRANSITIONS) - made}
    assert not missing


def _play_pieces(*pieces: bytes) -> list[tuple[State, State]]:
    async def work() -> list[tuple[State, State]]:
        bench = _Bench()
        for piece in pieces:
            bench.send(piece)
            await iterate(3)
        return bench.connection.seen

    return asyncio.run(work())


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_no_other_transition_is_made_whatever_happens(steps: list[str]) -> None:
    _play(steps)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.sampled_from(sorted(set(STEPS) - {"lost"})), max_size=12))
def test_nothing_of_the_memory_budget_is_lost(steps: list[str]) -> None:
    async def work() -> None:
        bench = _Bench()
        for step in steps:
            STEPS[step](bench)
            await iterate(3)
        bench.lose()
        for _ in range(len(bench.waiting)):
            bench.settle()
        assert bench.server.budget.used == 0
        assert bench.server.budget.decoded == 0
        assert bench.server.connections == set()

    asyncio.run(work())


def test_the_drawing_is_made_from_the_table() -> None:
    """docs/architecture/connection.md holds what `diagram()` makes: paste it there after a change."""
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text("utf-8")


def test_a_closed_connection_stays_closed() -> None:
    assert not [step for step in TRANSITIONS if step[0] is State.CLOSED]


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_in_the_table(state: State) -> None:
    assert any(state in step for step in TRANSITIONS)
