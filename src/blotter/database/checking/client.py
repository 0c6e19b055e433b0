"""Has heavy bodies checked. Called on a thread; the interpreter's lock is free while it waits."""

from __future__ import annotations

import socket
import time

import msgspec

from blotter.database.checking.body_check import CheckResult
from blotter.database.checking.channel import NO_TARGET, REQUEST, RESULT, Channel

_PATIENCE = 120.0
"""Seconds to wait for a result, while requests of other workers are checked too."""
_LOOK_EVERY = 0.2
_BUFFER = 1024 * 1024


class CheckFailed(Exception):
    """A body could not be checked: the process died of it, took too long or could not be reached."""


class _Closed(Exception):
    """Nothing is checked any more, because the server stops."""


class Checker:
    """One worker's access to the process that checks. `patience`: how many seconds it waits for a result."""

    def __init__(self, channel: Channel, patience: float = _PATIENCE) -> None:
        self._channel = channel
        self._patience = patience

    def check(self, target: str | None, body: bytes) -> CheckResult | None:
        """What `body_check.check_body` returns; None when nothing is checked any more because the server stops.
        Raises CheckFailed."""
        ours, theirs = socket.socketpair()
        try:
            with ours:
                with theirs:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                    ours.settimeout(_LOOK_EVERY)
                    socket.send_fds(self._channel.requests, [b"+"], [theirs.fileno()], socket.MSG_DONTWAIT)
                return _Conversation(self._channel, ours, self._patience).result(target, body)
        except _Closed:
            return None
        except OSError as error:
            raise CheckFailed(f"the process that checks heavy bodies cannot be reached: {error}") from None


class _Conversation:
    """One request to the process, which may have others before it."""

    def __init__(self, channel: Channel, ours: socket.socket, patience: float) -> None:
        self._closed = channel.closed
        self._socket = ours
        self._patience = patience
        self._deadline = time.monotonic() + patience

    def result(self, target: str | None, body: bytes) -> CheckResult:
        named = b"" if target is None else target.encode("latin-1")
        self._send(REQUEST.pack(NO_TARGET if target is None else len(named), len(body)) + named)
        self._send(body)
        (size,) = RESULT.unpack(self._receive(RESULT.size))
        return msgspec.msgpack.decode(self._receive(size), type=CheckResult)

    def _send(self, part: bytes) -> None:
        left = memoryview(part)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except TimeoutError:
                self._look()

    def _receive(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            try:
                part = self._socket.recv(min(size, _BUFFER))
            except TimeoutError:
                self._look()
                continue
            if not part:
                raise CheckFailed("the process that checked a heavy body ended without a result")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _look(self) -> None:
        """Raises what ends the wait for the process."""
        if self._closed[0]:
            raise _Closed
        if time.monotonic() > self._deadline:
            raise CheckFailed(f"a heavy body was not checked within {self._patience:g} seconds")
