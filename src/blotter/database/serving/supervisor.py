"""The parent process: forks the others, keeps them running, passes on signals, exits when they have ended.

It does nothing else: no event loop, no thread, no file of the data. It forks (not spawns), so that what is
imported is imported once and shared, and so must stay free of threads and of open databases. A process that dies
is replaced at once, and after growing pauses when it keeps dying soon after its start. One that sends no heartbeat
(stopped by a signal, or stuck) is killed and replaced: the kernel then releases its locks, which would stop all
writing. One that cannot start at all stops the server with its one-line reason. Children hold the end of a pipe
whose other end only the supervisor has: if the supervisor is killed, they notice, finish the requests in progress
and exit. Independent of DynamoDB.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from blotter.database.serving import logs

# A child alive this long is healthy: its next death starts the back-off anew.
_HEALTHY_AFTER = 10.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 5.0
# How often signs of life are looked for, at most.
_LOOK_EVERY = 5.0
# A silent process that uses less of a processor than this part does nothing at all.
_IDLE_SHARE = 0.02
# What children get beyond their own time to finish before they are killed.
_GRACE = 3.0

_READY = b"+"


class StartError(Exception):
    """Something outside the program is in the way of starting; the message is one line for the operator."""


class Link:
    """A child's connection to its supervisor. `lifeline` becomes readable when the supervisor is gone."""

    __slots__ = ("_beats", "_slot", "_status", "lifeline")

    def __init__(self, lifeline: int, status: int, beats: memoryview[int], slot: int) -> None:
        self.lifeline = lifeline
        self._status = status
        self._beats = beats
        self._slot = slot

    def ready(self) -> None:
        """Reports that this process is ready. From here on it has to call `alive` every few seconds."""
        os.write(self._status, _READY)

    def alive(self) -> None:
        """Sends a heartbeat: one write to memory that the supervisor shares."""
        self._beats[self._slot] += 1

    def failed(self, reason: str) -> None:
        os.write(self._status, reason.encode())


class Role(msgspec.Struct, frozen=True):
    """A process to keep running: `run` does its work and returns when it has to stop (SIGTERM, lifeline).
    `on_exit` runs in the supervisor after each of its ends. A `vital` process is not replaced: the server ends
    with it, because it held data that no other process has."""

    name: str
    run: Callable[[Link], None]
    on_exit: Callable[[], None] = lambda: None
    vital: bool = False


class _Child:
    __slots__ = (
        "beat",
        "beat_at",
        "beat_cpu",
        "delay",
        "hung",
        "pid",
        "ready",
        "restart_at",
        "role",
        "slot",
        "started",
        "status",
    )

    def __init__(self, role: Role, slot: int) -> None:
        self.role = role
        self.slot = slot
        self.beat = 0
        self.beat_at = 0.0
        self.beat_cpu = -1.0
        self.hung = False
        self.pid = 0
        self.status = -1
        self.ready = False
        self.started = 0.0
        self.restart_at = 0.0
        self.delay = _FIRST_DELAY


