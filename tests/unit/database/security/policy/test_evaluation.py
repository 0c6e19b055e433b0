"""Which policies have to allow a request, and which kind is named when it is refused. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
…/access_policies_boundaries.html"""

from __future__ import annotations

import json
from typing import Any

import pytest

from blotter.database.security.policy import (
    AccessRequest,
    Caller,
    Decision,
    Policy,
    PolicySet,
    evaluate,
    parse_policy,
)
from blotter.database.security.policy.evaluation import narrow

HERE, THERE = "111111111111", "222222222222"
TABLE = f"arn:aws:dynamodb:us-east-1:{HERE}:table/t"
USER = Caller("user", HERE, f"arn:aws:iam::{HERE}:user/a/alice")
ROLE = f"arn:aws:iam::{HERE}:role/app/worker"
SESSION = Caller("assumed-role", HERE, f"arn:aws:sts::{HERE}:assumed-role/worker/i-1", ROLE)
ROOT = Caller("root", HERE, f"arn:aws:iam::{HERE}:root")
OUTSIDER = Caller("user", THERE, f"arn:aws:iam::{THERE}:user/eve")


def identity(effect: str = "Allow", **elements: Any) -> Policy:
    statement = {"Effect": effect, "Action": "dynamodb:GetItem", "Resource": TABLE} | elements
    text = json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in statement.items() if v}]})
    return parse_policy(text, "identity")


