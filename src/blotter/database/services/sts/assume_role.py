"""AssumeRole: credentials of a role, for whom its trust policy and the caller's own policies allow it.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import re

from blotter.database.security.access import Access
from blotter.database.security.access_records import Role, find
from blotter.database.security.policy import Decision, MalformedPolicy, Policy, parse_policy
from blotter.database.security.principal import Principal
from blotter.database.security.session_tokens import SessionClaims
from blotter.database.services.api import Call, Output
from blotter.database.services.authorization import Context, decide, denied, policies_of
from blotter.database.services.errors import ServiceError
from blotter.database.services.sts.session_limits import (
    credentials_view,
    invalid,
    packed_size,
    read_session_policies,
    read_tags,
    refuse_mfa,
)
from blotter.database.storage.protocol import ReadTransaction

DEFAULT_SECONDS = 3600
LONGEST_CHAINED = 3600

_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")
_ROLE_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):role(/(?:[\x21-\x7e]*/)?)([\w+=,.@-]{1,64})", re.ASCII)


def assume_role(call: Call, tx: ReadTransaction, access: Access, principal: Principal) -> Output:
    arguments, arn = call.arguments, call.arguments["RoleArn"]
    if not _ARN.fullmatch(arn):
        raise ServiceError("ValidationError", f"{arn} is invalid")
    if principal.kind == "root":
        raise ServiceError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
    refuse_mfa(call)
    if "ProvidedContexts" in arguments:
        raise invalid("Blotter has no providers of contexts.")
    tags, transitive = _tags(call, principal)
    source_identity = _source_identity(call, principal)
    account, role = _find_role(tx, arn)
    if role is None:
        raise _denied(principal, arn, None)
    _check_allowed(call, principal, account, role, arn, tags, source_identity)
    seconds = _seconds(call, principal, role)
    policies = read_session_policies(call, tx, account)
    packed = packed_size(policies, tags)
    name = arguments["RoleSessionName"]
    claims = SessionClaims(
        "assumed-role",
        account,
        role.name,
        role.id,
        call.now,
        call.now + seconds,
        session_name=name,
        policies=policies.documents if policies.given else None,
        policy_arns=policies.arns,
        tags=_inherited(principal) | tags,
        transitive_tag_keys=transitive,
        source_identity=source_identity,
        external_id=arguments.get("ExternalId", ""),
    )
    output = {
        "Credentials": credentials_view(access.tokens.issue(claims), claims.expires_at),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.id}:{name}",
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role.name}/{name}",
        },
    }
    return output | packed | ({"SourceIdentity": source_identity} if source_identity else {})


def _find_role(tx: ReadTransaction, arn: str) -> tuple[str, Role | None]:
    """The role of an ARN, which is exact in path and case."""
    match = _ROLE_ARN.fullmatch(arn)
    if match is None:
        return "", None
    account, path, name = match.groups()
    role = find(tx, account, Role, name)
    return account, role if role is not None and (role.path, role.name) == (path, name) else None


def _tags(call: Call, principal: Principal) -> tuple[dict[str, str], tuple[str, ...]]:
    """The session tags of the request, and the keys that the next role of a chain inherits."""
    tags = read_tags(call)
    given = {key.lower() for key in tags}
    keys = call.arguments.get("TransitiveTagKeys") or ()
    if not all(key.lower() in given for key in keys):
        raise invalid("The specified transitive tag key must be included in the requested tags.")
    inherited = principal.session.transitive_tag_keys if principal.session is not None else ()
    if any(key.lower() in given for key in inherited):
        raise invalid(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
            "from the calling session."
        )
    return tags, (*inherited, *keys)


def _inherited(principal: Principal) -> dict[str, str]:
    """The transitive session tags of the caller."""
    session = principal.session
    if session is None:
        return {}
    transitive = {key.lower() for key in session.transitive_tag_keys}
    return {key: value for key, value in session.tags.items() if key.lower() in transitive}


def _source_identity(call: Call, principal: Principal) -> str:
    """Once it is set, it stays through all the roles of a chain."""
    given = call.arguments.get("SourceIdentity", "")
    set_before = principal.session.source_identity if principal.session is not None else ""
    if given and set_before and given != set_before:
        raise ServiceError("AccessDenied", "The source identity of the calling session cannot be changed.", 403)
    return str(given or set_before)


def _seconds(call: Call, principal: Principal, role: Role) -> int:
    """How long the session lasts. Credentials of a session give one hour at most."""
    seconds = call.arguments.get("DurationSeconds", DEFAULT_SECONDS)
    if principal.session is not None and seconds > LONGEST_CHAINED:
        raise _too_long("1 hour session limit for roles assumed by role chaining")
    if seconds > role.max_session:
        raise _too_long("MaxSessionDuration set for this role")
    return int(seconds)


def _too_long(limit: str) -> ServiceError:
    return ServiceError("ValidationError", f"The requested DurationSeconds exceeds the {limit}.")


def _check_allowed(
    call: Call,
    principal: Principal,
    account: str,
    role: Role,
    arn: str,
    tags: dict[str, str],
    source_identity: str,
) -> None:
    """Raises AccessDenied unless trust policy and caller's policies allow AssumeRole, TagSession when there are
    tags, and SetSourceIdentity when there is one."""
    actions = ["sts:AssumeRole"]
    if tags or _inherited(principal):
        actions.append("sts:TagSession")
    if source_identity:
        actions.append("sts:SetSourceIdentity")
    trust = _trust(role, arn)
    context = _context(call, role, tags, source_identity)
    policies = policies_of(principal, trust, account)
    for action in actions:
        decision = decide(call, principal, action, arn, context, policies)
        if not decision.allowed:
            raise _denied(principal, arn, decision, action)


def _trust(role: Role, arn: str) -> Policy:
    """A trust policy that cannot be read trusts nobody."""
    try:
        return parse_policy(role.trust, "trust", name=arn)
    except MalformedPolicy:
        return Policy(role.trust, "trust", "2012-10-17", (), name=arn)


def _context(call: Call, role: Role, tags: dict[str, str], source_identity: str) -> Context:
    arguments = call.arguments
    context: Context = {"sts:rolesessionname": (arguments["RoleSessionName"],)}
    if "ExternalId" in arguments:
        context["sts:externalid"] = (arguments["ExternalId"],)
    if source_identity:
        context["sts:sourceidentity"] = (source_identity,)
    if tags:
        context["aws:tagkeys"] = tuple(tags)
        context |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if arguments.get("TransitiveTagKeys"):
        context["sts:transitivetagkeys"] = tuple(arguments["TransitiveTagKeys"])
    for key, value in role.tags.items():
        context[f"aws:resourcetag/{key.lower()}"] = (value,)
        context[f"iam:resourcetag/{key.lower()}"] = (value,)
    return context


def _denied(
    principal: Principal, arn: str, decision: Decision | None, action: str = "sts:AssumeRole"
) -> ServiceError:
    """Without an explicit deny AWS gives no reason: it would say whether there is such a role."""
    if decision is not None and decision.reason == "explicit-deny":
        return denied(principal, action, arn, decision)
    message = f"User: {principal.arn} is not authorized to perform: {action} on resource: {arn}"
    return ServiceError("AccessDenied", message, 403)
