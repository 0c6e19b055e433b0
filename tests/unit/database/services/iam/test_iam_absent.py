"""What does not exist here: lists of it are empty, so that tools which look before they delete get on."""

from __future__ import annotations

import pytest

from tests.iam_in_process import ACCOUNT, IamInProcess, Refused, trust


@pytest.mark.parametrize(
    ("operation", "member"),
    [
        ("ListAccountAliases", "AccountAliases"),
        ("ListInstanceProfiles", "InstanceProfiles"),
        ("ListInstanceProfilesForRole", "InstanceProfiles"),
        ("ListMFADevices", "MFADevices"),
        ("ListOpenIDConnectProviders", "OpenIDConnectProviderList"),
        ("ListSAMLProviders", "SAMLProviderList"),
        ("ListSSHPublicKeys", "SSHPublicKeys"),
        ("ListServerCertificates", "ServerCertificateMetadataList"),
        ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
        ("ListSigningCertificates", "Certificates"),
        ("ListVirtualMFADevices", "VirtualMFADevices"),
    ],
)
def test_there_is_none(iam: IamInProcess, operation: str, member: str) -> None:
    iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust(ACCOUNT))
    of = {"RoleName": "r"} if operation == "ListInstanceProfilesForRole" else {}
    assert iam.call(operation, **of)[member] == []


def test_no_user_has_a_password(iam: IamInProcess) -> None:
    iam.call("CreateUser", UserName="ann")
    missing = (404, "NoSuchEntity", "Login Profile for User ann cannot be found.")
    assert iam.refusal("GetLoginProfile", UserName="ann") == missing
    assert iam.refusal("DeleteLoginProfile", UserName="ann") == missing


@pytest.mark.parametrize(
    "operation",
    ["CreateInstanceProfile", "CreateServiceLinkedRole", "GenerateCredentialReport", "UploadSSHPublicKey"],
)
def test_what_would_make_one_is_refused_by_name(iam: IamInProcess, operation: str) -> None:
    with pytest.raises(Refused, match=f"operation {operation} .*Blotter does not implement this operation"):
        iam.call(operation)
