"""Identity policies that IAM refuses, and with which message. Source: the service's answers as moto records them
(tests/test_iam/test_iam_policies.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blotter.database.security.policy import MalformedPolicy, parse_policy

ARN = "arn:aws:s3:::example_bucket"
SYNTAX = "Syntax errors in policy."
VERSION = "Policy document must be version 2012-10-17 or greater."
LEGACY = "The policy failed legacy parsing"
ACTIONS = "Policy statement must contain actions."
RESOURCES = "Policy statement must contain resources."
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
SIDS = "Statement IDs (SID) in a single policy must be unique."
QUALIFIED = "Resource vendor must be fully qualified and cannot contain regexes."
IAM_PATH = (
    'IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, '
    "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, "
    "access-report/."
)


def document(*statements: object, **elements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | elements)


def statement(**elements: Any) -> dict[str, Any]:
    """An allowing statement; an element that is None is left out."""
    usual = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ARN} | elements
    return {name: value for name, value in usual.items() if value is not None}


def refusal(text: str) -> str:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, "identity")
    return refused.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("This is not a json document", SYNTAX),
        ("[" * 100_000, SYNTAX),
        ('{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}', SYNTAX),
        ('{"Version": "2012-10-17", "Statement": NaN}', SYNTAX),
        ("[]", SYNTAX),
        ('{"Version": "2012-10-17"}', SYNTAX),
        (document(), SYNTAX),
        (document("afd"), SYNTAX),
        (document(statement(), Version="2013-10-17"), SYNTAX),
        (document(statement(), Version="2008-10-17"), VERSION),
        (json.dumps({"Statement": statement(Effect="denY")}), VERSION),
        (document(statement(), Id=["a"]), SYNTAX),
        (document(statement(), Extra=1), SYNTAX),
        (document(statement(Extra=1)), SYNTAX),
        (document(statement(Effect=None)), SYNTAX),
        (document(statement(Effect="invalid")), SYNTAX),
        (document(statement(Effect="denY")), LEGACY),
        (document(statement(Sid={})), SYNTAX),
        (document(statement(Sid="a"), statement(Sid="a", Action=None)), SIDS),
        (document(statement(Principal="*")), "Policy document should not specify a principal."),
        (document(statement(NotAction="iam:x")), SYNTAX),
        (document(statement(NotResource="*")), SYNTAX),
        (document(statement(Action=[[]])), SYNTAX),
        (document(statement(Action=None)), ACTIONS),
        (document(statement(Action=[])), ACTIONS),
        (document(statement(Action="invalid")), VENDOR),
        (document(statement(Action=None, NotAction="")), VENDOR),
        (document(statement(Action="a a:ListBucket")), "Vendor a a is not valid"),
        (document(statement(Action="s3:List:Bucket")), "Actions/Condition can contain only one colon."),
        (document(statement(Resource=None)), RESOURCES),
        (document(statement(Resource=[])), RESOURCES),
        (document(statement(Resource=None, Action="invalid")), VENDOR),
        (document(statement(Resource={"a": ARN})), SYNTAX),
        (document(statement(Resource="not one")), 'Resource not one must be in ARN format or "*".'),
        (document(statement(Resource="a:b:c:d:e:f")), 'Partition "b" is not valid for resource "arn:b:c:d:e:f".'),
        (document(statement(Resource="a:bsdf")), 'Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".'),
        (document(statement(Resource="arn:aws")), QUALIFIED),
        (document(statement(Resource="arn:aws:s3::example_bucket")), LEGACY),
        (document(statement(Resource="arn:aws:iam:::example_bucket")), IAM_PATH),
        (
            document(statement(Resource="arn:aws:iam:us-east-1::example_bucket")),
            "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information.",
        ),
        (document(statement(Condition=[])), SYNTAX),
        (document(statement(Condition={"a": "b"})), SYNTAX),
        (document(statement(Condition={"x": {"a": "1"}})), SYNTAX),
        (document(statement(Condition={"NullIfExists": {"a": "true"}})), SYNTAX),
        (document(statement(Condition={"ForAnyValue::StringEqualsIfExists": {"a": "b"}})), SYNTAX),
        (document(statement(Condition={"DateGreaterThan": {"a": {}}})), SYNTAX),
        (document(statement(Condition={"DateGreaterThan": {"a": "sdfdsf"}})), LEGACY),
        (document(statement(Condition={"DateLessThanEquals": {"a": "234-13"}})), LEGACY),
        (document(statement(Condition={"DateLessThan": {"a": "9223372036854775808"}})), LEGACY),
    ],
)  # fmt: skip
def test_a_malformed_policy_is_refused_with_the_message_of_iam(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "wanted",
    [
        statement(Action="iam: asdf safdsf af "),
        statement(Action="*"),
        statement(Action=None, NotAction="s3:ListBucket"),
        statement(Resource=[ARN, "*"]),
        statement(Resource=None, NotResource=ARN),
        statement(Resource="arn:aws:fdsasf"),
        statement(Resource="arn:aws:iam::*:user/${aws:username}"),
        statement(Condition={}),
        statement(Condition={"x": {}, "DateGreaterThan": {"a": []}}),
        statement(Condition={"Bool": {"aws:SecureTransport": False}, "NumericLessThan": {"s3:max-keys": 10}}),
        statement(Condition={"ForAnyValue:StringEqualsIfExists": {"a": "b"}}),
        statement(
            Condition={"DateLessThan": {"a": "2016-12-13t2:00:00.593194+23", "b": "-292275054", "c": "01T"}}
        ),
    ],
)
def test_what_iam_accepts_is_accepted(wanted: dict[str, Any]) -> None:
    assert len(parse_policy(document(wanted), "identity").statements) == 1
    assert (
        len(parse_policy(json.dumps({"Version": "2012-10-17", "Statement": wanted}), "identity").statements) == 1
    )


def test_a_statement_knows_its_place_in_the_text() -> None:
    text = document(statement(Sid="first"), statement(Sid="é, \\", Condition={"Bool": {"a": ["}", "]"]}}))
    places = [text[found.start : found.end] for found in parse_policy(text, "identity").statements]
    assert [json.loads(place)["Sid"] for place in places] == ["first", "é, \\"]


def test_context_keys_are_those_of_conditions_and_variables() -> None:
    text = document(
        statement(
            Resource="arn:aws:s3:::${aws:username, 'x'}/${*}",
            Condition={"StringLike": {"s3:Prefix": "${aws:PrincipalTag/a}"}, "Null": {"aws:TagKeys": "true"}},
        )
    )
    keys = {"aws:username", "s3:Prefix", "aws:PrincipalTag/a", "aws:TagKeys"}
    assert parse_policy(text, "identity").context_keys == keys


@pytest.mark.parametrize("date", ["9" * 20_000, "2016-" + "0" * 19_000, "0" * 50])
def test_a_date_of_any_length_is_judged(date: str) -> None:
    assert refusal(document(statement(Condition={"DateEquals": {"a": date}}))) == LEGACY


def test_half_a_character_is_no_json() -> None:
    assert refusal(document(statement(Sid="\ud800"))) == SYNTAX
    assert parse_policy(document(statement(Sid="\U0001f600")), "identity").statements[0].sid == "\U0001f600"
