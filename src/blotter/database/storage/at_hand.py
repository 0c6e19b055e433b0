"""What has to be known before a request is executed, and is not known yet.

Keys, policies and the limits of tables are looked up on the event loop. A store across a network cannot answer
there: then the look-up raises `NotAtHand`, the caller reads the store, and begins the request again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.storage.protocol import ReadTransaction

GoOn = Callable[[], None]


class NotAtHand(Exception):
    """`read` is a handler for `Storage.submit_read`. `use(found, go_on)` takes what it returned and calls `go_on`,
    which begins the request again; what was found holds at least as long as that call."""

    def __init__(self, read: Callable[[ReadTransaction], Any], use: Callable[[Any, GoOn], None]) -> None:
        super().__init__("the store has to be read first")
        self.read = read
        self.use = use
