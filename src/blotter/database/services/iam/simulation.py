"""SimulateCustomPolicy, SimulatePrincipalPolicy, GetContextKeysFor…: what policies would decide.

The same evaluation decides as for requests (`security.policy.evaluate`); here its inputs are the request's.
Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html; the form of the
answers as recorded in LocalStack's tests (tests/aws/services/iam/test_iam.snapshot.json, 2025-04).
"""

from __future__ import annotations

import re
from typing import Any

from blotter.database.security.policy import (
    AccessRequest,
    Caller,
    Decision,
    MalformedPolicy,
    Match,
    Policy,
    PolicySet,
    evaluate,
    parse_policy,
)
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.errors import invalid_input, malformed_policy
from blotter.database.services.iam.paging import page, start_after
from blotter.database.services.iam.simulated_principals import policies_of_principal
from blotter.database.storage.protocol import ReadTransaction

_DECISIONS = {"allowed": "allowed", "explicit-deny": "explicitDeny", "implicit-deny": "implicitDeny"}
_SOURCES = {
    "identity": "IAM Policy",
    "boundary": "IAM Permissions Boundary Policy",
    "session": "IAM Policy",
    "resource": "Resource Policy",
}
_ACCOUNT = re.compile(r"arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):", re.ASCII)
_CALLER = re.compile(
    r"arn:aws:(?:iam|sts)::([0-9]{12}):(root|user/|assumed-role/|federated-user/|role/)", re.ASCII
)
_KINDS = {"root": "root", "user/": "user", "assumed-role/": "assumed-role", "federated-user/": "federated-user"}


def simulate_custom_policy(call: IamCall, tx: ReadTransaction) -> Output:  # noqa: ARG001
    return _simulate(call, _inputs(call, "PolicyInputList"), _boundary(call), call.argument("CallerArn"))


def simulate_principal_policy(call: IamCall, tx: ReadTransaction) -> Output:
    """The principal's policies and those of the request; a boundary of the request replaces the principal's."""
    source = call.arguments["PolicySourceArn"]
    policies, boundary = policies_of_principal(tx, call.account, source)
    caller = call.argument("CallerArn") or (source if ":user/" in source else None)
    given = _boundary(call)
    # There are no organizations, so nothing of theirs forbids anything.
    extra = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": True}}
    return _simulate(call, policies + _inputs(call, "PolicyInputList"), given or boundary, caller, extra)


def get_context_keys_for_custom_policy(call: IamCall, tx: ReadTransaction) -> Output:  # noqa: ARG001
    return _context_keys(_inputs(call, "PolicyInputList"))


def get_context_keys_for_principal_policy(call: IamCall, tx: ReadTransaction) -> Output:
    policies, _ = policies_of_principal(tx, call.account, call.arguments["PolicySourceArn"])
    return _context_keys(policies + _inputs(call, "PolicyInputList"))


def _context_keys(policies: tuple[Policy, ...]) -> Output:
    keys = {key.lower(): key for policy in policies for key in sorted(policy.context_keys)}
    return {"ContextKeyNames": [keys[key] for key in sorted(keys)]}


