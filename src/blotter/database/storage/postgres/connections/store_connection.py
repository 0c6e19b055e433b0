"""The connections of a process to a PostgreSQL store: asyncpg's, with what is known of where they lead."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from blotter.database.storage.postgres.connections.primary import Primary

_FIRST_OWN_OID: Final = 10_000
"""Types with lower numbers are PostgreSQL's own, and the same in every version and database."""
_known: Final[dict[frozenset[int], Any]] = {}
"""What a server has said of such types."""
_NOT_ASKED: Final = SimpleNamespace(name="nothing was asked")


class StoreConnection(asyncpg.Connection):
    """A connection that knows the primary it leads to, and the statements that were prepared on it."""

    __slots__ = ("prepared", "primary")

    prepared: dict[str, Any]
    primary: Primary

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:
        """What asyncpg needs to know of array types before the first statement with them. It asks this on every
        connection anew, which costs PostgreSQL twice as much as the connection itself: too much when all front
        ends connect at once, after a fail-over."""
        wanted = frozenset(typeoids)
        if wanted in _known:
            return _known[wanted], _NOT_ASKED
        types, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        if max(wanted) < _FIRST_OWN_OID:
            _known[wanted] = types
        return types, statement
