"""What one client may cost: sizes, counts and times of the HTTP package, with the defaults of a server.

Every bound that keeps memory finite under a hostile client is named here and nowhere else.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Sizes in bytes, times in seconds; all for one worker process."""

    body: int = 16 * 1024 * 1024
    """A request body: DynamoDB refuses what is larger than 16 MB with status 413."""
    head: int = 32 * 1024
    """Request line and headers together. Session tokens take a few KB."""
    buffered: int = 256 * 1024 * 1024
    """Memory of requests in progress over all connections (`budget.py`); above it large requests get 503."""
    connections: int = 10_000
    """Open connections; beyond it, those that have been idle longest are closed."""
    header_timeout: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_timeout: float = 60.0
    """From the end of the headers to the end of the body."""
    idle_timeout: float = 120.0
    """Between requests on a kept-alive connection."""
    write_timeout: float = 60.0
    """For a client to take an answer."""
    drain_timeout: float = 10.0
    """For requests in progress when the server is stopped."""
    compress_from: int = 4096
    """Answers of at least this size are compressed for clients that ask for it, as DynamoDB does."""
