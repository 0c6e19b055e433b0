"""Resource and trust policies that are refused, and with which message. Sources: the AWS controllers' notes of
October 2026 (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-211, -352, -355, -356)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blotter.database.security.policy import MalformedPolicy, parse_policy
from blotter.database.security.policy.document import DocumentKind

USER = "arn:aws:iam::123456789012:user/alice"


def document(*statements: object, **elements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | elements)


def statement(**elements: Any) -> dict[str, Any]:
    usual = {
        "Effect": "Allow",
        "Principal": {"AWS": USER},
        "Action": "dynamodb:GetItem",
        "Resource": "*",
    } | elements
    return {name: value for name, value in usual.items() if value is not None}


def trust(**elements: Any) -> dict[str, Any]:
    return statement(**({"Resource": None, "Action": "sts:AssumeRole"} | elements))


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("resource", "", "This policy contains invalid Json"),
        ("resource", "{not json", "This policy contains invalid Json"),
        ("resource", "7", "Syntax error at position (1,1)"),
        ("resource", document(), "Could not parse the policy: Statement is empty!"),
        ("resource", '{"Version": "2012-10-17"}', "Missing required field Statement"),
        ("resource", document(statement(), Version="2012"), "The policy must contain a valid version string"),
        ("resource", document(statement(), Extra=1), "Unknown field Extra"),
        ("resource", document(statement(Principals="*")), "Unknown field Principals"),
        ("resource", document(statement(Resource=None)), "Missing required field Resource"),
        ("resource", document(statement(Principal=None)), "Missing required field Principal"),
        ("resource", document(statement(Action=None)), "Missing required field Action"),
        ("resource", document(statement(Action=[])), "Missing required field Action"),
        ("resource", document(statement(Resource=[""])), "Missing required field Resource"),
        ("resource", document(statement(Effect=None)), "Missing required field Effect"),
        ("resource", document(statement(Effect="Perhaps")), "Invalid effect: Perhaps"),
        (
            "resource",
            document(statement(Sid="a"), statement(Sid="a")),
            "The Statement Ids in the policy are not unique",
        ),
        (
            "resource",
            document(statement(Condition={"Like": {"a": "b"}})),
            "Invalid Condition type : Like",
        ),
        (
            "resource",
            document(statement(Principal={"AWS": "arn:aws:iam::1:user/a"})),
            'Invalid principal in policy: "AWS":"arn:aws:iam::1:user/a"',
        ),
        ("trust", document(trust(Resource="*")), "Has prohibited field Resource"),
        *(
            ("trust", document(trust(Action=action)), "AssumeRole policy may only specify STS AssumeRole actions.")
            for action in ("s3:GetObject", "sts:InvalidAction", ["sts:AssumeRole", "sts:Get*"])
        ),
    ],
)
def test_a_malformed_policy_is_refused(kind: DocumentKind, text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, kind)
    assert refused.value.message == message


def test_a_syntax_error_names_its_place() -> None:
    text = (
        '{"Version":"2012-10-17","Statement":[{"Sid":"V10BareAccountId","Effect":"Allow",\n"Principal":'
        '"123456789012","Action":"dynamodb:GetItem","Resource":"*"}]}'
    )
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, "resource")
    assert refused.value.message == "Syntax error at position (2,13)"


def test_the_old_version_is_accepted_and_has_no_variables() -> None:
    kept = statement(Effect="allow", Condition={"StringEquals": {"aws:username": "${aws:username}"}})
    policy = parse_policy(json.dumps({"Statement": kept}), "resource")
    assert policy.version == "2008-10-17"
    assert not policy.statements[0].denies
    assert not policy.statements[0].conditions_hold({"aws:username": ("alice",)})
    assert policy.statements[0].conditions_hold({"aws:username": ("${aws:username}",)})
    assert parse_policy(document(trust()), "trust").kind == "trust"


@pytest.mark.parametrize("action", ["sts:AssumeRole", "STS:assumerole", "sts:*", "sts:Assume*", "sts:Tag?ession"])
def test_what_a_trust_policy_may_allow(action: str) -> None:
    parse_policy(document(trust(Action=action)), "trust")
