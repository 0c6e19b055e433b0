"""Open access: every request must say who it is from, and is believed.

For development on loopback (ARCHITECTURE, "Processes"). Authentication has to be there and complete, because that
is how a client that forgot it finds out before it meets AWS; the signature is not judged. All callers belong to
one account; the region is the one in the credential's scope, as with DynamoDB, where each region has tables of its
own.
"""

from __future__ import annotations

import re
from functools import lru_cache

from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity, SignedRequest
from blotter.database.security.sigv4 import USUAL_HEADER, parse_authentication, parse_credential

# Any region that could be a part of an ARN: people name theirs "local" or "ddblocal" too.
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)


class OpenAccess:
    """Authenticates requests to one account's tables."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._identify = lru_cache(maxsize=1024)(self._identify_uncached)

    def authenticate(self, request: SignedRequest) -> Identity:
        """The caller, as it says. Raises DynamoDBError when it says nothing, or not all that is needed."""
        headers = request.headers
        usual = USUAL_HEADER.fullmatch(headers.get("authorization", ""))
        if usual is not None and "x-amz-date" in headers and request.target == "/":
            return self._identify(usual[2])  # Every request of an SDK ends here.
        return self._identify(parse_authentication(headers, request.target).credential)

    def _identify_uncached(self, credential: str) -> Identity:
        scope = parse_credential(credential)
        if not _REGION.fullmatch(scope.region):
            raise DynamoDBError(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region, not '{scope.region}'. ",
            )
        return Identity(self._account, scope.region, scope.access_key)
