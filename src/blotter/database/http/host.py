"""What a connection needs of the server it belongs to. `server.HttpServer` is one; tests may bring another."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Protocol

from blotter.database.http.budget import MemoryBudget
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Handler, Response
from blotter.database.http.outbox import Outbox
from blotter.database.http.reader import Phase
from blotter.database.http.writer import ResponseWriter


class HostedConnection(Protocol):
    """What a server requires of its connections."""

    since: int
    """Grows whenever a connection becomes idle or leaves an answer unsent: the smallest has waited longest."""
    unsent: int
    """Bytes of large answers that the client has not taken."""

    @property
    def answering(self) -> bool:
        """Whether a complete request is being worked on."""

    def expire(self, now: float) -> None:
        """Ends the connection if the deadline of its state has passed."""

    def drain(self) -> None:
        """Makes the request in progress the last one; without one, closes."""

    def abort(self) -> None:
        """Cuts the connection off and gives back its memory."""


class Host(Protocol):
    """The server of a connection. All values are constant but `now`, which the server's timer moves."""

    handler: Handler
    failure: Response
    overloaded: Response
    limits: Limits
    timeouts: dict[Phase, float]
    writer: ResponseWriter
    budget: MemoryBudget
    loop: AbstractEventLoop
    outbox: Outbox
    now: float
    new_id: Callable[[], str]
    next_number: Callable[[], int]

    def opened(self, connection: HostedConnection) -> None:
        """A connection is there."""

    def closed(self, connection: HostedConnection) -> None:
        """The connection is closed."""

    def relieve(self) -> None:
        """Cuts off clients that take their answers slowest, until the memory budget holds again."""
