"""Who may call IAM: its operations are authorized by the caller's own policies."""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.services.iam.registry import READING, WRITING
from blotter.database.services.model import load_model
from tests.iam_in_process import ACCOUNT, IamInProcess, allow, deny, trust

IAM = f"arn:aws:iam::{ACCOUNT}"


@pytest.fixture
def ann(iam: IamInProcess) -> IamInProcess:
    iam.call("CreateUser", UserName="ann", Tags=[{"Key": "team", "Value": "red"}])
    iam.call("CreateUser", UserName="bob", Path="/x/", Tags=[{"Key": "team", "Value": "red"}])
    iam.call("CreateUser", UserName="eve")
    iam.become_user("ann")
    return iam


def _grant(iam: IamInProcess, *policies: str) -> None:
    """The root gives ann these policies and no others."""
    before, iam.caller = iam.caller, _root(iam)
    for name in iam.call("ListUserPolicies", UserName="ann")["PolicyNames"]:
        iam.call("DeleteUserPolicy", UserName="ann", PolicyName=name)
    for number, policy in enumerate(policies):
        iam.call("PutUserPolicy", UserName="ann", PolicyName=f"p{number}", PolicyDocument=policy)
    iam.caller = before
    iam.become_user("ann")


def _root(iam: IamInProcess) -> Any:
    root = iam.access.state.principal_of_user(ACCOUNT, "")
    assert root is not None
    return root


def _is_allowed(iam: IamInProcess, operation: str, **arguments: Any) -> bool:
    try:
        iam.call(operation, **arguments)
    except Exception as error:
        return "AccessDenied" not in str(error)
    return True


def test_nothing_is_allowed_without_a_policy(ann: IamInProcess) -> None:
    assert ann.refusal("ListUsers") == (
        403,
        "AccessDenied",
        f"User: {IAM}:user/ann is not authorized to perform: iam:ListUsers on resource: {IAM}:user/ because no "
        "identity-based policy allows the iam:ListUsers action",
    )
    for operation in ("CreateUser", "GetUser", "DeleteUser", "CreateAccessKey"):
        assert ann.refusal(operation, UserName="new")[1] == "AccessDenied"


def test_a_refusal_does_not_say_whether_there_is_such_a_user(ann: IamInProcess) -> None:
    there, not_there = (ann.refusal("GetUser", UserName=name)[2] for name in ("eve", "nobody"))
    assert there.replace("eve", "nobody") == not_there


def test_resources_are_arns_with_their_paths(ann: IamInProcess) -> None:
    _grant(ann, allow("iam:GetUser", resource=f"{IAM}:user/x/*"))
    assert _is_allowed(ann, "GetUser", UserName="bob")
    assert not _is_allowed(ann, "GetUser", UserName="eve")
    assert not _is_allowed(ann, "DeleteUser", UserName="bob")


def test_an_explicit_deny_wins(ann: IamInProcess) -> None:
    _grant(ann, allow("iam:*"), deny("iam:DeleteUser"))
    assert _is_allowed(ann, "GetUser", UserName="eve")
    message = ann.refusal("DeleteUser", UserName="eve")[2]
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_tags_are_context_keys(ann: IamInProcess) -> None:
    same_team = {"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    red_only = {
        "StringEquals": {"aws:RequestTag/team": "red"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
    }
    _grant(
        ann, allow("iam:GetUser", Condition=same_team), allow("iam:CreateUser", "iam:TagUser", Condition=red_only)
    )
    assert _is_allowed(ann, "GetUser", UserName="bob")
    assert not _is_allowed(ann, "GetUser", UserName="eve")
    assert _is_allowed(ann, "CreateUser", UserName="r", Tags=[{"Key": "team", "Value": "red"}])
    assert not _is_allowed(ann, "CreateUser", UserName="b", Tags=[{"Key": "team", "Value": "blue"}])
    both = [{"Key": "team", "Value": "red"}, {"Key": "x", "Value": "y"}]
    assert not _is_allowed(ann, "TagUser", UserName="eve", Tags=both)


def test_what_is_created_with_tags_is_tagged_too(ann: IamInProcess) -> None:
    _grant(ann, allow("iam:CreateUser"))
    assert _is_allowed(ann, "CreateUser", UserName="n1")
    tagged = ann.refusal("CreateUser", UserName="n2", Tags=[{"Key": "k", "Value": "v"}])
    assert f"iam:TagUser on resource: {IAM}:user/n2" in tagged[2]


def test_a_rename_needs_permission_for_both_names(ann: IamInProcess) -> None:
    _grant(ann, allow("iam:Update*", resource=f"{IAM}:user/x/*"))
    assert not _is_allowed(ann, "UpdateUser", UserName="eve", NewPath="/x/")
    assert not _is_allowed(ann, "UpdateUser", UserName="bob", NewPath="/")
    assert _is_allowed(ann, "UpdateUser", UserName="bob", NewUserName="bobby")


def test_which_policies_may_be_attached(ann: IamInProcess) -> None:
    reads = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    _grant(ann, allow("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": reads}}))
    assert _is_allowed(ann, "AttachUserPolicy", UserName="eve", PolicyArn=reads)
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert not _is_allowed(ann, "AttachUserPolicy", UserName="ann", PolicyArn=admin)


