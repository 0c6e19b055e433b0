"""Open access: every request must name its sender, which is not verified.

For development on loopback. Authentication has to be there and complete, because
that is how a client that forgot it finds out before it reaches AWS; the signature is not verified. All callers
belong to one account; the region is the one in the credential's scope, as with DynamoDB, where each region has
tables of its own.
"""

from __future__ import annotations

from functools import lru_cache

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity
from blotter.database.security.sigv4 import REGION, USUAL_HEADER, parse_authentication, parse_credential

# Longer texts, which no SDK sends, are parsed each time instead of being cached.
_LONGEST_CACHED = 1024


class OpenAccess:
    """Authenticates requests to one account's tables."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._identify = lru_cache(maxsize=1024)(self._identify_uncached)
        self._usual = lru_cache(maxsize=1024)(self._usual_uncached)

    def authenticate(self, request: Request) -> Identity:
        """The caller that the request names. Raises DynamoDBError when it names none, or not completely."""
        headers = request.headers
        if "x-amz-date" in headers and request.target == "/":
            # All of a client's headers differ in their signatures only; every request of an SDK ends here.
            head, _, signature = headers.get("authorization", "").rpartition("Signature=")
            usual = signature.isalnum() and len(head) <= _LONGEST_CACHED
            identity = self._usual(head) if usual else None
            if identity is not None:
                return identity
        credential = parse_authentication(headers, request.target).credential
        if len(credential) > _LONGEST_CACHED:
            return self._identify_uncached(credential)
        return self._identify(credential)

    def _usual_uncached(self, head: str) -> Identity | None:
        """The caller that a header of the usual form names before its signature; None in any other form."""
        usual = USUAL_HEADER.fullmatch(f"{head}Signature=0")
        return None if usual is None else self._identify(usual[2])

    def _identify_uncached(self, credential: str) -> Identity:
        scope = parse_credential(credential)
        if not REGION.fullmatch(scope.region):
            raise DynamoDBError(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region, not '{scope.region}'. ",
            )
        return Identity(self._account, scope.region, scope.access_key)
