"""Two machines in one: network namespaces with a wire between them that tests can cut.

A cut wire swallows packets, as a switch that has failed does: both ends believe in a neighbor that is not there,
and nobody is told. Needs the rights of root and `ip`; `are_allowed` says whether they are there. A namespace
belongs to a thread, and to the processes that it starts.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_NET = 0x40000000  # CLONE_NEWNET
_NOBODY = "02:00:00:00:00:01"  # A hardware address that no machine has.


class TwoSides:
    """Namespaces "left" and "right", with an `address` each."""

    def __init__(self, left: str, right: str) -> None:
        self.addresses = {left: "10.213.0.1", right: "10.213.0.2"}
        self._names = {side: f"blotter-{os.getpid()}-{side}" for side in self.addresses}
        self._devices = {side: f"bl{os.getpid()}{number}" for number, side in enumerate(self.addresses)}

    def make(self) -> None:
        for name in self._names.values():
            _ip("netns", "add", name)
        left, right = self._devices.values()
        _ip("link", "add", left, "type", "veth", "peer", "name", right)
        for side, name in self._names.items():
            _ip("link", "set", self._devices[side], "netns", name)
            _ip("-n", name, "address", "add", f"{self.addresses[side]}/24", "dev", self._devices[side])
            _ip("-n", name, "link", "set", self._devices[side], "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def remove(self) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def cut(self) -> None:
        self._on_neighbors("replace", "lladdr", _NOBODY, "nud", "permanent")

    def heal(self) -> None:
        self._on_neighbors("delete")

    def _on_neighbors(self, command: str, *details: str) -> None:
        for side, name in self._names.items():
            (neighbor,) = (address for other, address in self.addresses.items() if other != side)
            _ip("-n", name, "neighbor", command, neighbor, *details, "dev", self._devices[side])

    def enter(self, side: str) -> None:
        """Moves the thread that calls it."""
        _enter(self._names[side])

    def run(self, side: str, work: Callable[[], T]) -> T:
        """Runs `work` in a thread inside; its sockets and the processes that it starts stay there."""
        results: list[T] = []
        failures: list[BaseException] = []

        def inside() -> None:
            try:
                self.enter(side)
                results.append(work())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return results[0]


def _enter(name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/var/run/netns", name).open() as file:
        if libc.setns(file.fileno(), _NET) != 0:
            raise OSError(ctypes.get_errno(), f"the namespace {name} cannot be entered")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PermissionError(f"ip {' '.join(arguments)}: {done.stderr}")


def are_allowed() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    trial = TwoSides("try-left", "try-right")
    try:
        trial.make()
        trial.cut()
    except PermissionError:
        return False
    finally:
        trial.remove()
    return True


@contextmanager
def two_sides(left: str, right: str) -> Iterator[TwoSides]:
    """Namespaces of these names that are gone after the `with`."""
    sides = TwoSides(left, right)
    try:
        sides.make()
        yield sides
    finally:
        sides.remove()
