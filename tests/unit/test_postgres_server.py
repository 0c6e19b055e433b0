"""The PostgreSQL server that tests use ends with them, and keeps what was committed when it is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg

from tests.postgres_server import PostgresServer, running
from tests.waiting import wait_until


def _ask(url: str, question: str) -> object:
    async def work() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(work())


def test_a_test_gets_an_empty_database_with_the_settings_that_keep_data(postgres_url: str) -> None:
    assert _ask(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert _ask(postgres_url, f"SHOW {setting}") == "on"


def test_it_is_reached_through_its_unix_socket(postgres: PostgresServer) -> None:
    assert _ask(postgres.socket_url(), "SELECT inet_server_addr() IS NULL") is True


def test_what_was_committed_is_there_after_kill_9() -> None:
    with running() as server:
        server.execute("CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        server.stop(signal.SIGKILL)
        server.start()
        assert _ask(server.url(), "SELECT n FROM kept") == 7
    assert not server.directory.exists()


_PROGRAM = """
import os, signal
from tests.postgres_server import PostgresServer
server = PostgresServer()
server.start()
print(server.pid, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_tests_that_are_killed() -> None:
    killed = subprocess.run([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    pid, directory = killed.stdout.split()
    wait_until(lambda: not Path(directory).exists())
    assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    """Whether a process does anything still; the entry of one that has ended may stay until it is reaped."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")
