"""The socket that a server listens on, its URL, and how many connections the system lets it have."""

from __future__ import annotations

import dataclasses
import errno
import resource
import socket

from blotter.database.serving.supervisor import StartError
from blotter.database.settings import Settings

_BACKLOG = 1024
# Descriptors that are not client connections: the store's files, pipes, the loop.
_OWN_FILES = 128
_MOST_FILES = 65_536


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket. Raises StartError with the reason as an operator wants to read it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        advice = ""
        ways = f"{option} or BLOTTER_{option[2:].upper().replace('-', '_')}"
        if error.errno == errno.EADDRINUSE:
            advice = f" (is another server running there?); choose another with {ways} (0: a free one)"
        elif error.errno == errno.EACCES:
            advice = f"; choose one above 1023 with {ways}"
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}{advice}") from None
    return listener


def url_of(settings: Settings, port: int) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls else 'http'}://{host}:{port}"


def within_open_files(settings: Settings) -> Settings:
    """Raises the limit of open files as far as allowed, and keeps the connections below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    most = max(16, (_MOST_FILES if soft == resource.RLIM_INFINITY else soft) - _OWN_FILES)
    return dataclasses.replace(settings, max_connections=min(settings.max_connections, most))
