"""What is decided on and what is decided: a request for access, the policies that apply to it, the decision.

request = AccessRequest("dynamodb:GetItem", "arn:aws:dynamodb:…", caller, {"aws:username": ("alice",)})
decision = evaluate(request, PolicySet(identity=(policy,), resource_account="123456789012"))
decision.allowed, decision.reason, decision.kind, decision.matched
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from blotter.database.security.policy.document import Policy, Statement
from blotter.database.security.policy.principals import Caller

PolicyKind = Literal["identity", "boundary", "session", "resource"]

Reason = Literal["allowed", "explicit-deny", "implicit-deny"]

ContextValues = Mapping[str, tuple[str, ...]]
"""Context keys, lower-cased, with their values. A key that the request does not have is not in it, or has no
values. Numbers, times and truth values are texts: "10", "2026-11-28T21:15:00Z", "true"."""


class AccessRequest(msgspec.Struct, frozen=True):
    """One action on one resource. `resource` is an ARN, or "*" for an action that has none."""

    action: str
    resource: str
    caller: Caller
    context: ContextValues = {}


class PolicySet(msgspec.Struct, frozen=True):
    """The policies that apply to a request. `resource_account` owns the resource; "" is the caller's own account.
    `session` is None when no session policies were passed. `resource` is the resource's own policy or, for
    sts:AssumeRole, the role's trust policy, without which nobody may assume it."""

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
