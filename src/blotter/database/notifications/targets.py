"""`--notify`: which ARNs are delivered where.

    arn:aws:sns:us-east-1:123456789012:ops=https://hooks.example.com/blotter
    arn:aws:sns:*:ops-*=smtps://user:password@mail.example.com:465/?from=db@example.com&to=ops@example.com
    *=sns:http://127.0.0.1:4566

Entries are separated by white space or line breaks, an ARN may have `*` for any characters, and the first entry
that fits an ARN is taken. `file:PATH` names a file of such lines, where passwords are not seen by who lists
processes; lines that begin with `#` are comments. A target's `shown` name has no password and no path.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

FORMS: Final = (
    "ARN=https://…, ARN=smtp://HOST:PORT/?from=…&to=… or ARN=sns:ENDPOINT, separated by blanks, or file:PATH"
)
_SCHEMES: Final = ("http", "https", "smtp", "smtps", "sns")


class DeliveryError(Exception):
    """A message that was not delivered, and may be later; what happened, without secrets."""


class WebHook(NamedTuple):
    """The message is posted to `url`."""

    url: str

    @property
    def shown(self) -> str:
        return _without_secrets(urlsplit(self.url))


class Mail(NamedTuple):
    """The message is sent by e-mail. `encrypted`: TLS from the first byte on; else STARTTLS where it is offered,
    and always before a password is sent."""

    host: str
    port: int
    sender: str
    receivers: tuple[str, ...]
    user: str
    password: str
    encrypted: bool

    @property
    def shown(self) -> str:
        return f"{'smtps' if self.encrypted else 'smtp'}://{self.host}:{self.port}"


class Topic(NamedTuple):
    """The message is published to the topic of the ARN at an endpoint of SNS; "" for AWS's own. Signed with `key`
    and `secret`, or with what the environment says."""

    endpoint: str
    key: str = ""
    secret: str = ""

    @property
    def shown(self) -> str:
        return f"sns:{self.endpoint}"


Target = WebHook | Mail | Topic


class Targets(NamedTuple):
    """What `--notify` says, in its order. `text` is as it was given: a secret."""

    text: str = ""
    entries: tuple[tuple[str, Target], ...] = ()

    def find(self, arn: str) -> Target | None:
        """Where notifications for an ARN go; None for nowhere."""
        return next((target for pattern, target in self.entries if _fits(pattern, arn)), None)


def parse_targets(text: str) -> Targets:
    """Raises ValueError, without what the text says: it may hold passwords. A file is read at once."""
    if not text.strip():
        return Targets()
    given = text
    if text.startswith("file:"):
        try:
            lines = Path(text.removeprefix("file:")).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(f"a file that can be read ({reason})") from None
        given = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return Targets(text, tuple(_entry(entry) for entry in given.split()))


def _entry(entry: str) -> tuple[str, Target]:
    pattern, equals, url = entry.partition("=")
    if not equals or not pattern:
        raise ValueError(FORMS)
    try:
        return pattern, _target(url)
    except ValueError:
        raise ValueError(FORMS) from None


def _target(url: str) -> Target:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(url)
    if parts.scheme == "sns":
        return _topic(url.removeprefix("sns:"))
    if not parts.hostname or (parts.port or 1) < 1:
        raise ValueError(url)
    return WebHook(url) if parts.scheme in ("http", "https") else _mail(parts)


def _topic(endpoint: str) -> Topic:
    if not endpoint:
        return Topic("")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(endpoint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    plain = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
    return Topic(plain, unquote(parts.username or ""), unquote(parts.password or ""))


def _mail(parts: SplitResult) -> Mail:
    query = parse_qs(parts.query)
    receivers = tuple(address for each in query.get("to", []) for address in each.split(",") if address)
    senders = query.get("from", [])
    addresses = (*receivers, *senders)
    if len(senders) != 1 or not receivers or not all("@" in each and each.isprintable() for each in addresses):
        raise ValueError(parts.scheme)
    encrypted = parts.scheme == "smtps"
    port = parts.port or (465 if encrypted else 25)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Mail(parts.hostname or "", port, senders[0], receivers, user, password, encrypted)


def _fits(pattern: str, arn: str) -> bool:
    return fnmatch.fnmatchcase(arn, pattern.replace("[", "[[]").replace("?", "[?]"))


def _without_secrets(parts: SplitResult) -> str:
    """Scheme, host and port: paths of web hooks are secrets as well."""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
