"""Access to one server: how its requests are authenticated, and what its services need for principals.

Made once in each process. Under open access every caller is the account's root, and there are no principals. When
access is enforced, `start` keeps the access state up to date and notes when keys were used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from blotter.database.http.messages import Request
from blotter.database.security.access_state import AccessState
from blotter.database.security.identity import Identity
from blotter.database.security.open_access import OpenAccess
from blotter.database.security.sealing import Sealer
from blotter.database.security.session_tokens import SessionTokens

Authenticate = Callable[[Request], Identity]


class Upkeep(Protocol):
    """Work on the event loop, now and then, from `start` to `stop`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Access:
    """`account` is the account of a server with open access, and the first one of any. `authenticator(service)`
    gives the function that authenticates the requests of a service, by its name in credentials' scopes."""

    def __init__(
        self,
        account: str,
        state: AccessState,
        sealer: Sealer,
        authenticator: Callable[[str], Authenticate],
        *,
        enforced: bool,
        upkeep: Iterable[Upkeep] = (),
        knows: Callable[[dict[str, str]], bool] | None = None,
    ) -> None:
        self.account = account
        self.state = state
        self.sealer = sealer
        self.tokens = SessionTokens(sealer)
        self.authenticator = authenticator
        self.enforced = enforced
        self.knows = knows
        """Whether a request's headers name a key that may be used; None under open access."""
        self._upkeep = tuple(upkeep)

    async def start(self) -> None:
        """Reads who may what and begins the upkeep, on the running event loop, before the first request is
        authenticated. Raises what the store raises."""
        if self.enforced:
            await self.state.load()
        for part in self._upkeep:
            part.start()

    def stop(self) -> None:
        """Ends the upkeep, before the store is closed."""
        for part in self._upkeep:
            part.stop()


def open_access(account: str, state: AccessState, sealer: Sealer) -> Access:
    authenticate = OpenAccess(account).authenticate
    return Access(account, state, sealer, lambda _: authenticate, enforced=False)


def enforced_access(
    account: str, state: AccessState, sealer: Sealer, clock: Callable[[], float] = time.time
) -> Access:
    # Not loaded while access is open.
    from blotter.database.security.enforced_access import EnforcedAccess
    from blotter.database.security.key_uses import KeyUses
    from blotter.database.security.keys import Keys

    keys = Keys(state, SessionTokens(sealer), clock)
    services: dict[str, EnforcedAccess] = {}
    uses = KeyUses(state.storage, services, clock)

    def authenticator(service: str) -> Authenticate:
        if service not in services:
            services[service] = EnforcedAccess(service, keys.find, clock)
        return services[service].authenticate

    def changed() -> None:
        uses.collect()
        for service in services.values():
            service.forget()

    state.on_change(changed)
    return Access(account, state, sealer, authenticator, enforced=True, upkeep=(state, uses), knows=keys.knows)