def resource(principal: object, effect: str = "Allow", element: str = "Principal", trust: bool = False) -> Policy:
    statement = {"Effect": effect, element: principal, "Action": "sts:AssumeRole" if trust else "dynamodb:*"}
    statement |= {} if trust else {"Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return parse_policy(text, "trust" if trust else "resource")


def decide(caller: Caller, action: str = "dynamodb:GetItem", /, **policies: Any) -> Decision:
    return evaluate(AccessRequest(action, TABLE, caller), PolicySet(**({"resource_account": HERE} | policies)))


def outcome(caller: Caller, action: str = "dynamodb:GetItem", /, **policies: Any) -> str:
    decision = decide(caller, action, **policies)
    return decision.reason if decision.kind is None else f"{decision.reason} {decision.kind}"


ALLOW = identity()
OTHER = identity(Action="dynamodb:PutItem")
DENY = identity("Deny")


@pytest.mark.parametrize(
    ("caller", "policies", "expected"),
    [
        (USER, {}, "implicit-deny identity"),
        (USER, {"identity": (OTHER,)}, "implicit-deny identity"),
        (USER, {"identity": (OTHER, ALLOW)}, "allowed"),
        (USER, {"identity": (ALLOW, DENY)}, "explicit-deny identity"),
        (USER, {"identity": (ALLOW,), "boundary": OTHER}, "implicit-deny boundary"),
        (USER, {"identity": (ALLOW,), "boundary": ALLOW}, "allowed"),
        (USER, {"identity": (ALLOW,), "boundary": DENY}, "explicit-deny boundary"),
        (SESSION, {"identity": (ALLOW,), "session": ()}, "implicit-deny session"),
        (SESSION, {"identity": (ALLOW,), "session": (OTHER, ALLOW)}, "allowed"),
        (SESSION, {"identity": (ALLOW,), "session": (ALLOW, DENY)}, "explicit-deny session"),
        (ROOT, {}, "allowed"),
        (ROOT, {"resource": resource("*", "Deny")}, "explicit-deny resource"),
        # A resource policy of the same account.
        (USER, {"resource": resource({"AWS": USER.arn}), "boundary": OTHER}, "allowed"),
        (USER, {"resource": resource({"AWS": f"{USER.arn}2"})}, "implicit-deny identity"),
        (USER, {"resource": resource({"AWS": HERE})}, "implicit-deny identity"),
        (USER, {"resource": resource("*")}, "allowed"),
        (USER, {"resource": resource({"AWS": USER.arn}, "Deny"), "identity": (ALLOW,)}, "explicit-deny resource"),
        (SESSION, {"resource": resource({"AWS": SESSION.arn}), "boundary": OTHER, "session": ()}, "allowed"),
        (SESSION, {"resource": resource({"AWS": ROLE})}, "allowed"),
        (SESSION, {"resource": resource({"AWS": ROLE}), "boundary": OTHER}, "implicit-deny boundary"),
        (SESSION, {"resource": resource({"AWS": ROLE}), "session": ()}, "implicit-deny session"),
        (SESSION, {"resource": resource({"AWS": ROLE}, "Allow", "NotPrincipal")}, "implicit-deny identity"),
        (USER, {"resource": resource({"AWS": ROLE}, "Deny", "NotPrincipal")}, "explicit-deny resource"),
        (SESSION, {"resource": resource({"AWS": ROLE}, "Deny", "NotPrincipal"), "identity": (ALLOW,)}, "allowed"),
        (
            SESSION,
            {
                "resource": resource({"AWS": ROLE}, "Deny", "NotPrincipal"),
                "identity": (ALLOW,),
                "boundary": ALLOW,
            },
            "explicit-deny resource",
        ),
        # Across accounts.
        (OUTSIDER, {"identity": (ALLOW,)}, "implicit-deny resource"),
        (OUTSIDER, {"resource": resource({"AWS": OUTSIDER.arn})}, "implicit-deny identity"),
        (OUTSIDER, {"resource": resource({"AWS": OUTSIDER.arn}), "identity": (ALLOW,)}, "allowed"),
        (OUTSIDER, {"resource": resource({"AWS": THERE}), "identity": (ALLOW,)}, "allowed"),
        (
            OUTSIDER,
            {"resource": resource({"AWS": f"arn:aws:iam::{THERE}:root"}), "identity": (ALLOW,), "boundary": OTHER},
            "implicit-deny boundary",
        ),
        (Caller("root", THERE, f"arn:aws:iam::{THERE}:root"), {}, "implicit-deny resource"),
        (Caller("root", THERE, f"arn:aws:iam::{THERE}:root"), {"resource": resource({"AWS": THERE})}, "allowed"),
    ],
)
def test_decisions(caller: Caller, policies: dict[str, Any], expected: str) -> None:
    assert outcome(caller, **policies) == expected


@pytest.mark.parametrize(
    ("principal", "identities", "expected"),
    [
        ({"AWS": USER.arn}, (), "allowed"),
        ({"AWS": HERE}, (), "implicit-deny identity"),
        ({"AWS": HERE}, (identity(Action="sts:*", Resource="*"),), "allowed"),
        ({"AWS": ROLE}, (identity(Action="sts:*", Resource="*"),), "implicit-deny resource"),
        ({"Service": "lambda.amazonaws.com"}, (), "implicit-deny resource"),
    ],
)
def test_a_role_is_assumed_only_as_its_trust_policy_says(
    principal: object, identities: tuple[Policy, ...], expected: str
) -> None:
    trust = resource(principal, trust=True)
    assert outcome(USER, "sts:AssumeRole", resource=trust, identity=identities) == expected


def test_a_service_is_named_as_such() -> None:
    caller = Caller("service", "", "lambda.amazonaws.com")
    trust = resource({"Service": "lambda.amazonaws.com"}, trust=True)
    assert outcome(caller, "sts:AssumeRole", resource=trust) == "allowed"
    assert outcome(caller, "sts:AssumeRole", resource=resource({"AWS": HERE}, trust=True)) != "allowed"


def test_not_action_and_not_resource() -> None:
    everything_else = identity(
        Action=None, NotAction=["dynamodb:Delete*"], Resource=None, NotResource=f"{TABLE}/*"
    )
    assert outcome(USER, "DynamoDB:getitem", identity=(everything_else,)) == "allowed"
    assert outcome(USER, "dynamodb:DeleteItem", identity=(everything_else,)) == "implicit-deny identity"


def test_the_statements_that_decide_are_named() -> None:
    decision = decide(USER, identity=(ALLOW, DENY, OTHER))
    assert [(match.kind, match.policy) for match in decision.matched] == [("identity", DENY)]


def test_what_depends_on_no_context_is_constant() -> None:
    conditional = identity(Condition={"StringEquals": {"aws:UserName": "alice"}})
    denying = identity("Deny", Resource="arn:aws:dynamodb:*:*:table/${aws:userid}")

    def applicable(*policies: Policy) -> Any:
        return narrow(USER, "dynamodb:GetItem", TABLE, PolicySet(identity=policies))

    assert applicable(ALLOW, conditional).constant.allowed
    assert not applicable(OTHER).constant.allowed
    assert not applicable(DENY, conditional, denying).constant.allowed
    assert applicable(conditional).constant is None
    assert applicable(conditional).context_keys == {"aws:username"}
    assert applicable(ALLOW, denying).constant is None
    assert applicable(ALLOW, denying).decide({"aws:userid": ("t",)}).reason == "explicit-deny"
    assert applicable(ALLOW, denying).decide({}).reason == "allowed"
