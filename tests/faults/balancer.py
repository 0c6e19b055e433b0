"""A TCP load balancer for tests: each connection goes to the next server that accepts one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Address = tuple[str, int]


@contextmanager
def balanced(servers: Sequence[Address]) -> Iterator[Address]:
    """The address of a balancer over the servers, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    turns = itertools.count()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(turns)
        for number in range(len(servers)):
            host, port = servers[(first + number) % len(servers)]
            with contextlib.suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection(host, port)
                await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
                return
        writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(forward, "127.0.0.1", 0)

    listening = asyncio.run_coroutine_threadsafe(start(), loop).result()
    host, port = listening.sockets[0].getsockname()[:2]
    try:
        yield host, port
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one end is closed; then the other is too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
