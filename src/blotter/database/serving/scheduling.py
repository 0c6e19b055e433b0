"""What the processes of a server ask of Linux's scheduler: those that answer requests run before the one that does
long work in the background.

All have the same share of the processors, so that nobody is starved: the background process may hold the write
lock, and then all writers wait for it. They ask for it in pieces of different length (`sched_runtime` of
sched_setattr(2), since Linux 6.12; older ones ignore it): who asks for a shorter piece is run before one who asks
for a longer one, and interrupts it. Otherwise a process that wakes up waits until the piece of the running one
ends, 1.4 ms or more. Needs no privileges; without effect elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress
from typing import Final

_SYSTEM_CALLS: Final = {"x86_64": 314, "aarch64": 274}
"""The number of sched_setattr, which neither Python nor most C libraries offer, by machine."""
_LONG_PIECE: Final = 5_000_000
"""Nanoseconds; longer than those of processes that ask for nothing, 1.4 ms on two cores and 2.8 on eight or more.
Not longer than needed: the longer the piece, the later it may come where all processors are busy."""
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQII")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, two clamps of utilization."""


def run_after_others() -> None:
    """This process computes for long. It interrupts no other one, and others interrupt it."""
    with suppress(AttributeError, OSError):  # only Linux has it, and some sandboxes forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        _ask_for_long_pieces()


def _ask_for_long_pieces() -> None:
    """For the calling thread and those that it starts. Raises OSError."""
    number = _SYSTEM_CALLS.get(os.uname().machine)
    if sys.platform != "linux" or number is None or sys.maxsize < 1 << 32:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_BATCH, 0, nice, 0, _LONG_PIECE, 0, 0, 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(ctypes.c_long(number), 0, attributes, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_setattr")
