"""The process that checks heavy bodies for all workers of a server, one after another.

Each body is checked in a process forked for it, with limits on its memory and its processor time: whatever a body
does to it, the next one is checked by a process that knows nothing of it, and all memory is given back. It runs
with a low priority, because others pay for every body that is refused. It has no thread, opens no store and writes
nothing. `channel` says how workers reach it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import select
import signal
import socket
from types import FrameType
from typing import Protocol

import msgspec

from blotter.database.checking.body_check import check_body
from blotter.database.checking.channel import NO_TARGET, REQUEST, RESULT, Channel

log = logging.getLogger(__name__)

CPU_SECONDS = 30
"""Processor time for one body; the worst ones known take 3 seconds."""
MEMORY = 1536 * 1024 * 1024
"""Address space for one body, beyond what the process has; the worst ones known take 1 GB."""
_NICE = 5
_BEAT_SECONDS = 1.0
_BUFFER = 1024 * 1024
_MOST_BYTES = 64 * 1024 * 1024
"""More than a worker ever sends."""


class Link(Protocol):
    """The connection to the supervisor (`serving.supervisor.Link`)."""

    @property
    def lifeline(self) -> int: ...
    def ready(self) -> None: ...
    def alive(self) -> None: ...


class _Stopped(Exception):
    """SIGTERM has come."""


def run(channel: Channel, link: Link) -> None:
    """Checks bodies until SIGTERM comes or the supervisor is gone."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(_Stopped):
        signal.signal(signal.SIGTERM, _stop)
        link.ready()
        checks = channel.checks.fileno()
        while True:
            link.alive()
            readable, _, _ = select.select([checks, link.lifeline], [], [], _BEAT_SECONDS)
            if link.lifeline in readable:
                break
            if readable:
                _check_next(channel, link)
    channel.closed[0] = 1


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


def _check_next(channel: Channel, link: Link) -> None:
    _, descriptors, _, _ = socket.recv_fds(channel.checks, 1, 1)
    for descriptor in descriptors:
        with socket.socket(fileno=descriptor) as worker:
            try:
                _check_in_child(worker, link)
            except OSError as error:
                log.error("a heavy body cannot be checked: no process could be started for it: %s", error)


def _check_in_child(worker: socket.socket, link: Link) -> None:
    """Returns when the process that checks has ended. When it ended without a result, the worker notices that."""
    ended, ends = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(worker)
        os.close(ends)
        ends = -1
        while not select.select([ended], [], [], _BEAT_SECONDS)[0]:
            link.alive()
        _, status = os.waitpid(pid, 0)
    finally:
        for end in (ended, ends):
            if end >= 0:
                os.close(end)
    if status:
        code = os.waitstatus_to_exitcode(status)
        how = f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        log.error("a process that checked a heavy body %s; its request is answered with status 500", how)


def _be_child(worker: socket.socket) -> None:
    """Checks one body and ends the process."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _limit()
        gc.disable()  # Nothing stays for long, and a collection would look at a million values.
        _converse(worker)
        code = 0
    except (ConnectionError, _Stopped):  # The worker is gone, or the server stops.
        code = 0
    except BaseException:
        log.exception("a heavy body could not be checked")
    finally:
        os._exit(code)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, CPU_SECONDS)
    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:  # Linux only
        used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _lower(resource.RLIMIT_AS, used + MEMORY)


def _lower(limit: int, wanted: int) -> None:
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(limit, (wanted, hard))


def _converse(worker: socket.socket) -> None:
    named, size = REQUEST.unpack(_receive(worker, REQUEST.size))
    target = None if named == NO_TARGET else _receive(worker, named).decode("latin-1")
    result = msgspec.msgpack.encode(check_body(target, _receive(worker, size)))
    worker.sendall(RESULT.pack(len(result)) + result)


def _receive(worker: socket.socket, size: int) -> bytes:
    if size > _MOST_BYTES:
        raise ValueError(f"a worker announced {size} bytes")
    received = bytearray(size)
    left = memoryview(received)
    while left:
        count = worker.recv_into(left, min(len(left), _BUFFER))
        if count == 0:
            raise ConnectionError("the worker is gone")
        left = left[count:]
    return bytes(received)
