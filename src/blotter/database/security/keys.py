"""Which access keys may be used: permanent ones out of the access state, temporary ones out of their tokens.

Errors are DynamoDB's; the query services call them otherwise (`services/protocols/query.py`). AWS's answers, for
instance: https://github.com/boto/boto3/issues/509 (an invalid token),
https://github.com/aws-samples/sample-sonic-cdk-agent/issues/16 (an expired one).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from blotter.database.model.errors import DynamoDBError
from blotter.database.security.access_state import AccessState
from blotter.database.security.enforced_access import KnownKey
from blotter.database.security.identifiers import account_of
from blotter.database.security.policy import MalformedPolicy
from blotter.database.security.session_tokens import SessionTokens
from blotter.database.storage.at_hand import NotAtHand

_CREDENTIAL = re.compile(r"\bCredential=([A-Z0-9]{16,128})/", re.ASCII)


class Keys:
    """Finds keys for `EnforcedAccess`. `clock` gives seconds since the epoch."""

    def __init__(self, state: AccessState, tokens: SessionTokens, clock: Callable[[], float]) -> None:
        self._state = state
        self._tokens = tokens
        self._clock = clock

    def find(self, access_key: str, token: str | None) -> KnownKey:
        """Raises DynamoDBError: for a key that there is not, that is inactive, whose user or role is gone, or that
        came with a token that is not its own, UnrecognizedClientException; else ExpiredTokenException. Raises
        NotAtHand for a key that may have been made since the store was last read."""
        try:
            return self._find(access_key, token)
        except DynamoDBError:
            # Perhaps another worker has made the key just now.
            if account_of(access_key) is None or not self._state.refresh_here():
                raise
        return self._find(access_key, token)

    def knows(self, headers: dict[str, str]) -> bool:
        """Whether the Authorization header of a request names a key that may be used."""
        named = _CREDENTIAL.search(headers.get("authorization", ""))
        if named is None:
            return False
        try:
            self.find(named[1], headers.get("x-amz-security-token"))
        except (DynamoDBError, MalformedPolicy, NotAtHand):
            return False
        return True

    def _find(self, access_key: str, token: str | None) -> KnownKey:
        if not token:
            return self._find_permanent(access_key)
        credentials = self._tokens.open(token)
        if credentials is None or credentials.access_key != access_key:
            raise _invalid()
        claims = credentials.claims
        if claims.expires_at <= self._clock():
            raise DynamoDBError("ExpiredTokenException", "The security token included in the request is expired")
        principal = self._state.principal_of(claims)
        if principal is None:
            raise _invalid()
        return KnownKey(credentials.secret, principal, claims.expires_at)

    def _find_permanent(self, access_key: str) -> KnownKey:
        credential = self._state.find_access_key(access_key)
        if credential is None or not credential.active:
            raise _invalid()
        principal = self._state.principal_of_user(credential.account, credential.user)
        if principal is None:
            raise _invalid()
        return KnownKey(credential.secret, principal)


def _invalid() -> DynamoDBError:
    return DynamoDBError("UnrecognizedClientException", "The security token included in the request is invalid.")
