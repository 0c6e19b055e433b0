"""GetSessionToken and GetFederationToken: temporary credentials of the caller, or of somebody it vouches for.

Both need permanent credentials; those of the root last one hour at most. Sources:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html, …/API_GetFederationToken.html
"""

from __future__ import annotations

from blotter.database.security.access import Access
from blotter.database.security.principal import Principal
from blotter.database.security.session_tokens import SessionClaims
from blotter.database.services.api import Call, Output
from blotter.database.services.authorization import Context, authorize, decide, denied, policies_of
from blotter.database.services.errors import ServiceError
from blotter.database.services.sts.session_limits import (
    credentials_view,
    packed_size,
    read_session_policies,
    read_tags,
    refuse_mfa,
)
from blotter.database.storage.protocol import ReadTransaction

DEFAULT_SECONDS = 43200
LONGEST_OF_ROOT = 3600


def get_session_token(call: Call, access: Access, principal: Principal) -> Output:
    """Needs no permission; only an explicit deny refuses it."""
    _check_permanent(call, principal)
    refuse_mfa(call)
    if principal.kind != "root":
        decision = decide(call, principal, "sts:GetSessionToken", "*", {}, policies_of(principal))
        if decision.reason == "explicit-deny":
            raise denied(principal, "sts:GetSessionToken", "*", decision)
    claims = SessionClaims(
        principal.kind,
        principal.account,
        principal.name,
        principal.user_id,
        call.now,
        call.now + _seconds(call, principal),
    )
    return {"Credentials": credentials_view(access.tokens.issue(claims), claims.expires_at)}


def get_federation_token(call: Call, tx: ReadTransaction, access: Access, principal: Principal) -> Output:
    """The session may do what both the caller's policies and the session policies allow: without session policies,
    nothing."""
    _check_permanent(call, principal)
    name, account = call.arguments["Name"], principal.account
    arn = f"arn:aws:sts::{account}:federated-user/{name}"
    tags = read_tags(call)
    context: Context = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if tags:
        context["aws:tagkeys"] = tuple(tags)
        authorize(call, principal, "sts:TagSession", arn, context)
    authorize(call, principal, "sts:GetFederationToken", arn, context)
    policies = read_session_policies(call, tx, account)
    packed = packed_size(policies, tags)
    claims = SessionClaims(
        "federated-user",
        account,
        name,
        principal.user_id,
        call.now,
        call.now + _seconds(call, principal),
        issuer=principal.name,
        policies=policies.documents,
        policy_arns=policies.arns,
        tags=tags,
    )
    return {
        "Credentials": credentials_view(access.tokens.issue(claims), claims.expires_at),
        "FederatedUser": {"FederatedUserId": f"{account}:{name}", "Arn": arn},
    } | (packed or {"PackedPolicySize": 0})


def _check_permanent(call: Call, principal: Principal) -> None:
    if principal.session is not None:
        raise ServiceError("AccessDenied", f"Cannot call {call.operation} with session credentials", 403)


def _seconds(call: Call, principal: Principal) -> int:
    seconds = int(call.arguments.get("DurationSeconds", DEFAULT_SECONDS))
    return min(seconds, LONGEST_OF_ROOT) if principal.kind == "root" else seconds
