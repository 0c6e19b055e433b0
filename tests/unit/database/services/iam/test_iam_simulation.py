"""SimulateCustomPolicy and SimulatePrincipalPolicy: the evaluator's decisions in the form that AWS gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.iam_in_process import ACCOUNT, IamInProcess, allow, deny, trust

PUT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"},
    }
)
BUCKET = "arn:aws:s3:::bucket"


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_a_principals_policies_as_recorded(iam: IamInProcess, kind: str) -> None:
    """tests/aws/services/iam/test_iam.py::test_simulate_principle_policy of LocalStack, recorded 2025-04-21."""
    made = iam.call("CreatePolicy", PolicyName="p", PolicyDocument=PUT)["Policy"]
    more = {"AssumeRolePolicyDocument": trust(ACCOUNT)} if kind == "role" else {}
    name = {f"{kind.title()}Name": "n"}
    arn = iam.call(f"Create{kind.title()}", **name, **more)[kind.title()]["Arn"]
    iam.call(f"Attach{kind.title()}Policy", **name, PolicyArn=made["Arn"])
    answer = iam.call(
        "SimulatePrincipalPolicy",
        PolicySourceArn=arn,
        ActionNames=["s3:PutObject", "s3:GetObjectVersion"],
        ResourceArns=[BUCKET],
    )
    matched = [
        {
            "SourcePolicyId": "p",
            "SourcePolicyType": "IAM Policy",
            "StartPosition": {"Line": 1, "Column": 41},
            "EndPosition": {"Line": 1, "Column": 113},
        }
    ]
    assert answer == {
        "IsTruncated": False,
        "EvaluationResults": [
            _result("s3:PutObject", "allowed", matched),
            _result("s3:GetObjectVersion", "implicitDeny", []),
        ],
    }


def _result(action: str, decision: str, matched: list[Any]) -> dict[str, Any]:
    common = {"EvalResourceName": BUCKET, "MatchedStatements": matched, "MissingContextValues": []}
    return {
        **common,
        "EvalActionName": action,
        "EvalDecision": decision,
        "EvalDecisionDetails": {},
        "OrganizationsDecisionDetail": {"AllowedByOrganizations": True},
        "ResourceSpecificResults": [common | {"EvalResourceDecision": decision}],
    }


def _decisions(iam: IamInProcess, *policies: str, **more: Any) -> list[str]:
    asked = {"ActionNames": ["dynamodb:GetItem"]} | more
    answer = iam.call("SimulateCustomPolicy", PolicyInputList=list(policies), **asked)
    return [result["EvalDecision"] for result in answer["EvaluationResults"]]


def test_custom_policies(iam: IamInProcess) -> None:
    assert _decisions(iam, allow("dynamodb:Get*")) == ["allowed"]
    assert _decisions(iam, allow("dynamodb:Get*"), deny("*")) == ["explicitDeny"]
    assert _decisions(iam, allow("s3:*")) == ["implicitDeny"]
    bounded = {"PermissionsBoundaryPolicyInputList": [allow("s3:*")]}
    assert _decisions(iam, allow("dynamodb:*"), **bounded) == ["implicitDeny"]
    both = ["arn:aws:dynamodb:us-east-1:111122223333:table/a", "arn:aws:dynamodb:us-east-1:111122223333:table/b"]
    assert _decisions(iam, allow("dynamodb:*", resource=both[0]), ResourceArns=both) == ["allowed", "implicitDeny"]


def test_context_is_what_the_request_says(iam: IamInProcess) -> None:
    policy = allow("dynamodb:*", Condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "10"}})
    answer = iam.call("SimulateCustomPolicy", PolicyInputList=[policy], ActionNames=["dynamodb:GetItem"])
    (result,) = answer["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("implicitDeny", ["aws:MultiFactorAuthAge"])
    (specific,) = iam.call(
        "SimulateCustomPolicy", PolicyInputList=[policy], ActionNames=["a:b"], ResourceArns=[BUCKET]
    )["EvaluationResults"]
    assert specific["MissingContextValues"] == []
    assert specific["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:MultiFactorAuthAge"]
    entry = {"ContextKeyName": "AWS:multifactorauthage", "ContextKeyValues": ["9"], "ContextKeyType": "numeric"}
    assert _decisions(iam, policy, ContextEntries=[entry]) == ["allowed"]
    names = iam.call("GetContextKeysForCustomPolicy", PolicyInputList=[policy, allow("a:b")])["ContextKeyNames"]
    assert names == ["aws:MultiFactorAuthAge"]


def test_a_resource_policy_of_another_account(iam: IamInProcess) -> None:
    table = "arn:aws:dynamodb:us-east-1:999999999999:table/t"
    caller = f"arn:aws:iam::{ACCOUNT}:user/ann"
    resource_policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": caller}, "Action": "*", "Resource": "*"}],
        }
    )
    asked = {"ResourceArns": [table], "ResourcePolicy": resource_policy, "CallerArn": caller}
    assert _decisions(iam, allow("dynamodb:*"), **asked) == ["allowed"]
    assert _decisions(iam, allow("s3:*"), **asked) == ["implicitDeny"]
    assert _decisions(iam, allow("dynamodb:*"), ResourceArns=[table]) == ["implicitDeny"]


def test_positions_in_texts_of_many_lines(iam: IamInProcess) -> None:
    text = '{"Version": "2012-10-17",\n "Statement": [\n  {"Effect": "Allow", "Action": "a:b", "Resource": "*"},\n'
    text += '  {"Effect": "Allow",\n   "Action": "a:c", "Resource": "*"}]}'
    answer = iam.call("SimulateCustomPolicy", PolicyInputList=[text], ActionNames=["a:c"])
    (matched,) = answer["EvaluationResults"][0]["MatchedStatements"]
    assert matched["SourcePolicyId"] == "PolicyInputList.1"
    assert (matched["StartPosition"], matched["EndPosition"]) == (
        {"Line": 4, "Column": 4},
        {"Line": 5, "Column": 37},
    )


def test_a_group_of_the_user_and_pages(iam: IamInProcess) -> None:
    user = iam.call("CreateUser", UserName="ann")["User"]["Arn"]
    iam.call("CreateGroup", GroupName="g")
    iam.call("AddUserToGroup", UserName="ann", GroupName="g")
    iam.call("PutGroupPolicy", GroupName="g", PolicyName="x", PolicyDocument=allow("a:*"))
    actions = [f"a:{number}" for number in range(5)]
    asked = {"PolicySourceArn": user, "ActionNames": actions, "MaxItems": 3}
    first = iam.call("SimulatePrincipalPolicy", **asked)
    second = iam.call("SimulatePrincipalPolicy", **asked, Marker=first["Marker"])
    results = first["EvaluationResults"] + second["EvaluationResults"]
    assert [result["EvalActionName"] for result in results] == actions
    assert {result["EvalDecision"] for result in results} == {"allowed"}
    assert results[0]["MatchedStatements"][0]["SourcePolicyId"] == "group_g_x"


def test_millions_of_pairs_are_a_page_at_a_time(iam: IamInProcess) -> None:
    asked = {
        "PolicyInputList": [allow("a:1", resource="arn:aws:s3:::1")],
        "ActionNames": [f"a:{number}" for number in range(4000)],
        "ResourceArns": [f"arn:aws:s3:::{number}" for number in range(4000)],
        "MaxItems": 3,
    }
    first = iam.call("SimulateCustomPolicy", **asked)
    second = iam.call("SimulateCustomPolicy", **asked, Marker=first["Marker"])
    assert [result["EvalResourceName"] for result in second["EvaluationResults"]] == [
        f"arn:aws:s3:::{number}" for number in (3, 4, 5)
    ]


def test_malformed_policies_and_unknown_principals(iam: IamInProcess) -> None:
    assert iam.refusal("SimulateCustomPolicy", PolicyInputList=["{"], ActionNames=["a:b"])[1] == (
        "MalformedPolicyDocument"
    )
    nobody = f"arn:aws:iam::{ACCOUNT}:user/nobody"
    refused = iam.refusal("SimulatePrincipalPolicy", PolicySourceArn=nobody, ActionNames=["a:b"])
    assert refused == (404, "NoSuchEntity", "The user with name nobody cannot be found.")
