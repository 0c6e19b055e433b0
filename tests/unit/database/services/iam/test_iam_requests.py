"""What IAM refuses before it looks at anything, in AWS's words, and lists in pages."""

from __future__ import annotations

import base64
import itertools
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.iam_in_process import IamInProcess, allow

TAG_PATTERN = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"
ONE = "1 validation error detected: Value at"
TOO_LONG = "failed to satisfy constraint: Member must have length less than or equal to"


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("CreateUser", {}, f"{ONE} 'userName' failed to satisfy constraint: Member must not be null"),
        ("CreateUser", {"UserName": "a" * 65}, f"{ONE} 'userName' {TOO_LONG} 64"),
        (
            "CreateUser",
            {"UserName": "bad/name"},
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the "
            "following: +=,.@_-",
        ),
        (
            "CreateUser",
            {"UserName": "ä", "Path": "/x"},
            "2 validation errors detected: The specified value for path is invalid. It must begin and end with / "
            "and contain only alphanumeric characters and/or / characters.; The specified value for userName is "
            "invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
        ),
        ("CreateUser", {"UserName": "ann", "Path": f"/{'a' * 511}/"}, f"{ONE} 'path' {TOO_LONG} 512"),
        (
            "ListPolicies",
            {"PathPrefix": "/foo"},
            "The specified value for pathPrefix is invalid. It must begin with the / character and contain only "
            "alphanumeric characters and/or / characters.",
        ),
        (
            "TagUser",
            {"UserName": "ann", "Tags": [{"Key": "k", "Value": "v"}] * 51},
            f"{ONE} 'tags' {TOO_LONG} 50",
        ),
        (
            "TagUser",
            {"UserName": "ann", "Tags": [{"Key": "k" * 129, "Value": "v"}]},
            f"{ONE} 'tags.1.member.key' {TOO_LONG} 128",
        ),
        (
            "TagUser",
            {"UserName": "ann", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "k2", "Value": "v" * 257}]},
            f"{ONE} 'tags.2.member.value' {TOO_LONG} 256",
        ),
        (
            "TagUser",
            {"UserName": "ann", "Tags": [{"Key": "NOWAY!", "Value": "v"}]},
            f"{ONE} 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression "
            f"pattern: {TAG_PATTERN}",
        ),
        (
            "UntagUser",
            {"UserName": "ann", "TagKeys": ["k" * 129]},
            f"{ONE} 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have "
            "length less than or equal to 128, Member must have length greater than or equal to 1, Member must "
            f"satisfy regular expression pattern: {TAG_PATTERN}, Member must not be null]",
        ),
        ("UntagUser", {"UserName": "ann", "TagKeys": ["k"] * 51}, f"{ONE} 'tagKeys' {TOO_LONG} 50"),
        (
            "GetPolicyVersion",
            {"PolicyArn": "arn:aws:iam::aws:policy/x", "VersionId": "1"},
            f"{ONE} 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?",
        ),
        (
            "UpdateAccessKey",
            {"UserName": "ann", "AccessKeyId": "A" * 20, "Status": "Expired"},
            f"{ONE} 'status' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        (
            "ListUsers",
            {"MaxItems": 1001},
            "1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must "
            "have value less than or equal to 1000",
        ),
        (
            "PutUserPolicy",
            {"UserName": "ann", "PolicyName": "p", "PolicyDocument": "\u1234"},
            "The specified value for policyDocument is invalid. It must contain only printable ASCII characters.",
        ),
        ("ListUsers", {"Marker": "10"}, "Invalid Marker."),
    ],
)
def test_what_violates_the_model(
    iam: IamInProcess, operation: str, arguments: dict[str, Any], message: str
) -> None:
    assert iam.refusal(operation, **arguments) == (400, "ValidationError", message)


