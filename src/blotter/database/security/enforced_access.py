"""Enforced access: every request must be signed with the secret of a key that is known and active.

The exact way, `_authenticate_fully`, reads the claim, finds the key, verifies the signature, and gives AWS's error
for what is wrong; nothing of a body is hashed before the key is known. Clients sign all their requests in one way:
the header differs in the signature only, the signed headers in date, target and perhaps ids. So a request that was
verified leaves a `Signer`, found by that header, which knows everything but date, values and body, and verifies
the next one with four hashes and one lookup. A signer lives until the access state changes.

Compiled: every request comes through here. Why it is built so, and what it costs: docs/decisions/0011-signers.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from math import inf, nextafter
from typing import Any, NamedTuple

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.hashing import SHORT, short_sha256
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal
from blotter.database.security.sigv4 import (
    ALGORITHM,
    ALLOWED_SKEW,
    AMZ_DATE,
    USUAL_HEADER,
    Claim,
    check_signature,
    parse_date,
    read_claim,
    signature_mismatch,
    signing_key,
)

MOST_SIGNERS = 4096
"""Ways of signing that are kept; each takes some 2 KB."""
_MOST_SECONDS = 64
"""Dates that a signer keeps: its clients' clocks differ."""
_SIGNATURE_LENGTH = 64
_PLAIN_NAMES = re.compile(r"[a-z0-9;-]+", re.ASCII)
_BLOCK = 64


class KnownKey(NamedTuple):
    """An access key that may be used before `expires_at` (seconds since the epoch)."""

    secret: str
    principal: Principal
    expires_at: float = inf

    def __repr__(self) -> str:
        return f"KnownKey({self.principal.arn})"


class Use(NamedTuple):
    """The last use of an access key. `used_at` is the date of the request, seconds since the epoch."""

    access_key: str
    principal: Principal
    used_at: float
    service: str
    region: str


FindKey = Callable[[str, "str | None"], KnownKey]
"""`find(access_key, session_token)`; raises DynamoDBError for a key that may not be used."""


class EnforcedAccess:
    """Authenticates the requests to one service, by its name in credentials' scopes. `clock` gives seconds since
    the epoch."""

    def __init__(self, service: str, find_key: FindKey, clock: Callable[[], float]) -> None:
        self._service = service
        self._find_key = find_key
        self._clock = clock
        self._signers: dict[str, Signer] = {}
        self._uses: dict[str, Use] = {}
        """Of the requests that went the exact way, by access key."""

    def authenticate(self, request: Request) -> Identity:
        """The caller, whose signature is verified. Raises DynamoDBError."""
        headers = request.headers
        authorization = headers.get("authorization")
        if authorization is not None and request.target == "/" and request.method == "POST":
            signer = self._signers.get(authorization[:-_SIGNATURE_LENGTH])
            if signer is not None:
                signature = authorization[-_SIGNATURE_LENGTH:]
                if signer.verify(headers, request.body, signature, self._clock()):
                    return signer.identity
        return self._authenticate_fully(request)

    def forget(self) -> None:
        """Forgets what was verified so far: keys, principals or policies have changed."""
        self._signers = {}

    def take_uses(self) -> list[Use]:
        """The last uses of keys, perhaps several of one key, since this was last called, and some of before."""
        uses, self._uses = list(self._uses.values()), {}
        return uses + [self._use(signer.identity, signer.used_at) for signer in list(self._signers.values())]

    def _use(self, identity: Identity, used_at: float) -> Use:
        assert identity.principal is not None  # only verified callers are remembered
        return Use(identity.access_key, identity.principal, used_at, self._service, identity.region)

    def _authenticate_fully(self, request: Request) -> Identity:
        signers = self._signers  # those of before the key was looked up: `forget` may come meanwhile
        claim = read_claim(request, self._service, self._clock())
        key = self._find_key(claim.scope.access_key, claim.given.security_token)
        check_signature(request, claim, key.secret)
        identity = Identity(key.principal.account, claim.scope.region, claim.scope.access_key, key.principal)
        self._uses[identity.access_key] = self._use(identity, claim.moment)
        head = _usual_head(request, claim)
        if head is not None:
            if len(signers) >= MOST_SIGNERS:
                signers.clear()
            signers[head] = Signer(claim, key, identity)
        return identity


