"""Servers over one PostgreSQL store that come and go: each with two workers, on a port that it keeps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from tests.faults.shared_items import Address
from tests.postgres_server import free_port
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


def create_store(url: str) -> None:
    """Makes the store that front ends then find at the URL."""
    asyncio.run(_create_store(StoreUrl(url)))


async def _create_store(url: StoreUrl) -> None:
    connection = await Connector(url, wants_store=False).connect()
    await schema_versions.initialize(connection, url.schema, None)
    await connection.close()


class FrontEnds:
    """One server for each of `urls`, all of the same store."""

    def __init__(self, serve: Serve, urls: Sequence[str]) -> None:
        self._serve = serve
        self._urls = urls
        with ThreadPoolExecutor() as threads:
            self.servers: list[Serving] = list(threads.map(self._start, range(len(urls))))

    @property
    def addresses(self) -> list[Address]:
        return [server.address for server in self.servers]

    @property
    def logs(self) -> str:
        return "".join(server.log.read_text() for server in self.servers)

    def kill(self, number: int) -> None:
        """All its processes, at the same moment."""
        server = self.servers[number]
        children = list(server.children().values())
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: all(is_dead(pid) for pid in children))

    def restart(self, number: int) -> None:
        port = self.servers[number].address[1]
        self.servers[number] = self._start(number, "--port", str(port))

    def kill_child(self, number: int, kind: str) -> None:
        """One process of a server, whose name has `kind` in it; returns when another has taken its place."""
        server = self.servers[number]
        name, victim = next((name, pid) for name, pid in server.children().items() if kind in name)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: server.children().get(name, victim) != victim)

    def _start(self, number: int, *more: str) -> Serving:
        """On a port that nobody takes while the server is away."""
        place = () if more else ("--port", str(free_port()))
        return self._serve("--store", self._urls[number], "--workers", "2", "--table-delay", "0", *place, *more)


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
