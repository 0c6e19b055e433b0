"""Temporary credentials: an access key, its secret and a session token, which the server does not store.

The token is the session itself, sealed: who it is of, until when, its policies and tags, and the secret of its
access key. So a token needs no record and ends by itself; that the user or role still exists, and what it may do,
is found in the access state at each change of it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from blotter.database.security.identifiers import new_access_key_id, new_secret
from blotter.database.security.principal import PrincipalKind
from blotter.database.security.sealing import Sealer, Unsealable

_CONTEXT = b"session token"
LONGEST_TOKEN = 24 * 1024
"""Characters; a longer one is none of ours, and would not fit into a request's head with its signature."""


class SessionClaims(msgspec.Struct, frozen=True, array_like=True):
    """Whose session it is, from when until when, and what limits it. Times are seconds since the epoch."""

    kind: PrincipalKind
    """Those of GetSessionToken are "root" and "user"."""
    account: str
    name: str
    """Of the user or the role, as its record has it; of a federated user the name that was given; "" for root."""
    unique_id: str
    """Of the user or role when the session was made: one of another id is another principal of the same name. The
    account's number for root."""
    issued_at: float
    expires_at: float
    session_name: str = ""
    issuer: str = ""
    """Of a federated user: the name of the user that made the session, "" for root; `unique_id` is that user's."""
    policies: tuple[str, ...] | None = None
    """Documents of the session policies that were passed inline; None when neither these nor ARNs were passed."""
    policy_arns: tuple[str, ...] = ()
    """ARNs of the managed policies that were passed as session policies."""
    tags: Mapping[str, str] = {}
    transitive_tag_keys: tuple[str, ...] = ()
    mfa_authenticated: bool = False
    source_identity: str = ""
    external_id: str = ""


class TemporaryCredentials(msgspec.Struct, frozen=True, array_like=True):
    """What a token holds."""

    access_key: str
    secret: str
    claims: SessionClaims

    def __repr__(self) -> str:
        return f"TemporaryCredentials({self.access_key}, {self.claims})"


class IssuedCredentials(NamedTuple):
    """What the caller of AssumeRole or GetSessionToken gets."""

    access_key: str
    secret: str
    token: str

    def __repr__(self) -> str:
        return f"IssuedCredentials({self.access_key})"


class SessionTokens:
    """Issues and opens the session tokens of one server."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._decoder = msgspec.json.Decoder(TemporaryCredentials)

    def issue(self, claims: SessionClaims) -> IssuedCredentials:
        credentials = TemporaryCredentials(new_access_key_id("ASIA", claims.account), new_secret(), claims)
        sealed = self._sealer.seal(zlib.compress(msgspec.json.encode(credentials)), _CONTEXT)
        return IssuedCredentials(credentials.access_key, credentials.secret, base64.b64encode(sealed).decode())

    def open(self, token: str) -> TemporaryCredentials | None:
        """What a token of this server holds, expired or not; None for any other text."""
        if len(token) > LONGEST_TOKEN:
            return None
        try:
            sealed = base64.b64decode(token, validate=True)
            return self._decoder.decode(zlib.decompress(self._sealer.unseal(sealed, _CONTEXT)))
        except (binascii.Error, ValueError, Unsealable, msgspec.MsgspecError):
            return None
