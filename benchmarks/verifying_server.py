"""`blotter serve` with every request's signature verified against one known secret. For benchmarks only.

    python -m benchmarks.verifying_server serve --port 8000 --data-dir /tmp/data

The server has no setting for this yet; its verifier exists. The name that `blotter.database.server` knows for its
access control is given another class here, before any process is forked: everything else is the server as it is.
"""

from __future__ import annotations

import time

from benchmarks.signing import ACCESS_KEY, SECRET
from blotter.cli import main
from blotter.database import server
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.security.sigv4 import Verifier


class SignedAccess:
    """Replaces OpenAccess: accepts only requests with a valid signature."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._verifier = Verifier(lambda key, _: SECRET if key == ACCESS_KEY else None, time.time)

    def authenticate(self, request: SignedRequest) -> Identity:
        scope = self._verifier.verify(request)
        return Identity(self._account, scope.region, scope.access_key)


if __name__ == "__main__":
    server.OpenAccess = SignedAccess  # type: ignore[assignment, attr-defined]
    main()
