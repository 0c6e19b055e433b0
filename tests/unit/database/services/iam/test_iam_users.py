"""Users, groups and access keys. Answers and messages as AWS gave them to LocalStack's tests (2026-02)."""

from __future__ import annotations

import re

import pytest

from blotter.database.security.access_records import ResourcePolicy, find, save
from tests.iam_in_process import ACCOUNT, IamInProcess, Refused, allow, trust

NO_ANN = (404, "NoSuchEntity", "The user with name ann cannot be found.")


def test_the_life_of_a_user(iam: IamInProcess) -> None:
    created = iam.call("CreateUser", UserName="ann", Path="/a/b/", Tags=[{"Key": "t", "Value": ""}])["User"]
    assert re.fullmatch("AIDA[A-Z2-7]{17}", created["UserId"])
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/a/b/ann"
    assert iam.call("GetUser", UserName="ann")["User"] == created
    listed = iam.call("ListUsers", PathPrefix="/a")
    assert listed == {
        "Users": [{name: value for name, value in created.items() if name != "Tags"}],
        "IsTruncated": False,
    }
    assert iam.call("ListUsers", PathPrefix="/b")["Users"] == []
    assert iam.refusal("CreateUser", UserName="ANN") == (
        409,
        "EntityAlreadyExists",
        "User with name ANN already exists.",
    )
    assert iam.call("DeleteUser", UserName="ann") == {}
    for operation in (
        "GetUser",
        "UpdateUser",
        "DeleteUser",
        "ListUserTags",
        "ListGroupsForUser",
        "ListMFADevices",
    ):
        assert iam.refusal(operation, UserName="ann") == NO_ANN


def test_a_renamed_user_keeps_its_id_its_keys_and_its_groups(iam: IamInProcess) -> None:
    user = iam.call("CreateUser", UserName="ann")["User"]
    key = iam.call("CreateAccessKey", UserName="ann")["AccessKey"]
    iam.call("CreateGroup", GroupName="Team")
    iam.call("AddUserToGroup", UserName="ann", GroupName="team")
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(user["Arn"]))
    iam.call("UpdateUser", UserName="ann", NewUserName="Bea", NewPath="/x/")
    assert iam.refusal("GetUser", UserName="ann") == NO_ANN
    renamed = iam.call("GetUser", UserName="bea")["User"]
    assert (renamed["UserId"], renamed["Arn"]) == (user["UserId"], f"arn:aws:iam::{ACCOUNT}:user/x/Bea")
    (shown,) = iam.call("ListAccessKeys", UserName="Bea")["AccessKeyMetadata"]
    assert (shown["AccessKeyId"], shown["UserName"]) == (key["AccessKeyId"], "Bea")
    assert [member["UserName"] for member in iam.call("GetGroup", GroupName="Team")["Users"]] == ["Bea"]
    assert renamed["Arn"] in _trust_of(iam, "r")


def test_what_trusted_a_deleted_user_trusts_no_other_of_its_name(iam: IamInProcess) -> None:
    user = iam.call("CreateUser", UserName="ann")["User"]
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(user["Arn"]))
    iam.call("DeleteUser", UserName="ann")
    assert user["UserId"] in _trust_of(iam, "r")
    iam.call("CreateUser", UserName="ann")
    iam.become_user("ann")
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    assert iam.refusal("AssumeRole", RoleArn=role, RoleSessionName="s1")[1] == "AccessDenied"


def test_nor_does_a_tables_policy(iam: IamInProcess) -> None:
    user = iam.call("CreateUser", UserName="ann")["User"]
    table = "arn:aws:dynamodb:us-east-1:111122223333:table/t"
    policy = ResourcePolicy(table, trust(user["Arn"]), "1", 1.0)
    iam.run(iam.storage.write(lambda tx: save(tx, ACCOUNT, policy)))
    iam.call("UpdateUser", UserName="ann", NewUserName="bea")
    assert '"arn:aws:iam::111122223333:user/bea"' in _resource_policy(iam, table)
    iam.call("DeleteUser", UserName="bea")
    assert f'"{user["UserId"]}"' in _resource_policy(iam, table)


