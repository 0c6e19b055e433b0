"""The supervisor with children controlled by the test, in a process of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import blotter
from blotter.database.serving.supervisor import Role, Supervisor, next_delay, process_usage

_PROGRAM = """
import os, select, signal, sys
from blotter.database.serving.supervisor import Role, StartError, Supervisor

def say(text):
    os.write(1, text.encode() + b"\\n")  # At once, whole: children print beside each other.

def steady(link):
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(theirs)
    link.ready()
    say("started")
    while not select.select([ours, link.lifeline], [], [], 0.05)[0]:
        link.alive()

def stubborn(link):
    signal.signal(signal.SIGTERM, lambda *_: say("asked"))
    link.ready()
    say("started")
    while True:
        signal.pause()

def hopeless(link):
    raise StartError("the disk is made of cheese")

def crashing(link):
    link.ready()
    os.read(0, 1)  # Until the test writes: only a child that was ready is replaced.
    os._exit(7)

def broken(link):
    raise ValueError("a bug")

def on_exit():
    say("gone")

roles = [
    Role(f"{name} {n}", globals()[name.removeprefix("vital ")], on_exit, name.startswith("vital "))
    for n, name in enumerate(sys.argv[3:], 1)
]
announce = lambda: say("ready")
sys.exit(Supervisor(roles, announce, float(sys.argv[1]), (), float(sys.argv[2])).run())
"""


class _Family:
    def __init__(self, directory: Path, *roles: str, stop_timeout: float = 30, hang_timeout: float = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(blotter.__file__).parents[1])}
        self.log = directory / "stderr"
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(stop_timeout), str(hang_timeout), *roles],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def read_lines(self, *expected: str) -> None:
        """Reads as many lines as are expected; children print in any order."""
        assert sorted(self.read_line() for _ in expected) == sorted(expected)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @property
    def errors(self) -> str:
        return self.log.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., _Family]:
    families: list[_Family] = []

    def begin(*roles: str, stop_timeout: float = 30, hang_timeout: float = 0) -> _Family:
        families.append(_Family(tmp_path, *roles, stop_timeout=stop_timeout, hang_timeout=hang_timeout))
        return families[-1]

    yield begin  # type: ignore[misc]
    for family in families:
        if family.process.poll() is None:
            os.killpg(family.process.pid, signal.SIGKILL)
        family.process.wait()
        for stream in (family.process.stdin, family.process.stdout):
            assert stream is not None
            stream.close()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _wait_for_end(pid: int) -> None:
    """Waits for a process that is no child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_are_started_and_stopped(start: Callable[..., _Family], number: signal.Signals) -> None:
    family = start("steady", "steady")
    family.read_lines("started", "started", "ready")
    children = family.children()
    assert len(children) == 2
    family.process.send_signal(number)
    assert family.process.wait(30) == 0
    assert all(_is_gone(child) for child in children)
    assert family.errors == ""


def test_ctrl_c_in_a_terminal_reaches_the_children_too_and_is_left_to_the_supervisor(
    start: Callable[..., _Family],
) -> None:
    family = start("steady")
    family.read_lines("started", "ready")
    os.killpg(family.process.pid, signal.SIGINT)
    assert family.process.wait(30) == 0
    assert family.errors == ""


def test_a_killed_child_is_replaced(start: Callable[..., _Family]) -> None:
    family = start("steady", "steady")
    family.read_lines("started", "started", "ready")
    victim, survivor = family.children()
    os.kill(victim, signal.SIGKILL)
    family.read_lines("gone", "started")
    assert survivor in family.children()
    assert victim not in family.children()
    assert family.errors == "blotter serve: steady 1 was killed by SIGKILL; starting another\n"
    family.process.terminate()
    assert family.process.wait(30) == 0


def test_one_that_keeps_dying_is_replaced_every_time(start: Callable[..., _Family]) -> None:
    family = start("crashing", "steady")
    family.read_lines("started", "ready")
    for _ in range(3):
        assert family.process.stdin is not None
        family.process.stdin.write(b"x")
        family.process.stdin.flush()
        assert family.read_line() == "gone"
    assert "crashing 1 exited with status 7; starting another" in family.errors


def test_a_stopped_child_is_killed_and_replaced(start: Callable[..., _Family]) -> None:
    family = start("steady", "steady", hang_timeout=2)
    family.read_lines("started", "started", "ready")
    victim, survivor = family.children()
    os.kill(victim, signal.SIGSTOP)
    family.read_lines("gone", "started")
    assert _is_gone(victim)
    assert survivor in family.children()
    assert f"steady 1 (process {victim}) has sent no heartbeat for 2 s: it is stopped or stuck" in family.errors
    assert "steady 2" not in family.errors
    family.process.terminate()
    assert family.process.wait(30) == 0


