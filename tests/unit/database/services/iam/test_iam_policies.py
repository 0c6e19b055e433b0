"""Roles and policies: managed with versions, inline, attached, boundaries, tags. Answers and messages as AWS gave
them to LocalStack's tests (2026-02)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.iam_in_process import ACCOUNT, IamInProcess, allow, document, trust

ARN = f"arn:aws:iam::{ACCOUNT}:policy/p"
EC2 = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
S3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def test_a_role(iam: IamInProcess) -> None:
    tags = [{"Key": "k", "Value": "v"}]
    created = iam.call(
        "CreateRole", RoleName="r", Path="/a/", AssumeRolePolicyDocument=EC2, Description="what for", Tags=tags
    )["Role"]
    assert set(created) == {
        *("Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument", "Tags")
    }
    got = iam.call("GetRole", RoleName="R")["Role"]
    assert got == created | {"Description": "what for", "MaxSessionDuration": 3600, "RoleLastUsed": {}}
    assert json.loads(unquote(got["AssumeRolePolicyDocument"])) == json.loads(EC2)
    (listed,) = iam.call("ListRoles", PathPrefix="/a/")["Roles"]
    assert listed == {name: value for name, value in got.items() if name not in ("Tags", "RoleLastUsed")}
    iam.call("UpdateRole", RoleName="r")
    assert iam.call("GetRole", RoleName="r")["Role"] == got
    iam.call("UpdateRole", RoleName="r", Description="", MaxSessionDuration=7200)
    changed = iam.call("GetRole", RoleName="r")["Role"]
    assert ("Description" in changed, changed["MaxSessionDuration"]) == (False, 7200)
    described = iam.call("UpdateRoleDescription", RoleName="r", Description="d")["Role"]
    assert (described["Description"], "MaxSessionDuration" in described) == ("d", False)
    iam.call("DeleteRole", RoleName="r")
    missing = (404, "NoSuchEntity", "The role with name r cannot be found.")
    assert iam.refusal("GetRole", RoleName="r") == missing
    assert iam.refusal("ListInstanceProfilesForRole", RoleName="r") == missing


def test_a_role_is_not_deleted_with_its_policies(iam: IamInProcess) -> None:
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=EC2)
    iam.call("AttachRolePolicy", RoleName="r", PolicyArn=S3)
    conflict = (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    assert iam.refusal("DeleteRole", RoleName="r") == conflict
    iam.call("DetachRolePolicy", RoleName="r", PolicyArn=S3)
    iam.call("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=allow("a:b"))
    assert iam.refusal("DeleteRole", RoleName="r")[2] == "Cannot delete entity, must delete policies first."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not valid json", "This policy contains invalid Json"),
        (
            EC2.replace("sts:AssumeRole", "sts:InvalidAction"),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (EC2.replace('"Action"', '"Resource": "*", "Action"'), "Has prohibited field Resource"),
        (
            trust(f"arn:aws:iam::{ACCOUNT}:user/nobody"),
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:user/nobody"',
        ),
    ],
)
def test_what_no_trust_policy_is(iam: IamInProcess, text: str, message: str) -> None:
    iam.call("CreateUser", UserName="somebody")
    refused = (400, "MalformedPolicyDocument", message)
    assert iam.refusal("CreateRole", RoleName="r", AssumeRolePolicyDocument=text) == refused
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=EC2)
    assert iam.refusal("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=text) == refused


def test_the_versions_of_a_managed_policy(iam: IamInProcess) -> None:
    created = iam.call("CreatePolicy", PolicyName="p", PolicyDocument=allow("a:b"), Description="d")["Policy"]
    assert (created["Arn"], created["DefaultVersionId"], created["IsAttachable"]) == (ARN, "v1", True)
    assert "Description" not in created
    got = iam.call("GetPolicy", PolicyArn=ARN)["Policy"]
    assert got == created | {"Description": "d", "Tags": []}
    taken = "A policy called P already exists. Duplicate names are not allowed."
    assert iam.refusal("CreatePolicy", PolicyName="P", PolicyDocument=allow("a:b"))[1:] == (
        "EntityAlreadyExists",
        taken,
    )
    for number in range(2, 6):
        version = iam.call(
            "CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=allow(f"a:b{number}"), SetAsDefault=number == 3
        )["PolicyVersion"]
        assert (version["VersionId"], version["IsDefaultVersion"]) == (f"v{number}", number == 3)
    too_many = iam.refusal("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=allow("a:b"))
    assert too_many == (
        409,
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
        "version.",
    )
    listed = iam.call("ListPolicyVersions", PolicyArn=ARN)["Versions"]
    assert [version["VersionId"] for version in listed] == ["v5", "v4", "v3", "v2", "v1"]
    assert not any("Document" in version for version in listed)
    default = iam.refusal("DeletePolicyVersion", PolicyArn=ARN, VersionId="v3")
    assert default == (409, "DeleteConflict", "Cannot delete the default version of a policy.")
    missing = (404, "NoSuchEntity", f"Policy {ARN} version v9 does not exist or is not attachable.")
    for operation in ("GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"):
        assert iam.refusal(operation, PolicyArn=ARN, VersionId="v9") == missing
    iam.call("SetDefaultPolicyVersion", PolicyArn=ARN, VersionId="v5")
    for number in range(1, 5):
        iam.call("DeletePolicyVersion", PolicyArn=ARN, VersionId=f"v{number}")
    assert (
        iam.call("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=allow("a:c"))["PolicyVersion"]["VersionId"]
        == "v6"
    )
    assert iam.refusal("DeletePolicy", PolicyArn=ARN)[2].startswith("This policy has more than one version.")
    iam.call("DeletePolicyVersion", PolicyArn=ARN, VersionId="v6")
    iam.call("DeletePolicy", PolicyArn=ARN)
    assert iam.refusal("GetPolicy", PolicyArn=ARN) == (404, "NoSuchEntity", f"Policy {ARN} was not found.")


KINDS = [("User", {}), ("Group", {}), ("Role", {"AssumeRolePolicyDocument": EC2})]


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_inline_policies(iam: IamInProcess, kind: str, more: dict[str, Any]) -> None:
    name = {f"{kind}Name": "n"}
    iam.call(f"Create{kind}", **name, **more)
    assert iam.call(f"List{kind}Policies", **name) == {"PolicyNames": [], "IsTruncated": False}
    odd = allow("apigateway:PUT", resource="arn:aws:apigateway:us-east-1::/tags/arn%3Aaws%3Aä&<>+")
    for policy, text in (("q", allow("a:b")), ("p", odd), ("q", allow("a:c"))):
        iam.call(f"Put{kind}Policy", **name, PolicyName=policy, PolicyDocument=text)
    assert iam.call(f"List{kind}Policies", **name)["PolicyNames"] == ["p", "q"]
    got = iam.call(f"Get{kind}Policy", **name, PolicyName="p")
    assert (got[f"{kind}Name"], unquote(got["PolicyDocument"])) == ("n", odd)
    iam.call(f"Delete{kind}Policy", **name, PolicyName="p")
    missing = (404, "NoSuchEntity", f"The {kind.lower()} policy with name p cannot be found.")
    assert iam.refusal(f"Get{kind}Policy", **name, PolicyName="p") == missing
    assert iam.refusal(f"Delete{kind}Policy", **name, PolicyName="p") == missing
    too_large = allow(*(f"a:{number:0200}" for number in range(60)))
    refused = iam.refusal(f"Put{kind}Policy", **name, PolicyName="r", PolicyDocument=too_large)
    assert refused[1] == "LimitExceeded"
    assert refused[2].endswith(f"bytes exceeded for {kind.lower()} n")


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_attached_policies(iam: IamInProcess, kind: str, more: dict[str, Any]) -> None:
    name = {f"{kind}Name": "n"}
    iam.call(f"Create{kind}", **name, **more)
    iam.call("CreatePolicy", PolicyName="p", PolicyDocument=allow("a:b"))
    for arn in (ARN, S3, ARN):
        iam.call(f"Attach{kind}Policy", **name, PolicyArn=arn)
    attached = iam.call(f"ListAttached{kind}Policies", **name)["AttachedPolicies"]
    assert attached == [
        {"PolicyName": "AmazonS3ReadOnlyAccess", "PolicyArn": S3},
        {"PolicyName": "p", "PolicyArn": ARN},
    ]
    assert iam.call("GetPolicy", PolicyArn=ARN)["Policy"]["AttachmentCount"] == 1
    assert iam.call("GetPolicy", PolicyArn=S3)["Policy"]["AttachmentCount"] == 1
    entities = iam.call("ListEntitiesForPolicy", PolicyArn=ARN)
    assert [entity[f"{kind}Name"] for entity in entities[f"Policy{kind}s"]] == ["n"]
    used = (409, "DeleteConflict", "Cannot delete a policy attached to entities.")
    assert iam.refusal("DeletePolicy", PolicyArn=ARN) == used
    iam.call(f"Detach{kind}Policy", **name, PolicyArn=ARN)
    assert iam.refusal(f"Detach{kind}Policy", **name, PolicyArn=ARN)[2] == f"Policy {ARN} was not found."
    other = f"arn:aws:iam::{ACCOUNT}:policy/other"
    assert iam.refusal(f"Attach{kind}Policy", **name, PolicyArn=other) == (
        404,
        "NoSuchEntity",
        f"Policy {other} does not exist or is not attachable.",
    )
    no_arn = (400, "ValidationError", "ARN longpolicynamebutnoarn is not valid.")
    assert iam.refusal(f"Attach{kind}Policy", **name, PolicyArn="longpolicynamebutnoarn") == no_arn
    for number in range(9):
        iam.call("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=allow("a:b"))
        iam.call(f"Attach{kind}Policy", **name, PolicyArn=f"{ARN}{number}")
    assert iam.refusal(f"Attach{kind}Policy", **name, PolicyArn=ARN) == (
        409,
        "LimitExceeded",
        f"Cannot exceed quota for PoliciesPer{kind}: 10",
    )


def test_boundaries(iam: IamInProcess) -> None:
    iam.call("CreatePolicy", PolicyName="p", PolicyDocument=allow("a:b"))
    made = iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=EC2, PermissionsBoundary=ARN)["Role"]
    shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": ARN}
    assert made["PermissionsBoundary"] == shown
    assert "PermissionsBoundary" not in iam.call("ListRoles")["Roles"][0]
    assert iam.call("GetPolicy", PolicyArn=ARN)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    found = iam.call("ListPolicies", PolicyUsageFilter="PermissionsBoundary")["Policies"]
    assert [policy["PolicyName"] for policy in found] == ["p"]
    assert iam.call("ListPolicies", PolicyUsageFilter="PermissionsPolicy")["Policies"] == []
    assert iam.call("ListPolicies", OnlyAttached=True)["Policies"] == found
    iam.call("CreateUser", UserName="u")
    iam.call("PutUserPermissionsBoundary", UserName="u", PermissionsBoundary=S3)
    assert iam.call("GetUser", UserName="u")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == S3
    iam.call("DeleteRolePermissionsBoundary", RoleName="r")
    assert "PermissionsBoundary" not in iam.call("GetRole", RoleName="r")["Role"]
    assert iam.refusal("DeleteRolePermissionsBoundary", RoleName="r")[1] == "NoSuchEntity"
    invalid = f"arn:aws:iam::{ACCOUNT}:not_a_policy/invalid"
    assert iam.refusal("PutRolePermissionsBoundary", RoleName="r", PermissionsBoundary=invalid) == (
        400,
        "InvalidInput",
        f"ARN {invalid} is not valid.",
    )
    gone = f"arn:aws:iam::{ACCOUNT}:policy/gone"
    assert iam.refusal("PutRolePermissionsBoundary", RoleName="r", PermissionsBoundary=gone) == (
        404,
        "NoSuchEntity",
        f"Scope ARN: {gone} does not exist or is not attachable.",
    )


def test_tags(iam: IamInProcess) -> None:
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=EC2)
    iam.call("CreatePolicy", PolicyName="p", PolicyDocument=allow("a:b"))
    both = [{"Key": "a", "Value": "lower"}, {"Key": "A", "Value": "upper"}]
    iam.call("TagPolicy", PolicyArn=ARN, Tags=both)
    assert iam.call("ListPolicyTags", PolicyArn=ARN)["Tags"] == both[::-1]
    assert iam.refusal("TagPolicy", PolicyArn=ARN, Tags=both[:1] * 2)[2] == "Duplicate tag keys found."
    assert iam.refusal("TagRole", RoleName="r", Tags=both) == (
        400,
        "InvalidInput",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    iam.call("TagRole", RoleName="r", Tags=[{"Key": "Team", "Value": "1"}, {"Key": "x", "Value": ""}])
    iam.call("TagRole", RoleName="r", Tags=[{"Key": "team", "Value": "2"}])
    assert iam.call("ListRoleTags", RoleName="r")["Tags"] == [
        {"Key": "team", "Value": "2"},
        {"Key": "x", "Value": ""},
    ]
    iam.call("UntagRole", RoleName="r", TagKeys=["TEAM", "nothing"])
    assert iam.call("ListRoleTags", RoleName="r")["Tags"] == [{"Key": "x", "Value": ""}]
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
    assert iam.refusal("TagRole", RoleName="r", Tags=many)[1] == "LimitExceeded"


def test_aws_own_policies_can_be_read_and_not_changed(iam: IamInProcess) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    version = iam.call("GetPolicyVersion", PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    assert json.loads(unquote(version["Document"])) == {"Version": "2012-10-17", "Statement": [statement]}
    for operation, more in (
        ("DeletePolicy", {}),
        ("CreatePolicyVersion", {"PolicyDocument": allow("a:b")}),
        ("TagPolicy", {"Tags": []}),
        ("SetDefaultPolicyVersion", {"VersionId": "v1"}),
    ):
        assert iam.refusal(operation, PolicyArn=arn, **more)[:2] == (403, "AccessDenied")
    names = [policy["PolicyName"] for policy in iam.call("ListPolicies", Scope="AWS", MaxItems=1000)["Policies"]]
    assert {"AmazonDynamoDBFullAccess", "AmazonDynamoDBReadOnlyAccess", "IAMFullAccess", "ReadOnlyAccess"} <= set(
        names
    )


def test_the_authorization_details_have_everything(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="u", Tags=[{"Key": "k", "Value": "v"}])
    iam.call("CreateGroup", GroupName="Crew")
    iam.call("AddUserToGroup", UserName="u", GroupName="crew")
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=EC2)
    iam.call("CreatePolicy", PolicyName="p", PolicyDocument=allow("a:b"))
    iam.call("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=allow("a:c"), SetAsDefault=True)
    iam.call("PutUserPolicy", UserName="u", PolicyName="inline", PolicyDocument=allow("a:d"))
    iam.call("AttachUserPolicy", UserName="u", PolicyArn=ARN)
    iam.call("AttachRolePolicy", RoleName="r", PolicyArn=S3)
    details = iam.call("GetAccountAuthorizationDetails")
    (user,) = details["UserDetailList"]
    assert user["GroupList"] == ["Crew"]
    assert [policy["PolicyName"] for policy in user["UserPolicyList"]] == ["inline"]
    assert user["AttachedManagedPolicies"] == [{"PolicyName": "p", "PolicyArn": ARN}]
    (role,) = details["RoleDetailList"]
    assert (role["InstanceProfileList"], role["RoleLastUsed"]) == ([], {})
    own, shipped = details["Policies"]
    assert [version["VersionId"] for version in own["PolicyVersionList"]] == ["v2", "v1"]
    assert (own["AttachmentCount"], shipped["Arn"]) == (1, S3)
    assert len(details["GroupDetailList"]) == 1
    only_roles = iam.call("GetAccountAuthorizationDetails", Filter=["Role"])
    assert (len(only_roles["RoleDetailList"]), only_roles["UserDetailList"]) == (1, [])
    seen = []
    page = iam.call("GetAccountAuthorizationDetails", MaxItems=1)
    while page["IsTruncated"]:
        seen.append(page)
        page = iam.call("GetAccountAuthorizationDetails", MaxItems=1, Marker=page["Marker"])
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    assert sum(len(one[name]) for one in [*seen, page] for name in lists) == 5


def test_aws_own_policies_are_those_that_aws_publishes() -> None:
    """moto carries a current copy; `scripts/compile_aws_policies.py` writes ours."""
    script = Path(__file__).parents[5] / "scripts" / "compile_aws_policies.py"
    checked = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert checked.returncode == 0
