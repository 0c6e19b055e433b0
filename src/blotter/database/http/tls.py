"""TLS between a socket and its connection: a protocol to the event loop, a transport to the `Connection` above.

The handshake comes first, within the time a client has for a head; until it is done this object stands in the
server's set of connections, so that unfinished handshakes count, expire and are evicted like idle connections.
Then the `Connection` takes that place and works on decrypted bytes as on a plain socket.

A client that speaks plain HTTP to this port is recognized by its first byte, and gets a 400 that it can read.
Between requests a client is where it costs least: the next read of the socket brings one whole record, which is
decrypted with one call. Calls into OpenSSL are what this layer costs, so it makes none that only asks.

Ending a connection sends "close notify", a half-closed one included, which the event loop's own TLS transports
cannot. Renegotiation is off (`certificates.py`), so writing never waits for reading. Knows bytes and the host,
no HTTP beyond that 400.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from math import inf
from typing import Any

from blotter.database.http.connection import Connection
from blotter.database.http.host import Host
from blotter.database.http.messages import TlsSession
from blotter.database.http.reader import Refused

log = logging.getLogger(__name__)

# What a TLS connection begins with: the type of a handshake record (RFC 8446, 5.1).
_HANDSHAKE = 22
# The type of an encrypted record, and the length of its header, which ends with that of the rest (RFC 8446, 5.2).
_ENCRYPTED = 23
_HEADER = 5
# The most that a record decrypts to (RFC 8446, 5.1).
_RECORD = 16 * 1024

# What goes through the buffers between socket and OpenSSL at a time: they keep the size they once had.
_PIECE = 64 * 1024

PLAIN_HTTP = "this port speaks TLS: use https:// in the endpoint"


class TlsLayer(asyncio.Protocol):
    """Encrypts one connection with what `context` offers."""

    __slots__ = (
        "_connection",
        "_context",
        "_deadline",
        "_decrypt",
        "_encrypt",
        "_ended",
        "_host",
        "_incoming",
        "_outgoing",
        "_reading",
        "_session",
        "_settled",
        "_transport",
        "since",
        "unsent",
    )

    def __init__(self, host: Host, context: ssl.SSLContext) -> None:
        self._host = host
        self._context = context
        self._transport: Any = None
        self._connection: Connection | None = None
        self._session: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._decrypt: Callable[[int], bytes] | None = None
        self._encrypt: Callable[[bytes | memoryview], int] | None = None
        self._settled = False
        self._reading = True
        self._ended = False
        self._deadline = inf
        self.since = host.next_number()
        self.unsent = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._deadline = self._host.now + self._host.limits.header_timeout
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._session = self._decrypt = self._encrypt = None
        if self._connection is None:
            self._host.closed(self)
        else:
            self._connection.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # What follows the end; what a refused client goes on to send.
        if self._session is None:
            if data[0] != _HANDSHAKE:
                self._refuse_plain_http()
                return
            self._begin()
        if self._settled and self._reading and _is_one_record(data):
            self._take_record(data)
            return
        if len(data) <= _PIECE:
            self._take(data)
            return
        for piece in _pieces(data):
            self._take(piece)

    def eof_received(self) -> bool:
        if self._connection is None or self._session is None:
            return False  # Nothing can be answered any more.
        self._end()
        return True

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()

    # What the connection calls, as of a transport. The order of bytes is that of the calls.

    def get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name)

    def is_closing(self) -> bool:
        return self._session is None or self._transport is None or bool(self._transport.is_closing())

    def write(self, data: bytes) -> None:
        encrypt = self._encrypt
        if encrypt is None or self._session is None:
            return
        try:
            if len(data) <= _PIECE:
                encrypt(data)
                self._transport.write(self._outgoing.read())
                return
            for piece in _pieces(data):
                encrypt(piece)
                self._transport.write(self._outgoing.read())
        except ssl.SSLError:  # An alert of the peer ended the session; the connection learns of it in a moment.
            self.abort()

    def write_eof(self) -> None:
        self._say_goodbye()
        if self._transport is not None:
            self._transport.write_eof()

    def close(self) -> None:
        self._say_goodbye()
        if self._transport is not None:
            self._transport.close()

    def pause_reading(self) -> None:
        self._reading = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        self._transport.resume_reading()
        self._host.loop.call_soon(self._pass_on)  # What was received before the pause comes first.

    # What the server calls: `abort` always, the rest while the handshake goes on.

    @property
    def answering(self) -> bool:
        return False

    def expire(self, now: float) -> None:
        if now >= self._deadline:
            self.abort()

    def drain(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # The work.

    def _begin(self) -> None:
        session = self._session = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # Python's class for sessions only passes calls on to this object; calling it directly is half as dear.
        inner: Any = getattr(session, "_sslobj", session)
        self._decrypt, self._encrypt = inner.read, inner.write

    def _take(self, data: bytes | memoryview) -> None:
        session = self._session
        if session is None:
            return  # An earlier piece ended it.
        self._incoming.write(data)
        if self._connection is None:
            self._shake_hands(session)
        else:
            self._pass_on()

    def _take_record(self, data: bytes) -> None:
        """`_take` for one record, when nothing is left of those before it."""
        decrypt, connection = self._decrypt, self._connection
        assert decrypt is not None
        assert connection is not None
        self._incoming.write(data)
        try:
            content = decrypt(len(data) - _HEADER)
        except ssl.SSLWantReadError:  # Nothing for the connection.
            self._pass_on()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        if content:
            connection.data_received(content)
        else:  # "close notify"
            self._end()

    def _shake_hands(self, session: ssl.SSLObject) -> None:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()
        self._deadline = inf
        cipher = session.cipher()
        facts = TlsSession(session.version() or "", cipher[0] if cipher else "")
        connection = self._connection = Connection(self._host, facts)
        self._host.closed(self)
        connection.connection_made(self)
        self._pass_on()

    def _pass_on(self) -> None:
        """Gives the connection what has arrived, a record at a time, unless it wants to read no more for now."""
        connection, session, incoming = self._connection, self._session, self._incoming
        assert connection is not None
        self._settled = False
        while self._reading and not self._ended and session is not None and self._session is not None:
            try:
                data = session.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fail(error)
                return
            if not data:  # "close notify"
                self._end()
                break
            connection.data_received(data)
            if not incoming.pending and not session.pending():
                self._settled = True
                break  # Asking for more would only raise.
        if self._outgoing.pending:
            self._flush()  # The answer to a change of keys.

    def _end(self) -> None:
        """The client sends no more."""
        if self._ended:
            return
        self._ended = True
        assert self._connection is not None
        if not self._connection.eof_received():
            self.close()

    def _refuse_plain_http(self) -> None:
        """Gives the socket to a connection without TLS that only refuses."""
        transport = self._transport
        connection = Connection(self._host)
        transport.set_protocol(connection)
        self._host.closed(self)
        connection.connection_made(transport)
        connection.refuse(Refused(400, PLAIN_HTTP))

    def _fail(self, error: ssl.SSLError) -> None:
        """Ends a connection whose client does not keep to the protocol, or refuses ours; an alert says why."""
        log.info("a TLS connection failed: %s", error.reason or error)
        self._host.outbox.flush()
        self._flush()
        self._session = None
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """Sends "close notify", once."""
        session, self._session = self._session, None
        if session is None:
            return
        self._ended = True
        with contextlib.suppress(OSError):  # Nearly always: it would wait for the client's own.
            session.unwrap()
        self._flush()


def _is_one_record(data: bytes) -> bool:
    """Whether these are one whole record that is encrypted."""
    size = len(data)
    return size > _HEADER and data[0] == _ENCRYPTED and (data[3] << 8 | data[4]) + _HEADER == size


def _pieces(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    return [view[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
