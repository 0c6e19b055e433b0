"""The supervisor with children that do as the test says, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import blotter
from blotter.database.supervisor import next_delay

_PROGRAM = """
import os, select, signal, sys, time
from blotter.database.supervisor import Role, StartError, Supervisor

def steady(post):
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(theirs)
    post.ready()
    select.select([ours, post.lifeline], [], [])

def stubborn(post):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    post.ready()
    time.sleep(600)

def hopeless(post):
    raise StartError("the disk is made of cheese")

def crashing(post):
    post.ready()
    time.sleep(0.02)
    os._exit(7)

def broken(post):
    raise ValueError("a bug")

def buried():
    print("buried", flush=True)

roles = [Role(f"{name} {n}", globals()[name], buried) for n, name in enumerate(sys.argv[2:], 1)]
sys.exit(Supervisor(roles, lambda: print("ready", flush=True), float(sys.argv[1])).run())
"""


class _Family:
    def __init__(self, directory: Path, *roles: str, stop_timeout: float = 30) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(blotter.__file__).parents[1])}
        self.log = directory / "stderr"
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(stop_timeout), *roles],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @property
    def errors(self) -> str:
        return self.log.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., _Family]:
    families: list[_Family] = []

    def begin(*roles: str, stop_timeout: float = 30) -> _Family:
        families.append(_Family(tmp_path, *roles, stop_timeout=stop_timeout))
        return families[-1]

    yield begin  # type: ignore[misc]
    for family in families:
        if family.process.poll() is None:
            os.killpg(family.process.pid, signal.SIGKILL)
        family.process.wait()
        assert family.process.stdout is not None
        family.process.stdout.close()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_are_started_and_stopped(start: Callable[..., _Family], number: signal.Signals) -> None:
    family = start("steady", "steady")
    assert family.read_line() == "ready"
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
    assert family.read_line() == "ready"
    os.killpg(family.process.pid, signal.SIGINT)
    assert family.process.wait(30) == 0
    assert family.errors == ""


def test_a_killed_child_is_replaced(start: Callable[..., _Family]) -> None:
    family = start("steady", "steady")
    assert family.read_line() == "ready"
    victim, survivor = family.children()
    os.kill(victim, signal.SIGKILL)
    assert family.read_line() == "buried"
    _until(lambda: len(family.children()) == 2)
    assert survivor in family.children()
    assert victim not in family.children()
    assert family.errors == "blotter serve: steady 1 was killed by SIGKILL; starting another\n"
    family.process.terminate()
    assert family.process.wait(30) == 0


def test_one_that_keeps_dying_is_replaced_every_time(start: Callable[..., _Family]) -> None:
    family = start("crashing", "steady")
    assert family.read_line() == "ready"
    for _ in range(3):
        assert family.read_line() == "buried"
    assert "crashing 1 exited with status 7; starting another" in family.errors


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
    assert family.read_line() == "ready"
    children = family.children()
    family.process.kill()
    _until(lambda: all(_is_gone(child) for child in children))


def test_a_child_that_does_not_leave_is_killed_when_its_time_is_over(start: Callable[..., _Family]) -> None:
    family = start("steady", "stubborn", stop_timeout=-2.9)
    assert family.read_line() == "ready"
    family.process.terminate()
    assert family.process.wait(30) == 0


def test_a_second_signal_does_not_wait(start: Callable[..., _Family]) -> None:
    family = start("stubborn", stop_timeout=600)
    assert family.read_line() == "ready"
    family.process.terminate()
    time.sleep(0.1)
    assert family.process.poll() is None
    family.process.terminate()
    assert family.process.wait(30) == 0
