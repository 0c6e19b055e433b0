"""Between the workers of a server and the process that checks heavy bodies: made before they are forked.

A worker sends one end of a new pair of sockets through `requests`, and converses over the other with the process
that got it:

    worker → the lengths of the target header and of the body, then both
    worker ← the length of the result, then the result as MessagePack

So nothing is left of a conversation that was interrupted, and requests that wait are served by the process that
replaces one that died.
"""

from __future__ import annotations

import mmap
import socket
import struct
from typing import NamedTuple

REQUEST = struct.Struct("!IQ")
RESULT = struct.Struct("!Q")
NO_TARGET = 0xFFFFFFFF
"""The length of a target header that is missing."""


class Channel(NamedTuple):
    """`closed` is one byte that all processes share: not 0 once nothing is checked any more, because the server
    stops."""

    requests: socket.socket
    """The workers' end."""
    checks: socket.socket
    """The end of the process that checks."""
    closed: mmap.mmap

    def close(self) -> None:
        self.requests.close()
        self.checks.close()


def make_channel() -> Channel:
    requests, checks = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return Channel(requests, checks, mmap.mmap(-1, 1))
