"""Whether policies allow a request.

In two steps, because most of the work depends on no value of a request: `narrow` picks the statements that concern
an action, a resource and a caller; `Applicable.decide` tests their conditions. A decision without conditions is
`Applicable.constant` and can be kept.

The order of the rules: a denying statement refuses, wherever it stands. Within an account, a resource policy that
names the user or the session allows; one that names the role does, within boundary and session policies; identity
policies allow within both. Across accounts, identity and resource policy both have to allow. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blotter.database.security.policy.document import Policy, Statement
from blotter.database.security.policy.principals import ACCOUNT, DIRECT, NOBODY, PARENT, Caller
from blotter.database.security.policy.request import AccessRequest, Decision, Match, PolicyKind, PolicySet

Context = Mapping[str, tuple[str, ...]]


def evaluate(request: AccessRequest, policies: PolicySet) -> Decision:
    """The decision. Raises nothing: what cannot be tested does not match."""
    applicable = narrow(request.caller, request.action, request.resource, policies)
    return applicable.decide(request.context)


def narrow(caller: Caller, action: str, resource: str, policies: PolicySet) -> Applicable:
    """The statements that concern an action on a resource by a caller."""
    found: list[_Candidate] = []
    lowered = action.lower()
    for kind, policy in _all_policies(policies):
        for statement in policy.statements:
            directness = _directness(statement, caller, kind, policies)
            if directness == NOBODY or not statement.concerns_action(lowered):
                continue
            if not statement.varies and not statement.concerns_resource(resource, {}):
                continue
            found.append(_Candidate(Match(kind, policy, statement), resource, directness))
    return Applicable(caller, policies, found)


def _all_policies(policies: PolicySet) -> list[tuple[PolicyKind, Policy]]:
    found: list[tuple[PolicyKind, Policy]] = []
    if policies.resource is not None:
        found.append(("resource", policies.resource))
    found += [("identity", policy) for policy in policies.identity]
    if policies.boundary is not None:
        found.append(("boundary", policies.boundary))
    found += [("session", policy) for policy in policies.session or ()]
    return found


def _directness(statement: Statement, caller: Caller, kind: PolicyKind, policies: PolicySet) -> int:
    if kind != "resource":
        return DIRECT
    principal = statement.principal
    if principal is None:
        return NOBODY
    if principal.excludes and statement.denies and policies.boundary is not None:
        return DIRECT  # NotPrincipal with Deny denies every caller with a boundary, as AWS documents.
    return principal.names(caller)


class _Candidate:
    """A statement that applies if its conditions hold."""

    __slots__ = ("_resource", "conditional", "directness", "kind", "match", "statement")

    def __init__(self, match: Match, resource: str, directness: int) -> None:
        self.match: Final = match
        self.kind: Final[str] = match.kind
        self.statement: Final = match.statement
        self.directness: Final = directness
        self._resource: Final = resource
        self.conditional: Final = bool(match.statement.conditions) or match.statement.varies

    def holds(self, context: Context) -> bool:
        if not self.conditional:
            return True
        statement = self.statement
        if statement.varies and not statement.concerns_resource(self._resource, context):
            return False
        return statement.conditions_hold(context)


class Applicable:
    """The statements that concern an action on a resource by a caller, and what follows from them."""

    __slots__ = ("_allowing", "_caller", "_denying", "_policies", "constant", "context_keys")

    def __init__(self, caller: Caller, policies: PolicySet, candidates: list[_Candidate]) -> None:
        self._caller: Final = caller
        self._policies: Final = policies
        self._denying: Final = [candidate for candidate in candidates if candidate.statement.denies]
        self._allowing: Final = [candidate for candidate in candidates if not candidate.statement.denies]
        conditional = [candidate for candidate in candidates if candidate.conditional]
        self.context_keys: Final = frozenset(
            name.lower() for candidate in conditional for name in candidate.statement.names
        )
        """The context keys, lower-cased, on which the decision may depend."""
        self.constant: Final = self._constant()
        """The decision, if it depends on no context key."""

    def decide(self, context: Context) -> Decision:
        denying = [candidate for candidate in self._denying if candidate.holds(context)]
        if denying:
            return _denied(denying)
        return self._weigh([candidate for candidate in self._allowing if candidate.holds(context)])

    def _constant(self) -> Decision | None:
        denying = [candidate for candidate in self._denying if not candidate.conditional]
        if denying:
            return _denied(denying)
        if self._denying:
            return None
        certain = [candidate for candidate in self._allowing if not candidate.conditional]
        decision = self._weigh(certain)
        # Further statements that allow could only confirm it.
        return decision if decision.allowed or len(certain) == len(self._allowing) else None

    def _weigh(self, allowing: list[_Candidate]) -> Decision:
        """The decision when no statement denies, from the statements that allow."""
        matched = tuple(candidate.match for candidate in allowing)
        missing = self._missing(allowing)
        if missing is None:
            return Decision(True, "allowed", None, matched)
        return Decision(False, "implicit-deny", missing, matched)

    def _missing(self, allowing: list[_Candidate]) -> PolicyKind | None:
        """The kind of policy that would have to allow and does not; None when all that have to do."""
        caller, policies = self._caller, self._policies
        granted = NOBODY
        kinds = set()
        for candidate in allowing:
            if candidate.kind == "resource":
                granted = max(granted, candidate.directness)
            else:
                kinds.add(candidate.kind)
        if caller.kind == "service":
            return None if granted == DIRECT else "resource"
        own_account = policies.resource_account in ("", caller.account)
        trust = policies.resource is not None and policies.resource.kind == "trust"
        if own_account:
            if granted == DIRECT:
                return None
            if trust and granted == NOBODY:
                return "resource"
            if caller.kind == "root":
                return None
        if not (own_account and granted == PARENT) and caller.kind != "root" and "identity" not in kinds:
            return "identity"
        if policies.boundary is not None and "boundary" not in kinds:
            return "boundary"
        if policies.session is not None and "session" not in kinds:
            return "session"
        if not own_account and granted < ACCOUNT:
            return "resource"
        return None


def _denied(denying: list[_Candidate]) -> Decision:
    return Decision(False, "explicit-deny", denying[0].match.kind, tuple(candidate.match for candidate in denying))
