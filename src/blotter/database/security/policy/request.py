"""What is decided on and what is decided: a request for access, the policies that apply to it, the decision.

request = AccessRequest("dynamodb:GetItem", "arn:aws:dynamodb:…:table/results", caller, {"aws:username": ("a",)})
decision = evaluate(request, PolicySet(identity=(policy,), resource_account="123456789012"))
decision.allowed, decision.reason, decision.kind, decision.matched
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from blotter.database.security.policy.document import Policy, Statement

CallerKind = Literal["root", "user", "assumed-role", "federated-user", "service"]

PolicyKind = Literal["identity", "boundary", "session", "resource"]

Reason = Literal["allowed", "explicit-deny", "implicit-deny"]

ContextValues = Mapping[str, tuple[str, ...]]
"""Context keys, lower-cased, with their values. A key that the request does not have is not in it; one that has
no values has an empty tuple. Numbers, times and truth values are texts: "10", "2026-11-28T21:15:00Z", "true"."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks, as far as Principal elements and the account boundary need it.

    arn: of a user arn:aws:iam::A:user/path/name, of the root arn:aws:iam::A:root, of a role session
    arn:aws:sts::A:assumed-role/role/session, of a federated user arn:aws:sts::A:federated-user/name, of a service
    its name. role_arn: of an assumed role arn:aws:iam::A:role/path/role.
    """

    kind: CallerKind
    account: str
    arn: str
    role_arn: str = ""


class AccessRequest(msgspec.Struct, frozen=True):
    """One action on one resource. `resource` is an ARN, or "*" for an action that has none."""

    action: str
    resource: str
    caller: Caller
    context: ContextValues = {}


class PolicySet(msgspec.Struct, frozen=True):
    """The policies that apply to a request. `resource_account` owns the resource; "" is the caller's own account.
    `session` is None when no session policies were passed. `resource` is the resource's own policy or, for
    sts:AssumeRole, the role's trust policy."""

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    resource: Policy | None = None
    resource_account: str = ""


class Match(msgspec.Struct, frozen=True):
    """A statement that applies to the request."""

    kind: PolicyKind
    policy: Policy
    statement: Statement


class Decision(msgspec.Struct, frozen=True):
    """`kind` is the kind of policy that denies ("explicit-deny") or that does not allow although it would have to
    ("implicit-deny"); None when access is allowed. `matched`: the statements that decided, the denying ones of an
    explicit deny, the allowing ones otherwise."""

    allowed: bool
    reason: Reason
    kind: PolicyKind | None = None
    matched: tuple[Match, ...] = ()
