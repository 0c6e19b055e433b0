"""Whether policies allow a request.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from blotter.database.security.policy.request import AccessRequest, Decision, PolicySet


def evaluate(request: AccessRequest, policies: PolicySet) -> Decision:
    """The decision. Never raises: what cannot be tested does not match."""
    raise NotImplementedError
