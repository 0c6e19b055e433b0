"""Policies: their documents, and whether they allow a request. Pure: no I/O, no clock, no store.

`parser` makes a `Policy` of a text, `evaluation` decides on a request. IAM's and STS's operations use them as the
authorize stage does.
"""

from blotter.database.security.policy.document import MalformedPolicy, Policy, Statement
from blotter.database.security.policy.evaluation import evaluate
from blotter.database.security.policy.parser import parse_policy
from blotter.database.security.policy.principals import Caller
from blotter.database.security.policy.request import AccessRequest, Decision, Match, PolicySet

__all__ = [
    "AccessRequest",
    "Caller",
    "Decision",
    "MalformedPolicy",
    "Match",
    "Policy",
    "PolicySet",
    "Statement",
    "evaluate",
    "parse_policy",
]
