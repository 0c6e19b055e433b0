"""Connections to the primary of a PostgreSQL store, wherever it is among the hosts of the store's URL.

`Connector.connect` returns a connection that is ready for statements: to a server that is the primary and keeps
what it acknowledges (`refusals`), holds a store of our format that nobody has reserved (`schema_versions`,
`occupancy`), and, if it has synchronous standbys, has shown by a commit that they follow it: a primary that was
restarted after a crash shows commits that no standby has until then.

A promotion begins a new timeline. Which one the store was last written in stands in the store: a front end that
finds another one waits before it allows anything, because front ends with an older primary may answer from it
until their lease ends (`primary`).

The order of the hosts does not matter. The one that answered last is asked first, and the others as well when it
does not answer at once.
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

from blotter.database.storage.postgres import occupancy, schema_versions
from blotter.database.storage.postgres.deadlines import within
from blotter.database.storage.postgres.failures import STORE_FAILURES
from blotter.database.storage.postgres.primary import BARRIER, PROMOTION_WAIT, Primary, seconds_since_boot
from blotter.database.storage.postgres.refusals import (
    MARK,
    QUESTION,
    STANDBY,
    is_transient,
    refusal,
    why,
)
from blotter.database.storage.postgres.schema import SESSION, quoted_name
from blotter.database.storage.postgres.url import Host, StoreUrl
from blotter.database.storage.postgres.watching import STARTED, TIMELINE, watch
from blotter.database.storage.protocol import StorageUnavailable

log = logging.getLogger(__name__)

HOST_SECONDS: Final = 5.0
"""How long one server may take until a connection to it is ready."""
_HEAD_START: Final = 0.3
"""Seconds until the other hosts are asked as well."""
_PAUSE: Final = 0.2
"""Seconds between two rounds while a server starts."""
_CHECKED: Final = "synchronous_commit"
"""Not given at the start of a session: what the operator has set is to be seen."""
_UNDISTURBED: Final = {"idle_session_timeout": "0", "client_connection_check_interval": "0"}
"""What a role or database may have set, and would end a connection that waits."""
_CANCELED_WAIT: Final = "canceling wait for synchronous replication"
_TCP_OPTIONS: Final = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 4000}
"""Seconds, a number, milliseconds. Where the system has them."""

_IDENTITY = (
    f"SELECT {TIMELINE} AS timeline, {STARTED} AS started, "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' "
    "THEN 'remote_apply' ELSE 'on' END, false)"
)


class ConnectError(Exception):
    """No connection. `is_transient`: it may come to be without anybody's doing."""

    def __init__(self, text: str, transient: bool) -> None:
        super().__init__(text)
        self.is_transient = transient


class StoreConnection(asyncpg.Connection):
    """A connection that knows the primary it leads to, and the statements that were prepared on it."""

    __slots__ = ("prepared", "primary")

    prepared: dict[str, Any]
    primary: Primary


