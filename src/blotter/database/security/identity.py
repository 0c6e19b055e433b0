"""The sender of a request, as the later stages see it: the result of authentication."""

from __future__ import annotations

from typing import Final

from blotter.database.security.principal import Principal


class Identity:
    """The caller: account and region whose tables the request is about, and the access key that was shown.
    `principal` is None under open access, where nothing is authorized."""

    __slots__ = ("access_key", "account", "principal", "region")

    def __init__(self, account: str, region: str, access_key: str, principal: Principal | None = None) -> None:
        self.account: Final = account
        self.region: Final = region
        self.access_key: Final = access_key
        self.principal: Final = principal
