"""The global context keys of a request: what policies of every service may ask about its sender and its way here.

Only the keys that a policy refers to are made: `global_context(facts, keys)`. A key that does not apply to a
request has no values: a user's name for a role's session, the time of issue for permanent credentials. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from blotter.database.http.messages import Request
from blotter.database.model.timestamps import iso
from blotter.database.security.policy import Caller
from blotter.database.security.principal import Principal

Values = tuple[str, ...]


class RequestFacts(msgspec.Struct, frozen=True):
    """A request, as far as policies of every service can ask about it. `now` is in seconds since the epoch."""

    principal: Principal
    request: Request
    region: str
    now: float
    resource_account: str
    """The account that owns the resource."""


def caller_of(principal: Principal) -> Caller:
    return Caller(principal.kind, principal.account, principal.arn, principal.role_arn)


def global_context(facts: RequestFacts, keys: Iterable[str]) -> dict[str, Values]:
    """The values of those of the keys, which are lower-cased, that are global and that the request has."""
    found: dict[str, Values] = {}
    for key in keys:
        values = _values(facts, key)
        if values:
            found[key] = values
    return found


def _values(facts: RequestFacts, key: str) -> Values:
    read = _KEYS.get(key)
    if read is not None:
        return read(facts)
    if key.startswith(_PRINCIPAL_TAG):
        return tag_values(facts.principal.tags.items(), key.removeprefix(_PRINCIPAL_TAG))
    return ()


def tag_values(tags: Iterable[tuple[str, str | None]], name: str) -> Values:
    """The value of a tag, whose name does not depend on case; the last one, if several differ in case only."""
    found: Values = ()
    for tag, value in tags:
        if value is not None and tag.lower() == name:
            found = (value,)
    return found


def _one(text: str) -> Values:
    return (text,) if text else ()


def _truth(value: bool) -> Values:
    return ("true",) if value else ("false",)


def _username(facts: RequestFacts) -> Values:
    return (facts.principal.name,) if facts.principal.kind == "user" else ()


def _token_issue_time(facts: RequestFacts) -> Values:
    session = facts.principal.session
    return () if session is None else (iso(session.issued_at),)


def _multi_factor(facts: RequestFacts) -> Values:
    session = facts.principal.session
    return () if session is None else _truth(session.mfa_authenticated)


def _source_identity(facts: RequestFacts) -> Values:
    session = facts.principal.session
    return () if session is None else _one(session.source_identity)


def _source_ip(facts: RequestFacts) -> Values:
    return _one(facts.request.peer.partition("%")[0].removeprefix("::ffff:"))


_PRINCIPAL_TAG: Final = "aws:principaltag/"
_TYPES: Final = {
    "root": "Account",
    "user": "User",
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
}
_KEYS: Final[dict[str, Callable[[RequestFacts], Values]]] = {
    "aws:currenttime": lambda facts: (iso(facts.now),),
    "aws:epochtime": lambda facts: (str(int(facts.now)),),
    "aws:multifactorauthpresent": _multi_factor,
    "aws:principalaccount": lambda facts: (facts.principal.account,),
    "aws:principalarn": lambda facts: (facts.principal.role_arn or facts.principal.arn,),
    "aws:principalisawsservice": lambda _: ("false",),
    "aws:principaltype": lambda facts: (_TYPES[facts.principal.kind],),
    "aws:referer": lambda facts: _one(facts.request.headers.get("referer", "")),
    "aws:requestedregion": lambda facts: (facts.region,),
    "aws:resourceaccount": lambda facts: (facts.resource_account,),
    "aws:securetransport": lambda facts: _truth(facts.request.tls is not None),
    "aws:sourceidentity": _source_identity,
    "aws:sourceip": _source_ip,
    "aws:tokenissuetime": _token_issue_time,
    "aws:useragent": lambda facts: _one(facts.request.headers.get("user-agent", "")),
    "aws:userid": lambda facts: (facts.principal.user_id,),
    "aws:username": _username,
    "aws:viaawsservice": lambda _: ("false",),
}