class Connector:
    """Makes the connections of one process. `wants_store` False: without a look at what the database holds, and
    without counting among those who use the store."""

    def __init__(
        self, url: StoreUrl, *, wants_store: bool = True, now: Callable[[], float] = seconds_since_boot
    ) -> None:
        self.url = url
        self.primary: Primary | None = None
        """The one that the last connection leads to."""
        self._newest_host: Host | None = None
        self._wants_store = wants_store
        self._now = now
        self._prover: StoreConnection | None = None
        self._watch: asyncio.Task[None] | None = None

    def start_watching(self) -> None:
        """Begins to look for a newer primary (`watching`), on the running event loop, until `close`."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(watch(self))

    async def connect(self) -> StoreConnection:
        """A connection to the primary. Raises StorageUnavailable, with the reason."""
        try:
            return await self._one_round()
        except ConnectError as error:
            raise StorageUnavailable(str(error)) from None

    async def connect_patiently(self, seconds: float) -> StoreConnection:
        """The same; a server that starts, or a standby that is promoted, is waited for. Raises ConnectError."""
        deadline = self._now() + seconds
        while True:
            try:
                return await self._one_round()
            except ConnectError as error:
                if not error.is_transient or self._now() > deadline:
                    raise
                await asyncio.sleep(_PAUSE)

    async def _one_round(self) -> StoreConnection:
        """Asks the host that answered last and, a moment later, the others; takes the first that is primary."""
        first, *rest = sorted(dict.fromkeys(self.url.hosts), key=lambda host: host != self._newest_host)
        pending = {asyncio.ensure_future(self._open(first))}
        problems: list[ConnectError] = []
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=_HEAD_START if rest else None, return_when=asyncio.FIRST_COMPLETED
                )
                opened = [attempt.result() for attempt in done if attempt.exception() is None]
                for beside in opened[1:]:
                    beside.terminate()
                if opened:
                    return opened[0]
                problems += [error for attempt in done if isinstance(error := attempt.exception(), ConnectError)]
                for attempt in done:
                    if not isinstance(attempt.exception(), ConnectError):
                        attempt.result()
                pending |= {asyncio.ensure_future(self._open(host)) for host in rest}
                rest = []
        finally:
            for attempt in pending:
                attempt.cancel()
                attempt.add_done_callback(_end_late)
        raise ConnectError(
            "PostgreSQL cannot be used: " + "; ".join(str(problem) for problem in problems),
            any(problem.is_transient for problem in problems),
        )

    async def _open(self, host: Host) -> StoreConnection:
        """A connection to this host, if it is the primary. Raises ConnectError."""
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
            await within(HOST_SECONDS, connection, self._check(connection, host, mark))
            return connection
        except (*STORE_FAILURES, ValueError) as error:
            raise ConnectError(f"{host}: {why(error)}", is_transient(error)) from None
        except ConnectError as error:
            raise ConnectError(f"{host}: {error}", error.is_transient) from None
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

    async def _check(self, connection: StoreConnection, host: Host, mark: str) -> None:
        """Returns when the connection is ready, with its primary known. Raises ConnectError, without the host."""
        found = await connection.fetchrow(QUESTION)
        assert found is not None
        problem = refusal(dict(found), mark)
        if problem is not None:
            raise ConnectError(problem, False)
        if found["is_standby"]:
            raise ConnectError(STANDBY, len(self.url.hosts) > 1)
        state = await self._enter(connection) if self._wants_store else None
        primary = await self._identify(connection, host, bool(found["is_synchronous"]))
        if state is not None:
            await self._follow_timeline(connection, primary, state)
        begun = self._now()
        if primary.is_synchronous:
            await connection.execute(BARRIER)
        primary = self._join(connection, primary)
        if primary.is_synchronous:
            primary.note_commit(begun)

    async def _enter(self, connection: StoreConnection) -> Mapping[str, bytes]:
        """What the store says of itself. From here on nobody has the store alone while the connection lasts."""
        if not await occupancy.enter(connection, self.url.schema):
            raise ConnectError(f"its schema {self.url.schema} {occupancy.TAKEN}", False)
        state = await schema_versions.read_state(connection)
        problem = schema_versions.refusal(state, f"its schema {self.url.schema}")
        if problem is not None:
            raise ConnectError(problem, False)
        assert state is not None
        return state

    async def _identify(self, connection: StoreConnection, host: Host, is_synchronous: bool) -> Primary:
        """The primary that this connection leads to: the one known, or another one, or the same in a new life."""
        found = await connection.fetchrow(_IDENTITY)
        assert found is not None
        known = self.primary
        if known is not None:
            if found["timeline"] < known.timeline:
                raise ConnectError("it was the primary before another one", True)
            if (found["timeline"], found["started"]) == known.life:
                known.note_standbys(is_synchronous)
                return known
        return Primary(host, found["timeline"], found["started"], is_synchronous, self._prove, self._now)

    async def _follow_timeline(
        self, connection: StoreConnection, primary: Primary, state: Mapping[str, bytes]
    ) -> None:
        """Waits, if the store was last written in another timeline, until no front end answers from that one."""
        timeline = str(primary.timeline).encode()
        if state.get(schema_versions.TIMELINE) == timeline:
            return
        await asyncio.sleep(PROMOTION_WAIT)
        await schema_versions.save_state(connection, schema_versions.TIMELINE, timeline)

    def _join(self, connection: StoreConnection, primary: Primary) -> Primary:
        """Counts a connection among those to the primary, which is another object if a connection that was made at
        the same time has found it first. Raises ConnectError if that one has found a newer primary."""
        known = self.primary
        if known is not None and known.life == primary.life:
            primary = known
        elif known is not None and primary.timeline < known.timeline:
            raise ConnectError("it was the primary before another one", True)
        connection.primary = primary
        connection.prepared = {}
        primary.connections.add(connection)
        if known is not primary:
            self.primary, self._newest_host = primary, primary.host
            if known is not None:
                log.warning("PostgreSQL: %s is the primary now (timeline %d)", primary.host, primary.timeline)
                known.depose()
        return primary

    def note_primary(self, host: Host, timeline: int, started: float, is_synchronous: bool) -> None:
        """Takes note of a server that says it is the primary: another one of a newer timeline, or ours."""
        known = self.primary
        if known is None or known.is_deposed:
            return
        if (timeline, started) == known.life:
            known.note_standbys(is_synchronous)
        elif timeline > known.timeline:
            self._newest_host = host
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
        if self._prover is not None and not self._prover.is_closed():
            self._prover.terminate()
        if self.primary is not None:
            await self.primary.close()


def _end_late(attempt: asyncio.Future[StoreConnection]) -> None:
    """Ends a connection that was made although it was not wanted any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


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
