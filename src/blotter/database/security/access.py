"""Access to one server: how its requests are authenticated, and what its services need for principals.

Made once in each process. Under open access every caller is the account's root, and there are no principals.
"""

from __future__ import annotations

from collections.abc import Callable

from blotter.database.security.access_state import AccessState
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.security.open_access import OpenAccess
from blotter.database.security.sealing import Sealer
from blotter.database.security.session_tokens import SessionTokens

Authenticate = Callable[[SignedRequest], Identity]


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
    ) -> None:
        self.account = account
        self.state = state
        self.sealer = sealer
        self.tokens = SessionTokens(sealer)
        self.authenticator = authenticator
        self.enforced = enforced


def open_access(account: str, state: AccessState, sealer: Sealer) -> Access:
    authenticate = OpenAccess(account).authenticate
    return Access(account, state, sealer, lambda _: authenticate, enforced=False)