class Supervisor:
    """Runs roles until SIGTERM or SIGINT. `announce` is called once, when all are ready for the first time.
    `private` holds descriptors that children must not keep; the caller may empty it. A child without a sign of
    life for `hang_timeout` seconds is killed; 0: never. `reload` is called at SIGHUP; if it returns True, children
    get the signal too (until they handle it, they ignore it). Without it, SIGHUP ends the server.
    `replaced` is called for every child that ended by itself."""

    def __init__(
        self,
        roles: Sequence[Role],
        announce: Callable[[], None],
        stop_timeout: float,
        private: Sequence[int] = (),
        hang_timeout: float = 0.0,
        reload: Callable[[], bool] | None = None,
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = [_Child(role, slot) for slot, role in enumerate(roles)]
        self._beats = memoryview(mmap.mmap(-1, 8 * max(1, len(roles)))).cast("Q")
        self._hang_timeout = hang_timeout
        self._reload = reload
        self._replaced = replaced
        self._look_every = min(_LOOK_EVERY, hang_timeout / 4)
        self._looked_at = 0.0
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
        handled = [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]
        for number in handled if self._reload is None else (*handled, signal.SIGHUP):
            signal.signal(number, _ignored)
        gc.collect()
        gc.freeze()  # What was imported stays in pages the children share.
        for child in self._children:
            self._start(child)
        while self._step():
            pass
        if self._failure is not None:
            _log(self._failure)
        return 0 if self._failure is None else 1

    def _step(self) -> bool:
        """Waits for the next event and handles it; False when there is nothing left to supervise."""
        statuses = {child.status: child for child in self._children if child.status >= 0}
        readable, _, _ = select.select([self._wakeup, *statuses], [], [], self._timeout())
        for status in readable:
            if status != self._wakeup:
                self._read_status(statuses[status])
        if self._wakeup in readable:
            for number in os.read(self._wakeup, 512):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop(at_once=self._stopping)
                elif number == signal.SIGHUP and self._reload is not None and self._reload():
                    self._signal(signal.SIGHUP)
        self._reap()
        if self._stopping:
            if time.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)
            return any(child.pid for child in self._children)
        now = time.monotonic()
        for child in self._children:
            if not child.pid and now >= child.restart_at:
                self._start(child)
        if self._hang_timeout and now >= self._looked_at + self._look_every:
            self._check_heartbeats(now)
        return True

    def _check_heartbeats(self, now: float) -> None:
        """Kills children that have sent no heartbeat for too long. One that is not ready yet may take its time,
        unless it was stopped: it may hold the lock that lets only one process open the files."""
        # If this process did not run either (its group or its container was stopped), their silence means nothing.
        was_stopped = now - self._looked_at > 2 * self._look_every + 1
        self._looked_at = now
        for child in self._children:
            beat = self._beats[child.slot]
            if beat != child.beat or was_stopped or not (child.ready or _is_stopped(child.pid)):
                child.beat, child.beat_at, child.beat_cpu = beat, now, -1.0
                continue
            usage = process_usage(child.pid) if child.pid else None
            if child.beat_cpu < 0 and usage is not None:
                child.beat_cpu = usage[0]
            silent = now - child.beat_at
            if (
                child.pid
                and not child.hung
                and silent >= self._hang_timeout
                and self._is_hung(child, silent, usage)
            ):
                child.hung = True
                self._end_hung(child)

    def _is_hung(self, child: _Child, silent: float, usage: tuple[float, str] | None) -> bool:
        """Whether a silent child is stopped or stuck, not just slow.

        On an overloaded machine a healthy process may be silent for long, because it hardly runs: it is given time
        until it has used as much of a processor as a stuck one. One that waits for the disk is not helped by a
        replacement that would wait as well.
        """
        if usage is None:
            return True
        used, state = usage[0] - child.beat_cpu, usage[1]
        return state != "D" and (used < _IDLE_SHARE * silent or used >= self._hang_timeout)

    def _end_hung(self, child: _Child) -> None:
        silent = f"{child.role.name} (process {child.pid}) has sent no heartbeat for {self._hang_timeout:g} s"
        if child.role.vital:
            _log(f"{silent}; it is left alone, because its data are in memory only (--hang-timeout)")
            return
        _log(
            f"{silent}: it is stopped or stuck, and is killed, so that others can write. If this happens again, "
            "look at the machine's memory and disk, or raise --hang-timeout"
        )
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    def _timeout(self) -> float | None:
        """Seconds until something is due by time alone."""
        if self._stopping:
            return max(0.0, min(1.0, self._kill_at - time.monotonic()))
        due = [child.restart_at for child in self._children if not child.pid]
        if self._hang_timeout:
            due.append(self._looked_at + self._look_every)
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
            self._run_child(child.role, Link(self._lifeline, theirs, self._beats, child.slot))
        os.close(theirs)
        child.pid, child.status, child.ready, child.started = pid, status, False, time.monotonic()
        child.hung = False

    def _run_child(self, role: Role, link: Link) -> None:
        """In the child: does the role's work, then ends the process without returning."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Ctrl-C goes to the whole group of processes; the supervisor alone decides what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if self._reload is not None:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            for end in (self._life, self._wakeup, *self._private):
                os.close(end)
            with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
                comm.write(f"serve {role.name}"[:15])
            role.run(link)
            code = 0
        except StartError as error:
            link.failed(str(error))
        except BaseException as error:
            logs.failed(f"{role.name} failed")
            link.failed(f"{role.name} failed: {error!r}")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _read_status(self, child: _Child) -> None:
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
                _log(reason)
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
                self._read_status(child)
            child.pid = 0
            child.role.on_exit()
            if not self._stopping:
                self._handle_exit(child, os.waitstatus_to_exitcode(status))

    def _handle_exit(self, child: _Child, code: int) -> None:
        """A child ended by itself: replaces it, or stops the server if it never ran."""
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
        self._replaced()
        _log(f"{child.role.name} {how}; starting another")

    def _stop(self, at_once: bool = False) -> None:
        self._stopping = True
        self._kill_at = time.monotonic() + (0.0 if at_once else self._stop_timeout + _GRACE)
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)


def next_delay(delay: float, lived: float) -> float:
    """Seconds to wait before a child is replaced that lived for some seconds, after the last wait was `delay`."""
    return _FIRST_DELAY if lived >= _HEALTHY_AFTER else min(delay * 2, _LONGEST_DELAY)


def process_usage(pid: int) -> tuple[float, str] | None:
    """The processor seconds that a process has used and its state ("R", "S", "D", "T", …); None where the system
    does not provide them (proc(5) is Linux's)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), fields[0]


def _ignored(number: int, frame: object) -> None:
    """Signals are handled where `set_wakeup_fd` reports them."""


def _log(line: str) -> None:
    logs.say(line, "warning")


def _is_stopped(pid: int) -> bool:
    usage = process_usage(pid) if pid else None
    return usage is not None and usage[1] == "T"
