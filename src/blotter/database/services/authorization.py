"""Whether the caller of an operation of IAM or STS may call it.

The root may do everything in its account; everybody else what the policies that apply to the call allow.
"""

from __future__ import annotations

from collections.abc import Mapping

from blotter.database.security.policy import AccessRequest, Decision, Policy, PolicySet, evaluate
from blotter.database.security.principal import Principal
from blotter.database.security.refusals import denial
from blotter.database.security.request_context import RequestFacts, caller_of, global_context
from blotter.database.services.api import Call
from blotter.database.services.errors import ServiceError

Context = dict[str, tuple[str, ...]]
"""Context keys, lower-cased, with their values."""


def authorize(
    call: Call, principal: Principal, action: str, resource: str, context: Mapping[str, tuple[str, ...]]
) -> None:
    """Raises AccessDenied unless the policies of the principal allow an action in its own account. `context` has
    the keys of the service; the global ones are added."""
    if principal.kind == "root":
        return
    policies = policies_of(principal)
    decision = decide(call, principal, action, resource, context, policies)
    if not decision.allowed:
        raise denied(principal, action, resource, decision)


def policies_of(principal: Principal, resource_policy: Policy | None = None, account: str = "") -> PolicySet:
    """The policies that apply to a request of a principal; `account` owns the resource, "" for the principal's."""
    return PolicySet(principal.policies, principal.boundary, principal.session_policies, resource_policy, account)


def decide(
    call: Call,
    principal: Principal,
    action: str,
    resource: str,
    context: Mapping[str, tuple[str, ...]],
    policies: PolicySet,
) -> Decision:
    account = policies.resource_account or principal.account
    facts = RequestFacts(principal, call.request, call.caller.region, call.now, account)
    values = global_context(facts, _keys(policies)) | dict(context)
    return evaluate(AccessRequest(action, resource, caller_of(principal), values), policies)


def denied(principal: Principal, action: str, resource: str, decision: Decision) -> ServiceError:
    return ServiceError("AccessDenied", denial(principal.arn, action, resource, decision), 403)


def _keys(policies: PolicySet) -> set[str]:
    """The context keys that the policies refer to."""
    others = [policy for policy in (policies.boundary, policies.resource) if policy is not None]
    every = (*policies.identity, *(policies.session or ()), *others)
    return {key.lower() for policy in every for key in policy.context_keys}
