"""Kinds of things that IAM has on AWS and that do not exist here: passwords, certificates, instance profiles, …

Tools ask for them before they delete a user or a role (Terraform, Ansible), so lists of them are answered, and are
empty. Operations that would make one are refused by name.
"""

from __future__ import annotations

from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_user, named_role, named_user, own_user_name
from blotter.database.services.iam.errors import no_such_entity
from blotter.database.storage.protocol import ReadTransaction

_MEMBERS = {
    "ListAccountAliases": "AccountAliases",
    "ListInstanceProfiles": "InstanceProfiles",
    "ListInstanceProfilesForRole": "InstanceProfiles",
    "ListMFADevices": "MFADevices",
    "ListOpenIDConnectProviders": "OpenIDConnectProviderList",
    "ListSAMLProviders": "SAMLProviderList",
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListServerCertificates": "ServerCertificateMetadataList",
    "ListServiceSpecificCredentials": "ServiceSpecificCredentials",
    "ListSigningCertificates": "Certificates",
    "ListVirtualMFADevices": "VirtualMFADevices",
}


def list_nothing(call: IamCall, tx: ReadTransaction) -> Output:
    """An empty list; of a user or a role that exists."""
    if "UserName" in call.arguments:
        named_user(call, tx)
    if "RoleName" in call.arguments:
        named_role(call, tx)
    return {_MEMBERS[call.operation]: [], "IsTruncated": False}


def no_login_profile(call: IamCall, tx: ReadTransaction) -> Output:
    name = call.argument("UserName") or own_user_name(call)
    if name:
        name = get_user(tx, call.account, name).name
    raise no_such_entity(f"Login Profile for User {name} cannot be found.")
