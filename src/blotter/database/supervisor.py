"""The parent process: forks the others, keeps them running, passes on signals, leaves when they are gone.

It does nothing else: no event loop, no thread, no file of the data. It forks (not spawns), so that what is
imported is imported once and shared, and so must stay free of threads and of open databases. A process that dies
is replaced at once, and ever more slowly when it keeps dying young. One that cannot start at all stops the server
with its one-line reason. Children hold the end of a pipe whose other end only the supervisor has: if the
supervisor is killed, they notice, finish what is under way and leave. Knows no DynamoDB.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence

import msgspec

# A child alive this long is healthy: its next death starts the back-off anew.
_HEALTHY_AFTER = 10.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 5.0
# What children get beyond their own time to finish before they are killed.
_GRACE = 3.0

_READY = b"+"


class StartError(Exception):
    """Something outside the program is in the way of starting; the message is one line for the operator."""


class Post:
    """What a child has of its supervisor. `lifeline` turns readable when the supervisor is gone."""

    __slots__ = ("_status", "lifeline")

    def __init__(self, lifeline: int, status: int) -> None:
        self.lifeline = lifeline
        self._status = status

    def ready(self) -> None:
        """Says that this process does its work now."""
        os.write(self._status, _READY)

    def failed(self, reason: str) -> None:
        os.write(self._status, reason.encode())


class Role(msgspec.Struct, frozen=True):
    """A process to keep running: `run` does its work and returns when told to stop (SIGTERM, lifeline).
    `buried` runs in the supervisor after each of its deaths. A `vital` process is not replaced: the server ends
    with it, because it held what no other process has."""

    name: str
    run: Callable[[Post], None]
    buried: Callable[[], None] = lambda: None
    vital: bool = False


class _Child:
    __slots__ = ("delay", "pid", "ready", "restart_at", "role", "started", "status")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.pid = 0
        self.status = -1
        self.ready = False
        self.started = 0.0
        self.restart_at = 0.0
        self.delay = _FIRST_DELAY


class Supervisor:
    """Runs roles until a signal says stop. `announce` is called once, when all are ready for the first time.
    `private` holds descriptors that children must not keep; the caller may empty it."""

    def __init__(
        self,
        roles: Sequence[Role],
        announce: Callable[[], None],
        stop_timeout: float,
        private: Sequence[int] = (),
    ) -> None:
        self._children = [_Child(role) for role in roles]
        self._announce = announce
        self._stop_timeout = stop_timeout
        self._private = private
        self._announced = False
        self._stopping = False
        self._failure: str | None = None
        self._kill_at = 0.0

    def run(self) -> int:
        """Starts everything and stays until it has ended; returns the exit status."""
        self._lifeline, self._life = os.pipe()
        self._wakeup, wakeup = os.pipe()
        for end in (self._wakeup, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, _noted)
        gc.collect()
        gc.freeze()  # What was imported stays in pages the children share.
        for child in self._children:
            self._start(child)
        while self._step():
            pass
        if self._failure is not None:
            _say(self._failure)
        return 0 if self._failure is None else 1

    def _step(self) -> bool:
        """Waits for the next thing to happen and sees to it; False when there is nothing left to supervise."""
        statuses = {child.status: child for child in self._children if child.status >= 0}
        readable, _, _ = select.select([self._wakeup, *statuses], [], [], self._patience())
        for status in readable:
            if status != self._wakeup:
                self._hear(statuses[status])
        if self._wakeup in readable:
            for number in os.read(self._wakeup, 512):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop(impatient=self._stopping)
        self._reap()
        if self._stopping:
            if time.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)
            return any(child.pid for child in self._children)
        now = time.monotonic()
        for child in self._children:
            if not child.pid and now >= child.restart_at:
                self._start(child)
        return True

    def _patience(self) -> float | None:
        """Seconds until something is due by time alone."""
        if self._stopping:
            return max(0.0, min(1.0, self._kill_at - time.monotonic()))
        due = [child.restart_at for child in self._children if not child.pid]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, child: _Child) -> None:
        status, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(status)
            for other in self._children:
                if other.status >= 0:
                    os.close(other.status)
            self._become(child.role, Post(self._lifeline, theirs))
        os.close(theirs)
        child.pid, child.status, child.ready, child.started = pid, status, False, time.monotonic()

    def _become(self, role: Role, post: Post) -> None:
        """In the child: does the role's work, then ends the process without returning."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Ctrl-C goes to the whole group of processes; the supervisor alone decides what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for end in (self._life, self._wakeup, *self._private):
                os.close(end)
            with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
                comm.write(f"serve {role.name}"[:15])
            role.run(post)
            code = 0
        except StartError as error:
            post.failed(str(error))
        except BaseException as error:
            traceback.print_exc()
            post.failed(f"{role.name} failed: {error!r}")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, child: _Child) -> None:
        message = os.read(child.status, 4096)
        if not message:
            os.close(child.status)
            child.status = -1
        elif message == _READY:
            child.ready = True
            if not self._announced and all(other.ready for other in self._children):
                self._announced = True
                self._announce()
        else:
            reason = message.removeprefix(_READY).decode(errors="replace")
            if self._announced:
                _say(reason)
            elif self._failure is None:
                self._failure = reason

    def _reap(self) -> None:
        for child in self._children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            while child.status >= 0:
                self._hear(child)
            child.pid = 0
            child.role.buried()
            if not self._stopping:
                self._mourn(child, os.waitstatus_to_exitcode(status))

    def _mourn(self, child: _Child, code: int) -> None:
        """A child died unasked: replaces it, or gives up if it never ran."""
        how = f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        if not self._announced:
            self._failure = self._failure or f"{child.role.name} {how} while starting"
            self._stop()
            return
        if child.role.vital:
            self._failure = f"{child.role.name} {how}; its data were in memory and are gone"
            self._stop()
            return
        child.delay = next_delay(child.delay, time.monotonic() - child.started)
        child.restart_at = time.monotonic() + child.delay
        _say(f"{child.role.name} {how}; starting another")

    def _stop(self, impatient: bool = False) -> None:
        self._stopping = True
        self._kill_at = time.monotonic() + (0.0 if impatient else self._stop_timeout + _GRACE)
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)


def next_delay(delay: float, lived: float) -> float:
    """Seconds to wait before a child is replaced that lived for some seconds, after the last wait was `delay`."""
    return _FIRST_DELAY if lived >= _HEALTHY_AFTER else min(delay * 2, _LONGEST_DELAY)


def _noted(number: int, frame: object) -> None:
    """Signals are handled where `set_wakeup_fd` reports them."""


def _say(line: str) -> None:
    print(f"blotter serve: {line}", file=sys.stderr, flush=True)
