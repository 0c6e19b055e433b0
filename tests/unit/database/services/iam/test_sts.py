"""STS: whose credentials one may have, for how long, and what limits them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.iam_in_process import ACCOUNT, IamInProcess, allow, document, trust

IAM = f"arn:aws:iam::{ACCOUNT}"
ROLE = f"{IAM}:role/app/worker"
WITH_TAGS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")


@pytest.fixture
def ann(iam: IamInProcess) -> IamInProcess:
    """The caller is the user ann, whom the role worker trusts."""
    iam.call("CreateUser", UserName="ann")
    more = {"Path": "/app/", "MaxSessionDuration": 7200}
    trusting = trust(f"{IAM}:user/ann", actions=WITH_TAGS)
    iam.call("CreateRole", RoleName="worker", AssumeRolePolicyDocument=trusting, **more)
    iam.become_user("ann")
    return iam


def _as_root(iam: IamInProcess, operation: str, **arguments: Any) -> None:
    before = iam.caller
    root = iam.access.state.principal_of_user(ACCOUNT, "")
    assert root is not None
    iam.caller = root
    iam.call(operation, **arguments)
    iam.access.state.refresh()
    iam.caller = before


def _assume(iam: IamInProcess, role: str = ROLE, **more: Any) -> dict[str, Any]:
    return iam.sts("AssumeRole", RoleArn=role, RoleSessionName="s1", **more)


def _refused(iam: IamInProcess, role: str = ROLE, **more: Any) -> tuple[int, str, str]:
    return iam.refusal("AssumeRole", **{"RoleArn": role, "RoleSessionName": "s1", **more})


def _not_authorized(caller: str, role: str = ROLE, action: str = "sts:AssumeRole") -> tuple[int, str, str]:
    return 403, "AccessDenied", f"User: {caller} is not authorized to perform: {action} on resource: {role}"


def test_credentials_of_a_role(ann: IamInProcess) -> None:
    answer = _assume(ann)
    role_id = ann.access.state.role(ACCOUNT, "worker")
    assert role_id is not None
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s1"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{role_id.id}:s1", "Arn": arn}
    assert set(answer) == {"Credentials", "AssumedRoleUser"}
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    ann.become_session(answer["Credentials"])
    assert ann.sts("GetCallerIdentity") == {"UserId": f"{role_id.id}:s1", "Account": ACCOUNT, "Arn": arn}


def test_whom_the_trust_policy_does_not_name(ann: IamInProcess) -> None:
    _as_root(ann, "CreateUser", UserName="eve")
    _as_root(ann, "AttachUserPolicy", UserName="eve", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    ann.become_user("eve")
    assert _refused(ann) == _not_authorized(f"{IAM}:user/eve")
    missing = f"{IAM}:role/missing"
    assert _refused(ann, missing) == _not_authorized(f"{IAM}:user/eve", missing)
    assert _refused(ann, f"{IAM}:role/worker")[1] == "AccessDenied"  # another path


def test_a_trusted_account_decides_by_its_own_policies(ann: IamInProcess) -> None:
    _as_root(ann, "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=trust(ACCOUNT))
    assert _refused(ann) == _not_authorized(f"{IAM}:user/ann")
    _as_root(ann, "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=allow("sts:*", resource=ROLE))
    ann.become_user("ann")
    assert _assume(ann)


def test_the_root_assumes_no_role(ann: IamInProcess) -> None:
    root = ann.access.state.principal_of_user(ACCOUNT, "")
    assert root is not None
    ann.caller = root
    assert _refused(ann) == (403, "AccessDenied", "Roles may not be assumed by root accounts.")


def test_the_external_id(ann: IamInProcess) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "x-1"}}
    text = trust(f"{IAM}:user/ann", Condition=condition)
    _as_root(ann, "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=text)
    assert _refused(ann) == _not_authorized(f"{IAM}:user/ann")
    assert _refused(ann, ExternalId="x-2") == _not_authorized(f"{IAM}:user/ann")
    assert _assume(ann, ExternalId="x-1")


def test_how_long_a_session_lasts(ann: IamInProcess) -> None:
    claims = ann.access.tokens.open(_assume(ann, DurationSeconds=7200)["Credentials"]["SessionToken"])
    assert claims is not None
    assert claims.claims.expires_at - claims.claims.issued_at == 7200
    too_long = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert _refused(ann, DurationSeconds=7201) == (400, "ValidationError", too_long)
    assert _refused(ann, DurationSeconds=899)[2] == (
        "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must "
        "have value greater than or equal to 900"
    )


def test_a_chain_of_roles(ann: IamInProcess) -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s1"
    second = f"{IAM}:role/second"
    _as_root(
        ann,
        "CreateRole",
        RoleName="second",
        MaxSessionDuration=43200,
        AssumeRolePolicyDocument=trust(ROLE, actions=WITH_TAGS),
    )
    assert _refused(ann, second) == _not_authorized(f"{IAM}:user/ann", second)
    tags = [{"Key": "Team", "Value": "red"}, {"Key": "mine", "Value": "1"}]
    first = _assume(ann, Tags=tags, TransitiveTagKeys=["team"], SourceIdentity="ann")
    assert (first["SourceIdentity"], first["PackedPolicySize"] > 0) == ("ann", True)
    ann.become_session(first["Credentials"])
    assert ann.caller.tags == {"Team": "red", "mine": "1"}
    _as_root(ann, "PutRolePolicy", RoleName="worker", PolicyName="p", PolicyDocument=allow("sts:*"))
    ann.become_session(first["Credentials"])
    hour = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    assert _refused(ann, second, DurationSeconds=3601) == (400, "ValidationError", hour)
    conflict = (
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
        "from the calling session."
    )
    for key in ("Team", "TEAM"):
        refused = _refused(ann, second, Tags=[{"Key": key, "Value": "blue"}])
        assert refused == (400, "InvalidParameterValue", conflict)
    assert ann.caller.arn == session
    assert _refused(ann, second, SourceIdentity="eve")[1] == "AccessDenied"
    chained = _assume(ann, second)
    ann.become_session(chained["Credentials"])
    assert ann.caller.tags == {"Team": "red"}
    assert chained["SourceIdentity"] == "ann"


def test_session_tags(ann: IamInProcess) -> None:
    assert _refused(ann, TransitiveTagKeys=["k"]) == (
        400,
        "InvalidParameterValue",
        "The specified transitive tag key must be included in the requested tags.",
    )
    twice = [{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}]
    assert _refused(ann, Tags=twice) == (
        400,
        "InvalidParameterValue",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    _as_root(ann, "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=trust(f"{IAM}:user/ann"))
    assert _assume(ann)
    denied = _refused(ann, Tags=twice[:1])
    assert denied == _not_authorized(f"{IAM}:user/ann", action="sts:TagSession")


def test_session_policies(ann: IamInProcess) -> None:
    _as_root(ann, "PutRolePolicy", RoleName="worker", PolicyName="p", PolicyDocument=allow("iam:*"))
    reads = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    user = ann.caller
    for more, allowed in (
        ({}, True),
        ({"Policy": allow("iam:ListUsers")}, True),
        ({"Policy": allow("iam:ListRoles")}, False),
        ({"PolicyArns": [{"arn": reads}]}, True),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]}, False),
    ):
        ann.caller = user
        answer = _assume(ann, **more)
        assert ("PackedPolicySize" in answer) == bool(more)
        ann.become_session(answer["Credentials"])
        if allowed:
            assert ann.call("ListUsers")["Users"]
        else:
            message = ann.refusal("ListUsers")[2]
            assert message.endswith("because no session policy allows the iam:ListUsers action")
    ann.caller = user
    assert _refused(ann, Policy="{")[1] == "MalformedPolicyDocument"
    assert _refused(ann, PolicyArns=[{"arn": f"{IAM}:policy/none"}])[1] == "MalformedPolicyDocument"
    seeded = random.Random(7)
    noise = allow(*(f"a:{seeded.randbytes(100).hex()}" for _ in range(60)))
    assert _refused(ann, Policy=noise)[:2] == (400, "PackedPolicyTooLarge")


@pytest.mark.parametrize(
    "arn",
    [
        "nothing-valid-in-here-at-all",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ],
)
def test_what_is_no_arn(ann: IamInProcess, arn: str) -> None:
    assert _refused(ann, arn) == (400, "ValidationError", f"{arn} is invalid")


def test_names_of_sessions(ann: IamInProcess) -> None:
    assert _refused(ann, RoleSessionName="Session1:2") == (
        400,
        "ValidationError",
        "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
    )


def test_there_are_no_devices_for_a_second_factor(ann: IamInProcess) -> None:
    assert _refused(ann, SerialNumber=f"{IAM}:mfa/ann", TokenCode="123456")[1] == "AccessDenied"


def test_a_session_token_is_the_user_again(ann: IamInProcess) -> None:
    answer = ann.sts("GetSessionToken", DurationSeconds=900)
    user = ann.caller
    ann.become_session(answer["Credentials"])
    assert ann.sts("GetCallerIdentity")["Arn"] == user.arn
    assert ann.refusal("GetSessionToken")[2] == "Cannot call GetSessionToken with session credentials"
    assert (
        ann.refusal("GetFederationToken", Name="x1")[2]
        == "Cannot call GetFederationToken with session credentials"
    )
    assert _assume(ann)
    ann.caller = user
    _as_root(
        ann,
        "PutUserPolicy",
        UserName="ann",
        PolicyName="p",
        PolicyDocument=document({"Effect": "Deny", "Action": "sts:GetSessionToken", "Resource": "*"}),
    )
    ann.become_user("ann")
    assert ann.refusal("GetSessionToken")[2].endswith("with an explicit deny in an identity-based policy")


def test_a_federated_user_may_what_both_allow(ann: IamInProcess) -> None:
    guest = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    assert ann.refusal("GetFederationToken", Name="guest")[2].startswith(
        f"User: {IAM}:user/ann is not authorized to perform: sts:GetFederationToken on resource: {guest}"
    )
    _as_root(ann, "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=allow("sts:GetFederationToken"))
    ann.become_user("ann")
    answer = ann.sts("GetFederationToken", Name="guest")
    assert answer["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:guest", "Arn": guest}
    assert answer["PackedPolicySize"] == 0
    ann.become_session(answer["Credentials"])
    assert ann.caller.session_policies == ()  # nothing, not everything
    assert ann.sts("GetCallerIdentity")["Arn"] == guest
    assert _refused(ann)[2] == "Cannot call AssumeRole with federated user credentials"


def test_the_account_is_in_every_key(ann: IamInProcess) -> None:
    key = _assume(ann)["Credentials"]["AccessKeyId"]
    assert ann.refusal("GetAccessKeyInfo", AccessKeyId=key)[1] == "AccessDenied"
    root = ann.access.state.principal_of_user(ACCOUNT, "")
    assert root is not None
    ann.caller = root
    assert ann.sts("GetAccessKeyInfo", AccessKeyId=key) == {"Account": ACCOUNT}


def test_another_account_is_let_in_by_both(ann: IamInProcess) -> None:
    """Across accounts, the trust policy and the caller's own policies have to allow it."""
    from blotter.database.security.policy import parse_policy
    from blotter.database.security.principal import Principal

    other = Principal("user", "999999999999", "arn:aws:iam::999999999999:user/bob", "AIDABOB", "bob")
    _as_root(ann, "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=trust("999999999999"))
    ann.caller = other
    assert _refused(ann) == _not_authorized(other.arn)
    may = parse_policy(allow("sts:AssumeRole", resource=ROLE), "identity")
    ann.caller = Principal("user", other.account, other.arn, "AIDABOB", "bob", policies=(may,))
    assert _assume(ann)["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s1"
