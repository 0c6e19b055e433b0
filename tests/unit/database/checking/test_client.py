"""A worker has a body checked by whoever reads the other end of the channel."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from blotter.database.checking.body_check import CheckResult, Refusal
from blotter.database.checking.channel import NO_TARGET, REQUEST, RESULT, Channel, make_channel
from blotter.database.checking.client import Checker, CheckFailed

BODY = b"x" * 3_000_000


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = make_channel()
    yield made
    made.close()


def _answering(channel: Channel, answer: Callable[[socket.socket], object]) -> threading.Thread:
    """What answers one request, on a thread."""

    def run() -> None:
        _, (descriptor,), _, _ = socket.recv_fds(channel.checks, 1, 1)
        with socket.socket(fileno=descriptor) as worker:
            answer(worker)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _read(worker: socket.socket) -> tuple[bytes, bytes]:
    with worker.makefile("rb") as stream:
        named, size = REQUEST.unpack(stream.read(REQUEST.size))
        return b"" if named == NO_TARGET else stream.read(named), stream.read(size)


def test_the_body_goes_there_and_the_result_comes_back(channel: Channel) -> None:
    result = CheckResult(Refusal("ValidationException", "m" * 2_000_000, 400, {"a": 1}, False), b"{}")
    seen = []

    def answer(worker: socket.socket) -> None:
        seen.append(_read(worker))
        encoded = msgspec.msgpack.encode(result)
        worker.sendall(RESULT.pack(len(encoded)) + encoded)

    thread = _answering(channel, answer)
    assert Checker(channel).check("a.b", BODY) == result
    thread.join()
    assert seen == [(b"a.b", BODY)]
    error = result.refusal.error() if result.refusal else None
    assert error is not None
    assert (error.code, error.status, error.members) == ("ValidationException", 400, {"a": 1})


@pytest.mark.parametrize("answer", [_read, lambda _: None], ids=["later", "at once"])
def test_a_process_that_dies_has_no_result(channel: Channel, answer: Callable[[socket.socket], object]) -> None:
    thread = _answering(channel, answer)
    with pytest.raises(CheckFailed):
        Checker(channel).check(None, BODY)
    thread.join()


def test_one_that_does_not_answer_is_not_waited_for_for_ever(channel: Channel) -> None:
    with pytest.raises(CheckFailed, match="a heavy body was not checked within 0 seconds"):
        Checker(channel, patience=0).check(None, BODY)


def test_nothing_is_checked_while_the_server_stops(channel: Channel) -> None:
    channel.closed[0] = 1
    assert Checker(channel).check(None, BODY) is None


def test_nobody_is_there_at_all(channel: Channel) -> None:
    channel.checks.close()
    with pytest.raises(CheckFailed, match="cannot be reached"):
        Checker(channel).check(None, BODY)
