"""PostgreSQL on a full disk: writes are refused, nothing acknowledged is lost, service returns with room."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.writers import Writers, create_table
from tests.postgres_server import PostgresServer
from tests.waiting import wait_until

Serve = Callable[..., Any]  # tests/conftest.py

_MEGABYTE = 1 << 20


@pytest.fixture
def small_postgres() -> Iterator[PostgresServer]:
    """A server whose data lie in a file system of their own."""
    server = PostgresServer({"max_wal_size": "64MB", "min_wal_size": "32MB"})
    server.data.mkdir(mode=0o700)
    owner = server.directory.stat()
    options = f"size=160m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(server.data)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        server.remove()
        pytest.skip("only a superuser may mount")
    try:
        server.initialize()
        server.start()
        yield server
    finally:
        if server.is_running():
            server.stop()
        subprocess.run(["umount", "-l", str(server.data)], check=True)
        server.remove()


def _fill(server: PostgresServer, left: int) -> None:
    """Takes the disk's room, all but `left` bytes."""
    with (server.data / "others").open("wb") as file, contextlib.suppress(OSError):
        for _ in range(shutil.disk_usage(server.data).free // _MEGABYTE - left // _MEGABYTE):
            file.write(bytes(_MEGABYTE))


@pytest.mark.parametrize("left", [0, pytest.param(8 * _MEGABYTE, marks=pytest.mark.slow)])
def test_a_full_disk_loses_nothing(serve: Serve, small_postgres: PostgresServer, left: int) -> None:
    url = small_postgres.url(small_postgres.create_database())
    create_store(url)
    front_ends = FrontEnds(serve, [url, url])
    create_table(front_ends.addresses[0])
    writers = Writers(front_ends.addresses, 4, watchers=1, padding=20_000)
    try:
        wait_until(writers.progress())
        _fill(small_postgres, left)
        wait_until(lambda: writers.refused > 20 or writers.failures)
        (small_postgres.data / "others").unlink()
        if not small_postgres.is_running():  # It ends itself when it cannot write its log.
            small_postgres.start()
        wait_until(writers.progress())
    finally:
        writers.stop()
    for address in front_ends.addresses:
        writers.check(address)
