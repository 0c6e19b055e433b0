"""The connections of one worker: accepting, the shared timer, limits, drain.

One timer a second compares deadlines and renews the date; nothing here is done for each request.
Workers share one listening socket. A worker that has more connections than the one with the fewest leaves the next
one to the others for a moment (`ConnectionCounts`), so that long-lived connections spread evenly, which neither
`SO_REUSEPORT` (a hash) nor the kernel's wake-up order gives. Independent of DynamoDB and of processes.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import socket
import ssl
import time
from collections.abc import Callable
from itertools import count

from blotter.database.http.budget import Knows, MemoryBudget
from blotter.database.http.connection import Connection
from blotter.database.http.host import Host, HostedConnection
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Handler, Response
from blotter.database.http.outbox import Outbox
from blotter.database.http.reader import Phase
from blotter.database.http.request_ids import request_ids
from blotter.database.http.tls import TlsLayer
from blotter.database.http.writer import ResponseWriter

log = logging.getLogger(__name__)

# How long a worker with more connections than others leaves a new one to them.
_YIELD = 0.003
# What a request gets whose handler raised, unless the server is given another answer.
_FAILURE = Response(500, b"Internal server error\n")
# The response to a large request that exceeds the memory budget.
_OVERLOADED = Response(503, b"too many large requests at once\n", (("Content-Type", "text/plain"),))
# How long accepting rests when the process is out of descriptors.
_OUT_OF_FILES = 0.1


class ConnectionCounts:
    """How many connections each worker has, in memory the workers share; `slot` is this worker's place.

    A place holds `GONE` while its worker is not accepting.
    """

    GONE = 0xFFFFFFFF

    __slots__ = ("_counts", "_slot")

    def __init__(self, counts: memoryview[int] | list[int], slot: int) -> None:
        self._counts = counts
        self._slot = slot

    def set(self, count: int) -> None:
        self._counts[self._slot] = count

    def ahead(self) -> bool:
        """Whether another accepting worker has fewer connections than this one."""
        return self._counts[self._slot] > min(self._counts)


def _plain(host: Host) -> Callable[[], asyncio.Protocol]:
    return lambda: Connection(host)


def _encrypted(host: Host, context: Callable[[], ssl.SSLContext]) -> Callable[[], asyncio.Protocol]:
    return lambda: TlsLayer(host, context())


class HttpServer:
    """Serves a listening socket on the running event loop with a handler.

    With `tls`, connections are encrypted with the context that it returns when they begin. With `knows`, large
    bodies of other senders are limited together.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        counts: ConnectionCounts | None = None,
        failure: Response = _FAILURE,
        tls: Callable[[], ssl.SSLContext] | None = None,
        knows: Knows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or Limits()
        self.handler = handler
        self.failure = failure
        """What a request gets whose handler raised, which is a bug."""
        self.overloaded = _OVERLOADED
        self.limits = limits
        self.timeouts: dict[Phase, float] = {
            "idle": limits.idle_timeout,
            "head": limits.header_timeout,
            "body": limits.body_timeout,
        }
        self.writer = ResponseWriter(limits.compress_from)
        self.budget = MemoryBudget(limits.buffered, knows)
        self.new_id = request_ids().__next__
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(self.loop, clock)
        self.now = clock()
        """Monotonic seconds, up to one second old: good enough for time-outs, and free."""
        self.next_number = count().__next__
        """Numbers that rise: connections order themselves by them."""
        self.connections: set[HostedConnection] = set()
        self._protocol = _plain(self) if tls is None else _encrypted(self, tls)
        self._clock = clock
        self._counts = counts or ConnectionCounts([0], 0)
        self._listener: socket.socket | None = None
        self._accepting = False
        self._timer: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, listener: socket.socket) -> None:
        """Starts to accept from a bound, listening socket, which the caller goes on owning."""
        listener.setblocking(False)
        self._listener = listener
        self._counts.set(len(self.connections))
        self._tick_again()
        self._accept_on()

    async def drain(self) -> None:
        """Stops accepting, lets requests in progress finish for `drain_timeout` seconds, then cuts off."""
        self._accept_off()
        self._listener = None
        self._counts.set(ConnectionCounts.GONE)
        for connection in list(self.connections):
            connection.drain()
        try:
            await asyncio.wait_for(self._all_closed(), self.limits.drain_timeout)
        except TimeoutError:
            log.warning("%d connections cut off after %s s", len(self.connections), self.limits.drain_timeout)
            for connection in list(self.connections):
                connection.abort()
            await self._all_closed()
        if self._timer is not None:
            self._timer.cancel()

    def tick(self) -> None:
        """What the timer does each second."""
        self.now = self._clock()
        self.writer.new_second()
        for connection in list(self.connections):
            connection.expire(self.now)

    # What connections call.

    def opened(self, connection: HostedConnection) -> None:
        self.connections.add(connection)
        self._counts.set(len(self.connections))
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def closed(self, connection: HostedConnection) -> None:
        self.connections.discard(connection)
        if self._listener is not None:
            self._counts.set(len(self.connections))
        elif not self.connections:
            self._emptied.set()

    def relieve(self) -> None:
        """Cuts off clients that have not taken their answers, the one that waits longest first."""
        waiting = [connection for connection in self.connections if connection.unsent]
        waiting.sort(key=lambda connection: connection.since)
        cut = 0
        for connection in waiting:
            if not self.budget.exceeded:
                break
            connection.abort()
            cut += 1
        log.warning(
            "request memory is used up: %d clients that did not take their answers were cut off "
            "(--request-memory, --write-timeout)",
            cut,
        )

    # Accepting.

    def _accept_on(self) -> None:
        if self._listener is not None and not self._accepting:
            self._accepting = True
            self.loop.add_reader(self._listener.fileno(), self._accept)

    def _accept_off(self) -> None:
        if self._listener is not None and self._accepting:
            self._accepting = False
            self.loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        """Takes one connection: a worker with work to do comes back for the next one later than an idle one."""
        assert self._listener is not None
        if self._counts.ahead():
            self._accept_off()
            self.loop.call_later(_YIELD, self._accept_next)
        else:
            self._accept_next()

    def _accept_next(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._accept_on()
            return
        except OSError as error:
            log.warning("cannot accept: %s", error)
            self._accept_off()
            self._make_room()
            self.loop.call_later(_OUT_OF_FILES, self._accept_on)
            return
        client.setblocking(False)
        task = self.loop.create_task(self.loop.connect_accepted_socket(self._protocol, client))
        self._tasks.add(task)
        task.add_done_callback(self._accepted)
        self._accept_on()

    def _accepted(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a client was lost while it connected: %s", task.exception())

    def _make_room(self) -> None:
        """Closes the connections idle longest, some at a time so that a flood does not make this a habit."""
        idle = (connection for connection in self.connections if not connection.answering)
        oldest = heapq.nsmallest(1 + len(self.connections) // 64, idle, key=lambda connection: connection.since)
        for connection in oldest:
            connection.abort()

    # Time.

    def _tick_again(self) -> None:
        self.tick()
        self._timer = self.loop.call_later(1.0, self._tick_again)

    async def _all_closed(self) -> None:
        if self.connections:
            await self._emptied.wait()
