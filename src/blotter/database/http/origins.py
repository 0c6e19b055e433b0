"""Under open access: which Host and Origin headers are trusted.

Without signatures, whatever reaches the port is obeyed, and any web page a developer visits can make the browser
send requests to 127.0.0.1. Two rules keep pages out, and there are no CORS headers anywhere:

- **Host.** A page that points its own name at 127.0.0.1 (DNS rebinding) sends that name as Host. Trusted are
  loopback names and addresses, the host the server was bound to, names from `--allowed-hosts` and, where the
  server listens beyond loopback, any literal IP address (a page cannot rebind an address).
- **Origin.** Browsers add it to every request from a page that is not a plain navigation. Only the server's own
  pages are trusted: Origin must name the very host and port of the request. Programs send no Origin. A page of
  another local server (http://localhost:3000) is another origin: it could not read an answer anyway.

Pure functions and a bounded cache, used by `routing.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from blotter.hosts import is_address, is_loopback

_CACHED_HOSTS = 256
# A longer Host header is checked each time instead of being cached.
_LONGEST_CACHED = 300


class Origins:
    """The rules of one server. `bound_host` is what it listens on, `allowed` are further host names."""

    __slots__ = ("_any_address", "_names", "_trusted")

    def __init__(self, bound_host: str, allowed: Iterable[str] = ()) -> None:
        self._names = {bound_host.lower(), "localhost", *(name.lower() for name in allowed)}
        self._any_address = not is_loopback(bound_host)
        self._trusted: set[str] = set()

    def refuse(self, host: str | None, origin: str | None) -> str | None:
        """None for a request to be answered, else why it is refused."""
        if host is None:
            return None  # HTTP/1.0 without a name: no browser sends this.
        if host not in self._trusted:
            if not self._is_trusted(split_port(host)[0]):
                return (
                    f"The Host header names '{host}', which this server does not answer to while access is open. "
                    "Use localhost or 127.0.0.1, or start it with --allowed-hosts."
                )
            if len(self._trusted) < _CACHED_HOSTS and len(host) <= _LONGEST_CACHED:
                self._trusted.add(host)
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return (
                f"The request comes from a web page (Origin '{origin}'): pages get no answer while access is open."
            )
        return None

    def _is_trusted(self, name: str) -> bool:
        name = name.lower().removesuffix(".")
        if name in self._names or name.endswith(".localhost") or is_loopback(name):
            return True
        return self._any_address and is_address(name)


def split_port(host: str) -> tuple[str, str]:
    """A Host header's name (an IPv6 address without brackets) and its port, "" when it has none."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port
