"""AWS Signature Version 4: reads the sender of a request and verifies its signature. No I/O.

`parse_authentication` reads the Authorization header or the presigned query and refuses, with AWS's messages in
AWS's order, what is missing, incomplete or given twice; open access (`open_access.py`) needs no more. `read_claim`
also checks date and scope, all that needs no secret; `check_signature` the rest, once the secret is known. A
request like one that was verified before takes a shorter way (`enforced_access.py`).

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html for the method;
AWS's own answers, as recorded in dynalite (index.js, test/connection.js), for codes, messages and their order. The
canonical string, which the answer to a wrong signature had until 2017, is not in recent ones (for instance
https://github.com/ionic-team/starters/issues/48).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import gmtime, strftime, strptime
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
ALLOWED_SKEW = 15 * 60
"""Seconds by which a request's date may differ from the server's."""
LONGEST_VALIDITY = 7 * 24 * 3600
"""Seconds a presigned request may be valid for."""
MOST_PARAMETERS = 1000
"""Of a query. What AWS's presigned URLs have is below thirty."""
LONGEST_DATE = 64

REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)
"""Any region that could be a part of an ARN: people name theirs "local" or "ddblocal" too."""

# The header as every SDK writes it: algorithm, credential, signed headers, signature. Anything else takes the slow
# way, which finds AWS's message for what is wrong.
USUAL_HEADER = re.compile(
    r"(AWS4-HMAC-SHA256) Credential=([^,= ]+), ?SignedHeaders=([^,= ]+), ?Signature=([^,= ]+)", re.ASCII
)
AMZ_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


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


class Claim(NamedTuple):
    """Who a request says that it is from, so far as that needs no secret: complete, in time, well scoped."""

    given: Authentication
    scope: Scope
    moment: int
    """The request's date, seconds since the epoch."""
    signed: tuple[str, ...]
    """The names of the signed headers."""


def read_claim(request: Request, service: str, now: float) -> Claim:
    """Reads the sender of a request to a service (its name in scopes) and checks all that needs no secret: form,
    date, scope. Its cost does not depend on the body. Raises DynamoDBError."""
    given = parse_authentication(request.headers, request.target)
    moment = parse_date(given.date)
    _check_time(given, moment, int(now))
    signed = _signed_names(given.signed_headers)
    if "host" not in signed:
        raise _invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if given.presigned and "x-amz-target" in request.headers and "x-amz-target" not in signed:
        # A presigned URL is handed on: whoever has it must not choose another operation for the same body.
        raise _invalid("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    if given.algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{given.algorithm}' (only {ALGORITHM} for now). ")
    scope = parse_credential(given.credential)
    _check_scope(scope, moment, service)
    return Claim(given, scope, moment, signed)


def check_signature(request: Request, claim: Claim, secret: str) -> None:
    """Raises DynamoDBError unless the request was signed with the secret."""
    canonical = canonical_request(request, claim.signed, claim.given.presigned)
    to_sign = string_to_sign(_stamp(claim.moment), claim.scope, canonical)
    expected = sign(signing_key(secret, claim.scope), to_sign)
    if not hmac.compare_digest(expected.encode(), claim.given.signature.encode()):
        raise signature_mismatch()


def signature_mismatch() -> DynamoDBError:
    return _invalid(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )


def _check_time(given: Authentication, moment: int, now: int) -> None:
    if given.presigned:
        valid = given.expires or ""
        if not valid.isascii() or not valid.isdigit() or len(valid) > 9 or int(valid) > LONGEST_VALIDITY:
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


def _check_scope(scope: Scope, moment: int, service: str) -> None:
    """Raises one error with everything that is wrong with a scope, as AWS does."""
    wrong = []
    if not REGION.fullmatch(scope.region):
        wrong.append(f"Credential should be scoped to a valid region, not '{scope.region}'. ")
    if scope.service != service:
        wrong.append(f"Credential should be scoped to correct service: '{service}'. ")
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


def canonical_request(request: Request, signed_headers: Sequence[str], presigned: bool) -> str:
    """The text whose hash is signed: method, path, query, signed headers, hash of the body. Its characters are the
    request's bytes (Latin-1). A body is always hashed: DynamoDB takes no UNSIGNED-PAYLOAD."""
    path, _, query = request.target.partition("?")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed_headers)
    return "\n".join(
        (
            request.method,
            _canonical_path(path),
            _canonical_query(query, presigned),
            headers,
            ";".join(signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def string_to_sign(stamp: str, scope: Scope, canonical: str) -> str:
    return f"{ALGORITHM}\n{stamp}\n{scope.text}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key of a day, region and service: four hashes that are the same for all requests of a day."""
    key = b"AWS4" + secret.encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
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
    return dict(_pairs(target.partition("?")[2]))


def _pairs(query: str) -> list[tuple[str, str]]:
    """The parameters of a query; their characters are bytes. Bounded: nothing is known of who sent them."""
    try:
        return parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise _incomplete(f"The query string has more than {MOST_PARAMETERS} parameters.") from None


def _canonical_query(query: str, presigned: bool) -> str:
    if not query:
        return ""
    encoded = sorted(
        (quote(name, safe="-_.~", encoding="latin-1"), quote(value, safe="-_.~", encoding="latin-1"))
        for name, value in _pairs(query)
        if not (presigned and name == "X-Amz-Signature")
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


@lru_cache(maxsize=128)
def _signed_names(signed_headers: str) -> tuple[str, ...]:
    """The names of the signed headers; clients hardly differ in them."""
    return tuple(signed_headers.lower().split(";"))


@lru_cache(maxsize=128)
def _canonical_path(path: str) -> str:
    return quote(_normal_path(unquote(path, "latin-1")), safe="/-_.~", encoding="latin-1")


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
def parse_date(date: str) -> int:
    """Seconds since the epoch of a basic ISO 8601 or an HTTP date."""
    if AMZ_DATE.fullmatch(date):
        try:
            return timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            pass
    try:
        return int(parsedate_to_datetime(date[:LONGEST_DATE]).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
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