def test_users_only_with_a_boundary(ann: IamInProcess) -> None:
    """The delegation that AWS documents: whoever may make users may make only bounded ones."""
    reads = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    bounded = {"StringEquals": {"iam:PermissionsBoundary": reads}}
    _grant(ann, allow("iam:CreateUser", "iam:PutUserPolicy", Condition=bounded))
    assert not _is_allowed(ann, "CreateUser", UserName="n1")
    assert _is_allowed(ann, "CreateUser", UserName="n2", PermissionsBoundary=reads)
    assert _is_allowed(ann, "PutUserPolicy", UserName="n2", PolicyName="p", PolicyDocument=allow("a:b"))
    assert not _is_allowed(ann, "PutUserPolicy", UserName="eve", PolicyName="p", PolicyDocument=allow("a:b"))


def test_a_boundary_limits_what_policies_allow(ann: IamInProcess) -> None:
    ann.caller = _root(ann)
    ann.call("CreatePolicy", PolicyName="b", PolicyDocument=allow("iam:Get*", "iam:List*"))
    ann.call("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=f"{IAM}:policy/b")
    _grant(ann, allow("iam:*"))
    assert _is_allowed(ann, "ListUsers")
    message = ann.refusal("DeleteUser", UserName="eve")[2]
    assert message.endswith("because no permissions boundary allows the iam:DeleteUser action")


def test_policies_of_groups_count_and_a_change_acts(ann: IamInProcess) -> None:
    ann.caller = _root(ann)
    ann.call("CreateGroup", GroupName="admins")
    ann.call("AttachGroupPolicy", GroupName="admins", PolicyArn="arn:aws:iam::aws:policy/IAMFullAccess")
    ann.call("AddUserToGroup", GroupName="admins", UserName="ann")
    ann.become_user("ann")
    assert _is_allowed(ann, "ListUsers")
    ann.call("RemoveUserFromGroup", GroupName="admins", UserName="ann")
    ann.become_user("ann")
    assert not _is_allowed(ann, "ListUsers")


def test_session_credentials_of_a_user_cannot_call_iam(ann: IamInProcess) -> None:
    _grant(ann, allow("iam:*", "sts:*"))
    user = ann.caller
    ann.become_session(ann.sts("GetSessionToken")["Credentials"])
    assert ann.refusal("ListUsers")[:2] == (403, "InvalidClientTokenId")
    ann.caller = user
    ann.become_session(ann.sts("GetFederationToken", Name="guest", Policy=allow("iam:*"))["Credentials"])
    assert ann.refusal("ListUsers")[:2] == (403, "InvalidClientTokenId")


def test_role_sessions_can(ann: IamInProcess) -> None:
    ann.caller = _root(ann)
    ann.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(f"{IAM}:user/ann"))
    ann.call("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=allow("iam:ListUsers"))
    ann.become_user("ann")
    ann.become_session(ann.sts("AssumeRole", RoleArn=f"{IAM}:role/r", RoleSessionName="s1")["Credentials"])
    assert _is_allowed(ann, "ListUsers")
    assert not _is_allowed(ann, "ListRoles")


def test_a_made_up_path_does_not_open_another_principal_to_simulation(ann: IamInProcess) -> None:
    ann.caller = _root(ann)
    ann.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(f"{IAM}:root"))
    ann.call("CreateGroup", GroupName="g")
    _grant(ann, allow("iam:Simulate*", "iam:GetContextKeys*", resource=f"{IAM}:*/mine/*"))
    for principal in ("role/mine/r", "group/mine/g", "user/mine/eve", "role/mine/x:user/r"):
        arn = f"{IAM}:{principal}"
        simulated = ann.refusal("SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=["a:b"])
        assert simulated[1] == "AccessDenied", principal
        assert ann.refusal("GetContextKeysForPrincipalPolicy", PolicySourceArn=arn)[1] == "AccessDenied"


ARGUMENTS = {
    "UserName": "eve",
    "GroupName": "g",
    "RoleName": "r",
    "PolicyName": "p",
    "PolicyArn": f"{IAM}:policy/p",
    "PolicySourceArn": f"{IAM}:user/eve",
    "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "VersionId": "v1",
    "Status": "Active",
    "PolicyDocument": allow("a:b"),
    "AssumeRolePolicyDocument": "{}",
    "PolicyInputList": [allow("a:b")],
    "ActionNames": ["a:b"],
    "PermissionsBoundary": f"{IAM}:policy/p",
    "Description": "d",
    "Tags": [],
    "TagKeys": [],
}


@pytest.mark.parametrize("operation", sorted({**READING, **WRITING}))
def test_every_operation_is_authorized(ann: IamInProcess, operation: str) -> None:
    model = load_model("iam")
    shape = model.shapes[model.operations[operation].input] if model.operations[operation].input else None
    required = () if shape is None else shape.required
    assert ann.refusal(operation, **{name: ARGUMENTS[name] for name in required})[1] == "AccessDenied"