def test_tags_may_have_letters_of_every_language(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann", Tags=[{"Key": "größe 日本", "Value": "№ 1"}][:0])
    iam.call("TagUser", UserName="ann", Tags=[{"Key": "größe 日本", "Value": "٣ x@y"}])
    assert iam.call("ListUserTags", UserName="ann")["Tags"] == [{"Key": "größe 日本", "Value": "٣ x@y"}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("Action=ListUsers&Version=2010-05-08&MaxItems=many", "MalformedInput"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems=" + "9" * 5000, "MalformedInput"),
        ("Action=ListUsers&Version=2010-05-08&MaxItems.member.1=1", "MalformedInput"),
        ("Action=ListPolicies&Version=2010-05-08&OnlyAttached=1", "MalformedInput"),
        ("Action=TagUser&Version=2010-05-08&UserName=ann&Tags.member.x.Key=k", "MalformedInput"),
        ("Action=TagUser&Version=2010-05-08&UserName=ann&Tags=", "NoSuchEntity"),
        ("Action=TagUser&Version=2010-05-08&UserName=ann&Tags.member.1=k", "ValidationError"),
        ("Action=GetUser&Version=2010-05-08&UserName=ann&" + ".".join("a" * 9000) + "=1", "NoSuchEntity"),
        ("Action=UntagUser&Version=2010-05-08&UserName=ann&TagKeys.member.7=a&TagKeys.member.2=b", "NoSuchEntity"),
    ],
)
def test_forms_that_no_sdk_sends(iam: IamInProcess, body: str, code: str) -> None:
    answer = iam.form("iam", body)
    assert ET.fromstring(answer.body).findtext(".//{*}Code") == code


def test_an_answer_in_xml(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    answer = iam.form("iam", "Action=ListUsers&Version=2010-05-08&Unknown=1").body.decode()
    assert answer.startswith(
        '<ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListUsersResult>'
    )
    assert "<Users><member><Path>/</Path><UserName>ann</UserName>" in answer
    assert "<IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata>" in answer
    empty = iam.form("iam", "Action=TagUser&Version=2010-05-08&UserName=ann&Tags=").body.decode()
    assert empty.strip() == (
        '<TagUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>ID'
        "</RequestId></ResponseMetadata></TagUserResponse>"
    )


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_pages_have_everything_once(iam: IamInProcess, size: int) -> None:
    names = [f"user{number}" for number in range(7)] + ["USERx", "Zoe"]
    for name in names:
        iam.call("CreateUser", UserName=name)
    seen, marker = [], {}
    for _ in itertools.count():
        page = iam.call("ListUsers", MaxItems=size, **marker)
        seen += [user["UserName"] for user in page["Users"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
        iam.call("CreateUser", UserName=f"a{len(seen)}")  # before the marker
    assert "Marker" not in page
    assert seen == sorted(names, key=str.lower)


def test_a_marker_is_for_its_own_list(iam: IamInProcess) -> None:
    for name in ("a", "b"):
        iam.call("CreateUser", UserName=name)
    marker = iam.call("ListUsers", MaxItems=1)["Marker"]
    assert iam.refusal("ListRoles", Marker=marker)[2] == "Invalid Marker."


def test_policies_of_the_account_come_before_aws_own(iam: IamInProcess) -> None:
    for name in ("z", "a"):
        iam.call("CreatePolicy", PolicyName=name, PolicyDocument=allow("a:b"))
    seen, page = [], iam.call("ListPolicies", MaxItems=3)
    while page["IsTruncated"]:
        seen += page["Policies"]
        page = iam.call("ListPolicies", MaxItems=3, Marker=page["Marker"])
    names = [policy["PolicyName"] for policy in seen + page["Policies"]]
    assert names[:2] == ["a", "z"]
    assert names[2:] == sorted(names[2:], key=str.lower)
    assert len(set(names)) == len(names) > 15


@pytest.mark.parametrize("key", ["²", "9" * 100, "/", "\x00", "access/999999999999/user/x", " "])
@pytest.mark.parametrize("operation", ["ListUsers", "ListPolicies", "GetAccountAuthorizationDetails"])
def test_forged_markers_show_nothing_else(iam: IamInProcess, operation: str, key: str) -> None:
    iam.call("CreateUser", UserName="ann")
    marker = base64.urlsafe_b64encode(f"{operation}\n{key}".encode()).decode()
    assert "IsTruncated" in iam.call(operation, Marker=marker)
    asked = {"PolicyInputList": [allow("a:b")], "ActionNames": ["a:b"]}
    forged = base64.urlsafe_b64encode(f"SimulateCustomPolicy\n{key}".encode()).decode()
    assert "IsTruncated" in iam.call("SimulateCustomPolicy", **asked, Marker=forged)
