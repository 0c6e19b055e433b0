"""The sender of a request, as the later stages see it: the result of authentication."""

from __future__ import annotations

from typing import Protocol

import msgspec

from blotter.database.security.principal import Principal


class Identity(msgspec.Struct, frozen=True):
    """The caller: account and region whose tables the request is about, and the access key that was shown.
    `principal` is None under open access, where nothing is authorized."""

    account: str
    region: str
    access_key: str
    principal: Principal | None = None


class SignedRequest(Protocol):
    """What authentication looks at; `http.messages.Request` is one. Header names are lower-cased, the values of a
    repeated header joined by ","; `target` is path and query as sent."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes: ...