def _resource_policy(iam: IamInProcess, arn: str) -> str:
    snapshot = iam.storage.read()
    assert snapshot is not None
    with snapshot as tx:
        found = find(tx, ACCOUNT, ResourcePolicy, arn)
    assert found is not None
    return found.document


def _trust_of(iam: IamInProcess, role: str) -> str:
    from urllib.parse import unquote

    return unquote(iam.call("GetRole", RoleName=role)["Role"]["AssumeRolePolicyDocument"])


def test_a_user_that_has_anything_cannot_be_deleted(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    iam.call("CreateGroup", GroupName="team")
    key = iam.call("CreateAccessKey", UserName="ann")["AccessKey"]["AccessKeyId"]
    policy = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    steps = [
        ("AddUserToGroup", {"GroupName": "team"}, "RemoveUserFromGroup", "remove users from group"),
        ("AttachUserPolicy", {"PolicyArn": policy}, "DetachUserPolicy", "detach all policies"),
        (
            "PutUserPolicy",
            {"PolicyName": "p", "PolicyDocument": allow("a:b")},
            "DeleteUserPolicy",
            "delete policies",
        ),
    ]
    assert iam.refusal("DeleteUser", UserName="ann") == _must_first("delete access keys")
    iam.call("DeleteAccessKey", UserName="ann", AccessKeyId=key)
    for add, what, remove, message in steps:
        iam.call(add, UserName="ann", **what)
        assert iam.refusal("DeleteUser", UserName="ann") == _must_first(message)
        iam.call(
            remove, UserName="ann", **{name: value for name, value in what.items() if name != "PolicyDocument"}
        )
    iam.call("DeleteUser", UserName="ann")


def _must_first(what: str) -> tuple[int, str, str]:
    return 409, "DeleteConflict", f"Cannot delete entity, must {what} first."


def test_groups_and_their_members(iam: IamInProcess) -> None:
    group = iam.call("CreateGroup", GroupName="team", Path="/x/")["Group"]
    assert re.fullmatch("AGPA[A-Z2-7]{17}", group["GroupId"])
    assert iam.refusal("CreateGroup", GroupName="Team")[2] == "Group with name Team already exists."
    for name in ("bea", "ann"):
        iam.call("CreateUser", UserName=name)
        iam.call("AddUserToGroup", UserName=name, GroupName="team")
        iam.call("AddUserToGroup", UserName=name, GroupName="team")
    members = iam.call("GetGroup", GroupName="team")
    assert members["Group"] == group
    assert [user["UserName"] for user in members["Users"]] == ["ann", "bea"]
    assert iam.call("ListGroupsForUser", UserName="ann")["Groups"] == [group]
    assert iam.refusal("DeleteGroup", GroupName="team") == _must_first("remove users from group")
    iam.call("UpdateGroup", GroupName="team", NewGroupName="crew", NewPath="/")
    assert iam.call("ListGroups")["Groups"][0]["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/crew"
    assert iam.call("ListGroupsForUser", UserName="ann")["Groups"][0]["GroupName"] == "crew"
    for name in ("ann", "bea", "bea"):
        iam.call("RemoveUserFromGroup", UserName=name, GroupName="crew")
    iam.call("DeleteGroup", GroupName="crew")
    nobody = "The user with name any-user cannot be found."
    assert iam.refusal("RemoveUserFromGroup", UserName="any-user", GroupName="crew")[2] == nobody
    no_group = (404, "NoSuchEntity", "The group with name crew cannot be found.")
    assert iam.refusal("AddUserToGroup", UserName="ann", GroupName="crew") == no_group


def test_a_user_is_in_ten_groups_at_most(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    for number in range(11):
        iam.call("CreateGroup", GroupName=f"g{number}")
    for number in range(10):
        iam.call("AddUserToGroup", UserName="ann", GroupName=f"g{number}")
    assert iam.refusal("AddUserToGroup", UserName="ann", GroupName="g10") == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for GroupsPerUser: 10",
    )


def test_access_keys(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    made = iam.call("CreateAccessKey", UserName="ann")["AccessKey"]
    assert re.fullmatch("AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert re.fullmatch("[A-Za-z0-9+/]{40}", made["SecretAccessKey"])
    assert made["Status"] == "Active"
    iam.call("CreateAccessKey", UserName="ann")
    assert iam.refusal("CreateAccessKey", UserName="ann") == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    iam.call("UpdateAccessKey", UserName="ann", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    iam.access.state.refresh()
    credential = iam.access.state.find_access_key(made["AccessKeyId"])
    assert credential is not None
    assert (credential.secret, credential.active) == (made["SecretAccessKey"], False)
    listed = iam.call("ListAccessKeys", UserName="ann")["AccessKeyMetadata"]
    assert {key["AccessKeyId"]: key["Status"] for key in listed}[made["AccessKeyId"]] == "Inactive"
    assert not any("SecretAccessKey" in key for key in listed)
    unused = iam.call("GetAccessKeyLastUsed", AccessKeyId=made["AccessKeyId"])
    assert unused == {"UserName": "ann", "AccessKeyLastUsed": {"Region": "N/A", "ServiceName": "N/A"}}
    other = "AKIAIOSFODNN7EXAMPLE"
    missing = (404, "NoSuchEntity", f"The Access Key with id {other} cannot be found.")
    assert iam.refusal("UpdateAccessKey", UserName="ann", AccessKeyId=other, Status="Active") == missing
    assert iam.refusal("GetAccessKeyLastUsed", AccessKeyId=other) == (
        403,
        "AccessDenied",
        f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform iam:GetAccessKeyLastUsed on resource: "
        f"access key {other}",
    )


def test_a_secret_is_nowhere_in_the_store(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    secret = iam.call("CreateAccessKey", UserName="ann")["AccessKey"]["SecretAccessKey"]
    snapshot = iam.storage.read()
    assert snapshot is not None
    with snapshot as tx:
        rows = tx.items(0, b"", None, 1000)
    assert rows
    assert not any(secret.encode() in body for _, _, body in rows)


def test_without_a_name_operations_are_about_the_caller(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    iam.call("PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=allow("iam:*"))
    assert iam.call("GetUser")["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    root_key = iam.call("CreateAccessKey")["AccessKey"]
    iam.become_user("ann")
    assert iam.call("GetUser")["User"]["UserName"] == "ann"
    key = iam.call("CreateAccessKey")["AccessKey"]
    assert key["UserName"] == "ann"
    refused = iam.refusal("DeleteAccessKey", AccessKeyId=root_key["AccessKeyId"])
    assert refused[1] == "NoSuchEntity"
    iam.call("DeleteAccessKey", AccessKeyId=key["AccessKeyId"])


def test_the_caller_of_a_key_of_nobody_is_told_to_name_one(iam: IamInProcess) -> None:
    user = iam.call("CreateUser", UserName="ann")["User"]
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(user["Arn"]))
    iam.call("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=allow("iam:*"))
    iam.become_user("ann")
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    iam.become_session(iam.sts("AssumeRole", RoleArn=role, RoleSessionName="s1")["Credentials"])
    message = "Must specify userName when calling with non-User credentials"
    assert iam.refusal("ListAccessKeys") == (400, "ValidationError", message)


@pytest.mark.parametrize("account_has", [0, 3])
def test_the_account_at_a_glance(iam: IamInProcess, account_has: int) -> None:
    for number in range(account_has):
        iam.call("CreateUser", UserName=f"u{number}")
        iam.call("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=allow("a:b"))
    summary = iam.call("GetAccountSummary")["SummaryMap"]
    assert (summary["Users"], summary["Policies"], summary["Groups"]) == (account_has, account_has, 0)
    assert summary["AccessKeysPerUserQuota"] == 2
    assert len(summary) == 34


def test_an_operation_of_aws_that_is_not_here_is_refused_by_name(iam: IamInProcess) -> None:
    with pytest.raises(Refused, match="Blotter does not implement"):
        iam.call("CreateLoginProfile", UserName="ann", Password="secret")
