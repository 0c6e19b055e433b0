"""AWS's sentence for a request that is not allowed: who, which action, which resource, which kind of policy.

    User: arn:aws:iam::123456789012:user/alice is not authorized to perform: dynamodb:GetItem on resource:
    arn:aws:dynamodb:us-east-1:123456789012:table/results because no identity-based policy allows the
    dynamodb:GetItem action

It is the same for every service. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

from typing import Final

from blotter.database.security.policy import Decision

_POLICIES: Final = {
    "identity": ("an", "identity-based policy"),
    "resource": ("a", "resource-based policy"),
    "boundary": ("a", "permissions boundary"),
    "session": ("a", "session policy"),
}


def denial(caller: str, action: str, resource: str, decision: Decision) -> str:
    """The sentence. `caller` is the principal's ARN; the decision is one that refuses."""
    article, policy = _POLICIES[decision.kind or "identity"]
    if decision.reason == "explicit-deny":
        why = f"with an explicit deny in {article} {policy}"
    else:
        why = f"because no {policy} allows the {action} action"
    return f"User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"