def _simulate(
    call: IamCall,
    identity: tuple[Policy, ...],
    boundary: Policy | None,
    caller_arn: str | None,
    extra: Output | None = None,
) -> Output:
    resource_policy = _resource_policy(call)
    if resource_policy is not None and caller_arn is None:
        raise invalid_input("CallerArn is required if you include a ResourcePolicy.")
    caller = _caller(call.account, caller_arn)
    context = _context(call)
    policies = [*identity, *(policy for policy in (boundary, resource_policy) if policy is not None)]
    missing = _missing(policies, context)
    actions, resources = call.arguments["ActionNames"], call.argument("ResourceArns") or ["*"]

    def result(number: int) -> dict[str, Any]:
        action, resource = actions[number // len(resources)], resources[number % len(resources)]
        owner = _owner(call, resource)
        policy_set = PolicySet(identity, boundary, None, resource_policy, owner)
        decision = evaluate(AccessRequest(action, resource, caller, context), policy_set)
        view = _result(action, resource, decision, missing, specific="ResourceArns" in call.arguments)
        view |= extra or {}
        if boundary is not None:
            view["PermissionsBoundaryDecisionDetail"] = {
                "AllowedByPermissionsBoundary": _allows(boundary, AccessRequest(action, resource, caller, context))
            }
        return view

    # Every action with every resource may be millions of pairs: only those of the page are made.
    after = start_after(call)
    numbers = range(int(after) + 1 if after.isascii() and after.isdigit() else 0, len(actions) * len(resources))
    return page(call, numbers, lambda number: f"{number:09}", result, "EvaluationResults")


def _result(
    action: str, resource: str, decision: Decision, missing: list[str], *, specific: bool
) -> dict[str, Any]:
    """With resources in the request, missing context keys are listed for each resource."""
    name, matched = _DECISIONS[decision.reason], [_match(match) for match in decision.matched]
    view: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": name,
        "MatchedStatements": matched,
        "MissingContextValues": [] if specific else missing,
        "EvalDecisionDetails": {},
    }
    if specific:
        view["ResourceSpecificResults"] = [
            {
                "EvalResourceName": resource,
                "EvalResourceDecision": name,
                "MatchedStatements": matched,
                "MissingContextValues": missing,
            }
        ]
    return view


def _match(match: Match) -> dict[str, Any]:
    text, statement = match.policy.text, match.statement
    return {
        "SourcePolicyId": match.policy.name,
        "SourcePolicyType": _SOURCES[match.kind],
        "StartPosition": _position(text, statement.start),
        "EndPosition": _position(text, statement.end - 1),
    }


def _position(text: str, brace: int) -> dict[str, int]:
    """Line and column after one of the braces around a statement, counted from 1."""
    line_start = text.rfind("\n", 0, brace) + 1
    return {"Line": text.count("\n", 0, brace) + 1, "Column": brace - line_start + 2}


def _allows(policy: Policy, request: AccessRequest) -> bool:
    return evaluate(request, PolicySet((policy,), resource_account=request.caller.account)).allowed


def _inputs(call: IamCall, member: str) -> tuple[Policy, ...]:
    documents = call.argument(member) or ()
    return tuple(
        _parsed(document, "identity", f"{member}.{number}") for number, document in enumerate(documents, 1)
    )


def _boundary(call: IamCall) -> Policy | None:
    given = _inputs(call, "PermissionsBoundaryPolicyInputList")
    if len(given) > 1:
        raise invalid_input("Only one permissions boundary policy can be given.")
    return given[0] if given else None


def _resource_policy(call: IamCall) -> Policy | None:
    document = call.argument("ResourcePolicy")
    return None if document is None else _parsed(document, "resource", "ResourcePolicy")


def _parsed(document: str, kind: Any, name: str) -> Policy:
    try:
        return parse_policy(document, kind, name=name)
    except MalformedPolicy as error:
        raise malformed_policy(error.message) from None


def _caller(account: str, arn: str | None) -> Caller:
    if arn is None:
        return Caller("user", account, f"arn:aws:iam::{account}:user/")
    match = _CALLER.match(arn)
    if match is None:
        raise invalid_input(f"Invalid Entity Arn: {arn}")
    number, kind = match.groups()
    if kind == "role/":
        name = arn.rpartition("/")[2]
        return Caller("assumed-role", number, f"arn:aws:sts::{number}:assumed-role/{name}/simulation", arn)
    return Caller(_KINDS[kind], number, arn)  # type: ignore[arg-type]


def _owner(call: IamCall, resource: str) -> str:
    """The account that a resource belongs to: the one that the request says, else that of its ARN, else the
    caller's."""
    for arn in (call.argument("ResourceOwner"), resource):
        match = _ACCOUNT.match(f"{arn}:") if arn else None
        if match is not None:
            return match[1]
    return call.account


def _context(call: IamCall) -> dict[str, tuple[str, ...]]:
    return {
        entry["ContextKeyName"].lower(): tuple(entry.get("ContextKeyValues") or ())
        for entry in call.argument("ContextEntries") or ()
        if "ContextKeyName" in entry
    }


def _missing(policies: list[Policy], context: dict[str, tuple[str, ...]]) -> list[str]:
    named = {key.lower(): key for policy in policies for key in sorted(policy.context_keys)}
    return [named[key] for key in sorted(named) if key not in context]