def test_a_stuck_child_is_killed_and_replaced(start: Callable[..., _Family]) -> None:
    family = start("stubborn", hang_timeout=1)
    family.read_lines("started", "ready")
    family.read_lines("gone", "started")
    assert "(--hang-timeout)" not in family.errors
    assert "starting another" in family.errors


def test_a_child_whose_data_are_in_memory_is_left_alone(start: Callable[..., _Family]) -> None:
    family = start("vital stubborn", "stubborn", hang_timeout=1)
    family.read_lines("started", "started", "ready")
    family.read_lines("gone", "started")  # The other one.
    family.read_lines("gone", "started")
    assert family.errors.count("vital stubborn 1") == 1
    assert "it is left alone, because its data are in memory only" in family.errors


@pytest.mark.parametrize("stopped", [False, True])
def test_a_child_that_starts_may_take_its_time_unless_it_was_stopped(stopped: bool) -> None:
    process = subprocess.Popen(["sleep", "600"])
    try:
        if stopped:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
        supervisor = Supervisor([Role("worker", lambda _link: None)], lambda: None, 1, (), 20)
        (child,) = supervisor._children
        child.pid = process.pid
        for second in range(100, 130):
            supervisor._check_heartbeats(float(second))
        assert child.hung == stopped
        if stopped:
            assert process.wait(30) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


def test_children_are_not_killed_when_the_supervisor_was_stopped_itself() -> None:
    """A paused container, a suspended group of processes: after that all look silent."""
    supervisor = Supervisor([Role("worker", lambda _link: None)], lambda: None, 1, (), 20)
    (child,) = supervisor._children
    child.pid, child.ready = -1, True
    supervisor._check_heartbeats(100.0)
    supervisor._check_heartbeats(105.0)
    supervisor._check_heartbeats(200.0)
    assert not child.hung
    assert child.beat_at == 200.0


@pytest.mark.parametrize(
    ("used", "state", "hung"),
    [
        (0.0, "T", True),  # stopped
        (0.1, "S", True),  # waits for something that does not come
        (25.0, "R", True),  # runs in circles
        (5.0, "R", False),  # hardly gets to run
        (0.0, "D", False),  # waits for the disk
    ],
)
def test_slow_is_not_stuck(used: float, state: str, hung: bool) -> None:
    supervisor = Supervisor([Role("worker", lambda _link: None)], lambda: None, 1, (), 20)
    (child,) = supervisor._children
    child.beat_cpu = 100.0
    assert supervisor._is_hung(child, 21.0, (100.0 + used, state)) is hung
    assert supervisor._is_hung(child, 21.0, None)


def test_what_a_process_uses() -> None:
    usage = process_usage(os.getpid())
    assert usage is not None
    assert usage[0] > 0
    assert usage[1] == "R"
    assert process_usage(2**22 + 1) is None


def test_the_young_dead_are_replaced_ever_more_slowly() -> None:
    delays = [0.05]
    for _ in range(10):
        delays.append(next_delay(delays[-1], lived=1.0))
    assert delays == sorted(delays)
    assert delays[3] == 0.4
    assert delays[-1] == 5.0
    assert next_delay(5.0, lived=60.0) == 0.05


def test_one_that_cannot_start_ends_everything_with_its_reason(start: Callable[..., _Family]) -> None:
    family = start("steady", "hopeless", "hopeless")
    assert family.process.wait(30) == 1
    assert family.errors == "blotter serve: the disk is made of cheese\n"


def test_a_bug_is_shown_with_its_traceback(start: Callable[..., _Family]) -> None:
    family = start("broken")
    assert family.process.wait(30) == 1
    assert "Traceback" in family.errors
    assert family.errors.endswith("blotter serve: broken 1 failed: ValueError('a bug')\n")


def test_children_leave_when_the_supervisor_is_killed(start: Callable[..., _Family]) -> None:
    family = start("steady", "steady")
    family.read_lines("started", "started", "ready")
    children = family.children()
    family.process.kill()
    for child in children:
        _wait_for_end(child)


def test_a_child_that_does_not_leave_is_killed_when_its_time_is_over(start: Callable[..., _Family]) -> None:
    family = start("steady", "stubborn", stop_timeout=-2.9)
    family.read_lines("started", "started", "ready")
    family.process.terminate()
    assert family.process.wait(30) == 0


def test_a_second_signal_does_not_wait(start: Callable[..., _Family]) -> None:
    family = start("stubborn", stop_timeout=600)
    family.read_lines("started", "ready")
    family.process.terminate()
    assert family.read_line() == "asked"
    assert family.process.poll() is None
    family.process.terminate()
    assert family.process.wait(30) == 0
