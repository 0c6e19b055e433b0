"""AWS Signature Version 4: reads the sender of a request and verifies its signature. No I/O.

`parse_authentication` reads the Authorization header or the presigned query and refuses, with AWS's messages in
AWS's order, what is missing, incomplete or given twice. `Verifier` verifies the rest: date, scope, key,
signature. Open access (`open_access.py`) needs the first only; the second is for servers that know their
clients' secrets.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html for the method;
AWS's own answers, as recorded in dynalite (index.js, test/connection.js), for codes, messages and their order.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime, strftime, strptime
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import SignedRequest

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SERVICE = "dynamodb"
ALLOWED_SKEW = 15 * 60
"""Seconds by which a request's date may differ from the server's."""
LONGEST_VALIDITY = 7 * 24 * 3600
"""Seconds a presigned request may be valid for."""

# The header as every SDK writes it: algorithm, credential, signed headers, signature. Anything else takes the slow
# way, which finds AWS's message for what is wrong.
USUAL_HEADER = re.compile(
    r"(AWS4-HMAC-SHA256) Credential=([^,= ]+), ?SignedHeaders=([^,= ]+), ?Signature=([^,= ]+)", re.ASCII
)
_AMZ_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


class Scope(NamedTuple):
    """A credential, taken apart: `key/date/region/service/aws4_request`."""

    access_key: str
    date: str
    region: str
    service: str
    terminator: str

    @property
    def text(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


class Authentication(NamedTuple):
    """What a request contains about its sender, not verified. `date` as sent; a presigned one has `expires`,
    seconds."""

    algorithm: str
    credential: str
    signed_headers: str
    signature: str
    date: str
    security_token: str | None
    presigned: bool
    expires: str | None = None


def parse_authentication(headers: Mapping[str, str], target: str) -> Authentication:
    """Reads the sender of a request. Raises DynamoDBError when it names none, or not completely."""
    authorization = headers.get("authorization")
    query = _query(target) if "?" in target else {}
    presigned = "X-Amz-Algorithm" in query
    if authorization and presigned:
        raise _invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    if presigned:
        return _parse_query(query)
    if not authorization or not authorization.startswith("AWS4-"):
        raise DynamoDBError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    date = headers.get("x-amz-date") or headers.get("date") or ""
    usual = USUAL_HEADER.fullmatch(authorization)
    if usual is not None and date:
        algorithm, credential, signed_headers, signature = usual.groups()
    else:
        algorithm, credential, signed_headers, signature = _parse_header(authorization, date)
    return Authentication(
        algorithm, credential, signed_headers, signature, date, headers.get("x-amz-security-token"), False
    )


def parse_credential(credential: str) -> Scope:
    """Takes a credential apart; slashes at its end do not count."""
    parts = credential.rstrip("/").split("/")
    if len(parts) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential}'"
        )
    return Scope(*parts)


class Verifier:
    """Verifies what `parse_authentication` read.

    `find_secret` gives the secret of an access key (for temporary credentials, it gets their session
    token too), or None when there is no such key. `region` None accepts every region. `clock` gives seconds since
    the epoch.
    """

    def __init__(
        self,
        find_secret: Callable[[str, str | None], str | None],
        clock: Callable[[], float],
        region: str | None = None,
        service: str = SERVICE,
    ) -> None:
        self._find_secret = find_secret
        self._clock = clock
        self._region = region
        self._service = service

    def verify(self, request: SignedRequest) -> Scope:
        """The scope of a request that its sender signed. Raises DynamoDBError for any other."""
        given = parse_authentication(request.headers, request.target)
        moment = _parse_date(given.date)
        self._check_time(given, moment)
        signed = _signed_names(given.signed_headers)
        if "host" not in signed:
            raise _invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
        if given.algorithm != ALGORITHM:
            raise _incomplete(f"Unsupported AWS 'algorithm': '{given.algorithm}' (only {ALGORITHM} for now). ")
        scope = parse_credential(given.credential)
        self._check_scope(scope, moment)
        secret = self._find_secret(scope.access_key, given.security_token)
        if secret is None:
            raise DynamoDBError(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        canonical = canonical_request(request, signed, given.presigned)
        to_sign = string_to_sign(_stamp(moment), scope, canonical)
        expected = sign(signing_key(secret, scope.date, scope.region, scope.service), to_sign)
        if not hmac.compare_digest(expected.encode(), given.signature.encode()):
            raise _mismatch(canonical, to_sign)
        return scope

    def _check_time(self, given: Authentication, moment: int) -> None:
        now = int(self._clock())
        if given.presigned:
            valid = given.expires or ""
            if not valid.isascii() or not valid.isdigit() or int(valid) > LONGEST_VALIDITY:
                raise _incomplete("X-Amz-Expires must be a number of seconds up to one week")
            until = moment + int(valid)
            if now > until:
                raise _invalid(f"Signature expired: {_stamp(until)} is now earlier than {_stamp(now)}")
        elif now - moment > ALLOWED_SKEW:
            raise _invalid(
                f"Signature expired: {_stamp(moment)} is now earlier than {_stamp(now - ALLOWED_SKEW)} "
                f"({_stamp(now)} - {ALLOWED_SKEW // 60} min.)"
            )
        if moment - now > ALLOWED_SKEW:
            raise _invalid(
                f"Signature not yet current: {_stamp(moment)} is still later than {_stamp(now + ALLOWED_SKEW)} "
                f"({_stamp(now)} + {ALLOWED_SKEW // 60} min.)"
            )

    def _check_scope(self, scope: Scope, moment: int) -> None:
        """Raises one error with everything that is wrong with a scope, as AWS does."""
        wrong = []
        if not scope.region or self._region not in (None, scope.region):
            wrong.append(f"Credential should be scoped to a valid region, not '{scope.region}'. ")
        if scope.service != self._service:
            wrong.append(f"Credential should be scoped to correct service: '{self._service}'. ")
        if scope.terminator != TERMINATOR:
            wrong.append(
                f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{scope.terminator}'. "
            )
        day = _stamp(moment)[:8]
        if scope.date != day:
            wrong.append(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{scope.date}' != '{day}', from '{_stamp(moment)}'."
            )
        if wrong:
            raise _invalid("".join(wrong))


def canonical_request(request: SignedRequest, signed_headers: Sequence[str], presigned: bool) -> str:
    """The text whose hash is signed: method, path, query, signed headers, hash of the body."""
    path, _, query = request.target.partition("?")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed_headers)
    declared = request.headers.get("x-amz-content-sha256")
    if declared == "UNSIGNED-PAYLOAD" and presigned:
        payload = declared
    else:
        payload = hashlib.sha256(request.body).hexdigest()
    return "\n".join(
        (
            request.method,
            _canonical_path(path),
            _canonical_query(query, presigned),
            headers,
            ";".join(signed_headers),
            payload,
        )
    )


def string_to_sign(stamp: str, scope: Scope, canonical: str) -> str:
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{stamp}\n{scope.text}\n{hashed}"


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of a day, region and service: four hashes that are the same for all requests of a day."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, to_sign: str) -> str:
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _parse_header(authorization: str, date: str) -> tuple[str, str, str, str]:
    """The slow way through an Authorization header: finds all that is missing."""
    algorithm, _, rest = authorization.partition(" ")
    parameters: dict[str, str] = {}
    for part in re.split(r"[,\s]+", rest.strip()):
        name, equals, value = part.partition("=")
        if part and not equals:
            raise _incomplete(
                f"'{part}' not a valid key=value pair (missing equal-sign) "
                f"in Authorization header: '{authorization}'."
            )
        parameters[name] = value
    wrong = [
        f"Authorization header requires '{name}' parameter. "
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parameters.get(name)
    ]
    if not date:
        wrong.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
    if wrong:
        raise _incomplete(f"{''.join(wrong)}Authorization={authorization}")
    return algorithm, parameters["Credential"], parameters["SignedHeaders"], parameters["Signature"]


def _parse_query(query: Mapping[str, str]) -> Authentication:
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    wrong = [f"AWS query-string parameters must include '{name}'. " for name in names if not query.get(name)]
    if wrong:
        raise _incomplete(f"{''.join(wrong)}Re-examine the query-string parameters.")
    algorithm, credential, signature, signed_headers, date = (query[name] for name in names)
    return Authentication(
        algorithm,
        credential,
        signed_headers,
        signature,
        date,
        query.get("X-Amz-Security-Token"),
        True,
        query.get("X-Amz-Expires"),
    )


def _query(target: str) -> dict[str, str]:
    return dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))


def _canonical_query(query: str, presigned: bool) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in pairs
        if not (presigned and name == "X-Amz-Signature")
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


@lru_cache(maxsize=128)
def _signed_names(signed_headers: str) -> tuple[str, ...]:
    """The names of the signed headers; clients hardly differ in them."""
    return tuple(signed_headers.lower().split(";"))


@lru_cache(maxsize=128)
def _canonical_path(path: str) -> str:
    return quote(_normal_path(unquote(path)), safe="/-_.~")


def _normal_path(path: str) -> str:
    """RFC 3986's dot segments and doubled slashes removed."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    closing = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{closing}"


# Requests of one second have one date, and reading or writing one takes longer than a signature.
@lru_cache(maxsize=128)
def _parse_date(date: str) -> int:
    """Seconds since the epoch of a basic ISO 8601 or an HTTP date."""
    if _AMZ_DATE.fullmatch(date):
        try:
            return timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            pass
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, IndexError):
        raise _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


@lru_cache(maxsize=128)
def _stamp(moment: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(moment))


def _incomplete(message: str) -> DynamoDBError:
    return DynamoDBError("IncompleteSignatureException", message)


def _invalid(message: str) -> DynamoDBError:
    return DynamoDBError("InvalidSignatureException", message)


def _mismatch(canonical: str, to_sign: str) -> DynamoDBError:
    return _invalid(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"
        f"The Canonical String for this request should have been\n'{canonical}'\n\n"
        f"The String-to-Sign should have been\n'{to_sign}'\n"
    )
