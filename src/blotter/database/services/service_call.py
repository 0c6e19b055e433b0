"""What the calls of all services beside DynamoDB have, as their operations see them."""

from __future__ import annotations

from typing import Any

import msgspec


class ServiceCall(msgspec.Struct, frozen=True, kw_only=True):
    """`account` is the caller's, in which every operation works. `now` is in seconds since the epoch."""

    operation: str
    arguments: dict[str, Any]
    account: str
    now: float

    def argument(self, name: str) -> Any:
        """A member of the input, None if it was not given."""
        return self.arguments.get(name)
