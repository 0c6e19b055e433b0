"""Connections to the primary of a PostgreSQL store, wherever it is among the hosts of the store's URL.

`Connector.connect` returns a connection that is ready for statements: to a server that is the primary and keeps
what it acknowledges (`refusals`), holds a store of our format that nobody has reserved (`schema_versions`,
`occupancy`), and, if it has synchronous standbys, has shown by a commit that they follow it: a primary that was
restarted after a crash shows commits that no standby has until then.

A promotion begins a new timeline. Which one the store was last written in stands in the store: a front end that
finds another one waits before it allows anything, because front ends with an older primary may answer from it
until their lease ends (`primary`).

The order of the hosts does not matter. The one that was the primary last is asked first; when it does not answer
at once, all of them are asked again and again, each for itself, until one is the primary (`searching`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from blotter.database.storage.postgres.connections import occupancy
from blotter.database.storage.postgres.connections.deadlines import within
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.primary import (
    BARRIER,
    PROMOTION_WAIT,
    Primary,
    seconds_since_boot,
)
from blotter.database.storage.postgres.connections.refusals import (
    MARK,
    QUESTION,
    STANDBY,
    is_transient,
    refusal,
    why,
)
from blotter.database.storage.postgres.connections.searching import (
    ConnectError,
    GoesOn,
    Search,
    ask_all,
    end_late,
    has_succeeded,
)
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import Host, StoreUrl
from blotter.database.storage.postgres.connections.watching import STARTED, TIMELINE, watch
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema import SESSION, quoted_name
from blotter.database.storage.protocol import StorageUnavailable

log = logging.getLogger(__name__)

HOST_SECONDS: Final = 5.0
"""How long one server may take until a connection to it is ready."""
_HEAD_START: Final = 0.3
"""Seconds until the other hosts are asked as well."""
_PAUSE: Final = 0.05
"""Seconds between two looks whether a standby was promoted, or another front end has waited for leases to end."""
_SHORT_PAUSE: Final = 0.01
_CHECKED: Final = "synchronous_commit"
"""Not given at the start of a session: what the operator has set is to be seen."""
_UNDISTURBED: Final = {"idle_session_timeout": "0", "client_connection_check_interval": "0"}
"""What a role or database may have set, and would end a connection that waits."""
_REPLACED: Final = "it was the primary before another one"
_CANCELED_WAIT: Final = "canceling wait for synchronous replication"
_TCP_OPTIONS: Final = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 4000}
"""Seconds, a number, milliseconds. Where the system has them."""

_IDENTITY = (
    f"SELECT {TIMELINE} AS timeline, {STARTED} AS started, "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' "
    "THEN 'remote_apply' ELSE 'on' END, false)"
)


class Connector:
    """Makes the connections of one process. `wants_store` False: without a look at what the database holds, and
    without counting among those who use the store."""

    def __init__(
        self, url: StoreUrl, *, wants_store: bool = True, now: Callable[[], float] = seconds_since_boot
    ) -> None:
        self.url = url
        self.hosts = tuple(dict.fromkeys(url.hosts))
        self.primary: Primary | None = None
        """The one that the last connection leads to."""
        self._first_host = self.hosts[0]
        """The one that is asked first."""
        self._seen: tuple[tuple[int, float], float] | None = None
        """The last life of a primary that was seen, and since when."""
        self._noted: tuple[int, float] | None = None
        """The last one whose timeline the store is known to have."""
        self._asker: StoreConnection | None = None
        self._wants_store = wants_store
        self.now = now
        """The clock of leases, in seconds."""
        self._search = Search(self.open, self.hosts, now)
        self._prover: StoreConnection | None = None
        self._watch: asyncio.Task[None] | None = None

    def apart(self) -> Connector:
        """Another one, for another event loop: connections and proofs belong to a loop."""
        return Connector(self.url, wants_store=self._wants_store, now=self.now)

    def start_watching(self) -> None:
        """Begins to look for a newer primary (`watching`), on the running event loop, until `close`."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(watch(self))

    async def connect(self) -> StoreConnection:
        """A connection to the primary, which is waited for a moment when there is none. Raises StorageUnavailable,
        with the reason."""
        try:
            return self._search.take() or await self._reach()
        except ConnectError as error:
            raise StorageUnavailable(str(error)) from None

    async def connect_patiently(self, seconds: float) -> StoreConnection:
        """The same; a server that starts, or a standby that is promoted, is waited for. Raises ConnectError."""
        deadline = self.now() + seconds
        return await ask_all(self.open, self.hosts, lambda: self.now() < deadline, {})

    async def _reach(self) -> StoreConnection:
        """A connection to the host that was the primary last, or to the one that is found. Raises ConnectError."""
        connection: StoreConnection | None = None
        asked = self.now()
        while connection is None:
            attempt = asyncio.ensure_future(self.open(self._first_host))
            try:
                await asyncio.wait({attempt}, timeout=_HEAD_START)
                if has_succeeded(attempt):
                    connection = attempt.result()
                else:
                    connection = await self._search.beside(attempt, asked)
            finally:
                end_late(attempt, connection)
        return connection

    async def open(self, host: Host, goes_on: GoesOn = lambda _host, _error: False) -> StoreConnection:
        """A connection to this host, if it is the primary; a standby is waited for as long as it `goes_on`. Raises
        ConnectError."""
        for name, path in self.url.files.items():
            if not os.access(path, os.R_OK):
                raise ConnectError(f"{name} {path} cannot be read", False)
        mark = secrets.token_hex(8)
        connection: StoreConnection | None = None
        try:
            connection = await asyncpg.connect(
                **self.arguments(host, {MARK: mark, "search_path": quoted_name(self.url.schema)}),
                connection_class=StoreConnection,
                timeout=HOST_SECONDS,
            )
            _notice_dead_peers(connection)
            connection.add_log_listener(_on_message)
            is_synchronous = await self._until_primary(connection, host, mark, goes_on)
            await within(HOST_SECONDS, connection, self._check(connection, host, is_synchronous))
            return connection
        except (*STORE_FAILURES, ValueError) as error:
            raise ConnectError(f"{host}: {why(error)}", is_transient(error)) from None
        finally:
            if connection is not None and not hasattr(connection, "primary"):
                connection.terminate()

    def arguments(self, host: Host, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What asyncpg needs to connect to a host; `more` settings of the session."""
        url = self.url
        files = {"sslmode": url.ssl_mode, **url.files} if url.ssl_mode else url.files
        settings = {name: value for name, value in SESSION.items() if name != _CHECKED}
        return {
            "dsn": f"postgresql://?{urlencode(files)}" if files else None,  # the only way to give these
            "host": host.name or None,
            "port": host.port,
            "user": url.user or None,
            "password": url.password or None,
            "database": url.database or None,
            "target_session_attrs": "any",  # `PGTARGETSESSIONATTRS` is not asked
            "max_cached_statement_lifetime": 0,
            "server_settings": {**settings, **_UNDISTURBED, "application_name": url.application, **(more or {})},
        }

    async def _until_primary(self, connection: StoreConnection, host: Host, mark: str, goes_on: GoesOn) -> bool:
        """Returns once the server is no standby: whether commits wait for its standbys. Raises ConnectError."""
        while True:
            found = await within(HOST_SECONDS, connection, connection.fetchrow(QUESTION))
            assert found is not None
            problem = refusal(dict(found), mark)
            if problem is not None:
                raise ConnectError(f"{host}: {problem}", False)
            if not found["is_standby"]:
                return bool(found["is_synchronous"])
            standby = ConnectError(f"{host}: {STANDBY}", len(self.hosts) > 1)
            if not goes_on(host, standby):
                raise standby
            await asyncio.sleep(_PAUSE)

    async def _check(self, connection: StoreConnection, host: Host, is_synchronous: bool) -> None:
        """Returns when the connection is ready, with its primary known. Raises ConnectError."""
        state = await self._enter(connection, host) if self._wants_store else None
        primary = await self._identify(connection, host, is_synchronous)
        self._search.sight(host)
        if state is not None:
            await self._follow_timeline(connection, primary, state)
        begun = self.now()
        if primary.is_synchronous:
            await connection.execute(BARRIER)
        primary = self._join(connection, primary)
        if primary.is_synchronous:
            primary.note_commit(begun)

    async def _enter(self, connection: StoreConnection, host: Host) -> Mapping[str, bytes]:
        """What the store says of itself. From here on nobody has the store alone while the connection lasts."""
        if not await occupancy.enter(connection, self.url.schema):
            raise ConnectError(f"{host}: its schema {self.url.schema} {occupancy.TAKEN}", False)
        state = await schema_versions.read_state(connection)
        problem = schema_versions.refusal(state, f"its schema {self.url.schema}")
        if problem is not None:
            raise ConnectError(f"{host}: {problem}", False)
        assert state is not None
        return state

    async def _identify(self, connection: StoreConnection, host: Host, is_synchronous: bool) -> Primary:
        """The primary that this connection leads to: the one known, or another one, or the same in a new life."""
        found = await connection.fetchrow(_IDENTITY)
        assert found is not None
        known = self.primary
        if known is not None:
            if found["timeline"] < known.timeline:
                raise ConnectError(f"{host}: {_REPLACED}", True)
            if (found["timeline"], found["started"]) == known.life:
                known.note_standbys(is_synchronous)
                return known
        return Primary(host, found["timeline"], found["started"], is_synchronous, self._prove, self.now)

    async def _follow_timeline(
        self, connection: StoreConnection, primary: Primary, state: Mapping[str, bytes]
    ) -> None:
        """Waits, if the store was last written in another timeline, until no front end answers from that one: for
        `PROMOTION_WAIT` since this process has seen the new one, or until another front end has waited."""
        timeline = str(primary.timeline).encode()
        begun = self._seen_since(primary.life)
        while state.get(schema_versions.TIMELINE) != timeline and self._noted != primary.life:
            if self._asker is None or self._asker.is_closed():
                self._asker = connection  # the one that looks for all connections of the process
            remaining = begun + PROMOTION_WAIT - self.now()
            if remaining <= 0 and self._asker is connection:
                await schema_versions.save_state(connection, schema_versions.TIMELINE, timeline)
                break
            await asyncio.sleep(min(remaining, _PAUSE) if remaining > 0 else _SHORT_PAUSE)
            if self._asker is connection:
                state = await schema_versions.read_state(connection) or {}
        self._noted = primary.life

    def _seen_since(self, life: tuple[int, float]) -> float:
        """When this process has first seen a server in this life as the primary."""
        if self._seen is None or self._seen[0] != life:
            self._seen = (life, self.now())
        return self._seen[1]

    def _join(self, connection: StoreConnection, primary: Primary) -> Primary:
        """Counts a connection among those to the primary, which is another object if a connection that was made at
        the same time has found it first. Raises ConnectError if that one has found a newer primary."""
        known = self.primary
        if known is not None and known.life == primary.life:
            primary = known
        elif known is not None and primary.timeline < known.timeline:
            raise ConnectError(f"{primary.host}: {_REPLACED}", True)
        connection.primary = primary
        connection.prepared = {}
        primary.connections.add(connection)
        if known is not primary:
            self.primary, self._first_host = primary, primary.host
            if known is not None:
                log.warning("PostgreSQL: %s is the primary now (timeline %d)", primary.host, primary.timeline)
                known.depose()
        return primary

    def note_primary(self, host: Host, timeline: int, started: float, is_synchronous: bool) -> None:
        """Takes note of a server that says it is the primary: another one of a newer timeline, or ours."""
        known = self.primary
        if known is None:
            return
        if (timeline, started) == known.life:
            known.note_standbys(is_synchronous)
        elif timeline > known.timeline:
            self._seen_since((timeline, started))
            self._first_host = host
            self._search.sight(host)
            if not known.is_deposed:
                known.depose()

    def note_silence(self, host: Host) -> None:
        """Ends the connections to a host that has not answered for long: what waits on them gets an error."""
        if self.primary is not None and self.primary.host == host:
            log.warning("PostgreSQL: %s does not answer; its connections are given up", host)
            self.primary.end_connections()

    async def _prove(self, primary: Primary) -> None:
        """See `Primary`: a commit on a connection that is kept for this."""
        connection = self._prover
        if connection is None or connection.is_closed() or connection.primary is not primary:
            connection = self._prover = await self.connect()
            if connection.primary is not primary:
                raise StorageUnavailable(f"{primary.host} is the primary no longer")
        try:
            await connection.execute(BARRIER)
        except STORE_FAILURES as error:
            connection.terminate()
            raise StorageUnavailable(f"{primary.host}: {why(error)}") from None

    async def close(self) -> None:
        """Ends what it has opened for itself; who was given a connection ends that."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        await self._search.close()
        if self._prover is not None and not self._prover.is_closed():
            self._prover.terminate()
        if self.primary is not None:
            await self.primary.close()


def _on_message(connection: Any, message: Any) -> None:
    """A commit whose wait for standbys was canceled by somebody is visible now, and may be lost."""
    primary: Primary | None = getattr(connection, "primary", None)
    if primary is not None and _CANCELED_WAIT in str(message):
        primary.doubt()


def _notice_dead_peers(connection: StoreConnection) -> None:
    """Lets the kernel end a connection whose other end does not acknowledge what it was sent."""
    sock = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TCP_OPTIONS.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