class Signer:
    """One client's way of signing: key, day, region, service, names of the signed headers.

    `verify` hashes the canonical request from where it differs from the last one of the same second, and its HMACs
    continue from states that have already absorbed the padded key, and the inner one also the string to sign up to
    the hash.
    """

    def __init__(self, claim: Claim, key: KnownKey, identity: Identity) -> None:
        self.identity = identity
        self.used_at = float(claim.moment)
        self._token = claim.given.security_token
        *leading, self._last_name = claim.signed
        self._leading_names: list[str] = leading
        self._opening = "POST\n/\n\n" + "".join(f"{name}:%s\n" for name in leading) + f"{self._last_name}:"
        self._ending = f"\n\n{';'.join(claim.signed)}\n"
        self._day = claim.scope.date
        self._scope = claim.scope.text
        self._last_moment = nextafter(key.expires_at, -inf)
        self._inner, self._outer = _hmac_states(signing_key(key.secret, claim.scope))
        self._seconds: dict[str, _Second] = {}

    def verify(self, headers: dict[str, str], body: bytes, signature: str, now: float) -> bool:
        """Whether the request is verified; False if it has to go the exact way. Raises DynamoDBError for a wrong
        signature."""
        date = headers.get("x-amz-date")
        if date is None or headers.get("x-amz-security-token") != self._token:
            return False
        second = self._seconds.get(date) or self._second(date)
        if second is None or now < second.earliest or now > second.latest:
            return False
        opening = second.opening
        if opening is None or not opening.fits(headers, self._leading_names):
            opening = second.opening = self._open(headers)
        last_value = headers.get(self._last_name, "")
        if opening is None or _has_runs(last_value):
            return False
        payload = short_sha256(body) if len(body) <= SHORT else sha256(body)
        canonical = opening.hash.copy()
        canonical.update(f"{last_value}{self._ending}{payload.hexdigest()}".encode("latin-1"))
        inner = second.inner.copy()
        inner.update(canonical.hexdigest().encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        if not compare_digest(outer.hexdigest().encode(), signature.encode()):
            raise signature_mismatch()
        self.used_at = second.moment
        return True

    def _open(self, headers: dict[str, str]) -> _Opening | None:
        """The canonical request up to the last signed header's value; None if a value has to be normalized."""
        values = [headers.get(name, "") for name in self._leading_names]
        text = self._opening % tuple(values)
        return None if _has_runs(text) else _Opening(values, short_sha256(text.encode("latin-1")))

    def _second(self, date: str) -> _Second | None:
        """What all requests of one date have in common; None for a date that needs the exact way."""
        if AMZ_DATE.fullmatch(date) is None or not date.startswith(self._day):
            return None
        try:
            moment = parse_date(date)
        except DynamoDBError:
            return None
        inner = self._inner.copy()
        inner.update(f"{ALGORITHM}\n{date}\n{self._scope}\n".encode())
        second = _Second(float(moment), min(moment + ALLOWED_SKEW, self._last_moment), inner)
        if len(self._seconds) >= _MOST_SECONDS:
            self._seconds.clear()
        self._seconds[date] = second
        return second


class _Second:
    """A date of requests, and the inner hash over the string to sign up to it."""

    def __init__(self, moment: float, latest: float, inner: Any) -> None:
        self.moment = moment
        self.earliest = moment - ALLOWED_SKEW
        self.latest = latest
        self.inner = inner
        self.opening: _Opening | None = None
        """Of the last request."""


class _Opening:
    """How canonical requests begin: the values of all signed headers but the last, and the hash over them."""

    def __init__(self, values: list[str], hash: Any) -> None:  # noqa: A002
        self.values = values
        self.hash = hash

    def fits(self, headers: dict[str, str], names: list[str]) -> bool:
        values = self.values
        return all(headers.get(name, "") == values[at] for at, name in enumerate(names))


def _usual_head(request: Request, claim: Claim) -> str | None:
    """What the headers of requests that are signed in this way begin with; None for a way that no SDK takes."""
    authorization = request.headers.get("authorization", "")
    if (
        claim.given.presigned
        or request.target != "/"
        or request.method != "POST"
        or request.headers.get("x-amz-date") != claim.given.date
        or not USUAL_HEADER.fullmatch(authorization)
        or not authorization.endswith(f"Signature={claim.given.signature}")
        or len(claim.given.signature) != _SIGNATURE_LENGTH
        or not _PLAIN_NAMES.fullmatch(claim.given.signed_headers)
    ):
        return None
    return authorization[:-_SIGNATURE_LENGTH]


def _has_runs(text: str) -> bool:
    """Whether the text has runs of blanks, or tabs, which a canonical request has not."""
    return "  " in text or "\t" in text


def _hmac_states(key: bytes) -> tuple[Any, Any]:
    """HMAC-SHA256's inner and outer hash after the padded key (RFC 2104)."""
    padded = key.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return short_sha256(inner), short_sha256(outer)
