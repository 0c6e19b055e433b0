"""GetAccountSummary and GetAccountAuthorizationDetails: an account at a glance, and everything in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from blotter.database.security.access_records import Group, ManagedPolicy, Role, User, count, every
from blotter.database.services.api import Output
from blotter.database.services.iam import limits
from blotter.database.services.iam.aws_policies import find_aws_policy
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.groups import groups_of
from blotter.database.services.iam.managed_policies import Usage, holders
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.policy_versions import full_version_view
from blotter.database.services.iam.roles import use_of_role
from blotter.database.services.iam.users import keys_of
from blotter.database.services.iam.views import (
    attached_views,
    boundary_of,
    group_view,
    inline_views,
    policy_view,
    role_core,
    role_use,
    tags_view,
    user_view,
)
from blotter.database.storage.protocol import ReadTransaction

Entity = tuple[str, Callable[[], Any]]
"""The key of a user, group, role or policy in the order of the details, and what makes its details."""

_LISTS = {"user": "UserDetailList", "group": "GroupDetailList", "role": "RoleDetailList", "xpolicy": "Policies"}


def get_account_summary(call: IamCall, tx: ReadTransaction) -> Output:
    policies = list(every(tx, call.account, ManagedPolicy))
    counted = {
        "Users": count(tx, call.account, User),
        "Groups": count(tx, call.account, Group),
        "Roles": count(tx, call.account, Role),
        "Policies": len(policies),
        "PolicyVersionsInUse": sum(len(policy.versions) for policy in policies),
        "AccountAccessKeysPresent": min(1, len(keys_of(tx, call.account, ""))),
    }
    nothing = dict.fromkeys(
        (
            *("AccountMFAEnabled", "AccountPasswordPresent", "AccountSigningCertificatesPresent", "MFADevices"),
            *("InstanceProfiles", "MFADevicesInUse", "Providers", "ServerCertificates"),
        ),
        0,
    )
    return {"SummaryMap": counted | nothing | _QUOTAS}


_QUOTAS = {
    "AccessKeysPerUserQuota": limits.KEYS_OF_USER,
    "AssumeRolePolicySizeQuota": limits.TRUST_SIZE,
    "AttachedPoliciesPerGroupQuota": limits.ATTACHED,
    "AttachedPoliciesPerRoleQuota": limits.ATTACHED,
    "AttachedPoliciesPerUserQuota": limits.ATTACHED,
    "GlobalEndpointTokenVersion": 1,
    "GroupPolicySizeQuota": limits.INLINE_SIZE["group"],
    "GroupsPerUserQuota": limits.GROUPS_OF_USER,
    "GroupsQuota": limits.GROUPS,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": limits.POLICIES,
    "PolicySizeQuota": limits.POLICY_SIZE,
    "PolicyVersionsInUseQuota": 10000,
    "RolePolicySizeQuota": limits.INLINE_SIZE["role"],
    "RolesQuota": limits.ROLES,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "UserPolicySizeQuota": limits.INLINE_SIZE["user"],
    "UsersQuota": limits.USERS,
    "VersionsPerPolicyQuota": limits.VERSIONS,
}


def get_account_authorization_details(call: IamCall, tx: ReadTransaction) -> Output:
    """Users, groups and roles with their policies, and the managed policies; of AWS's those that are in use."""
    wanted = set(call.argument("Filter") or ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"))
    entities = sorted(_entities(call, tx, wanted), key=lambda entity: entity[0])
    output = page(call, entities, lambda entity: entity[0], lambda entity: entity, "Entities")
    lists: Output = {name: [] for name in _LISTS.values()}
    for key, details in output.pop("Entities"):
        lists[_LISTS[key.partition(" ")[0]]].append(details())
    return lists | output


def _entities(call: IamCall, tx: ReadTransaction, wanted: set[str]) -> Iterator[Entity]:
    account = call.account
    if "User" in wanted:
        for user in every(tx, account, User):
            yield f"user {user.name.lower()}", lambda user=user: _user(tx, account, user)  # type: ignore[misc]
    if "Group" in wanted:
        for group in every(tx, account, Group):
            yield f"group {group.name.lower()}", lambda group=group: _group(account, group)  # type: ignore[misc]
    if "Role" in wanted:
        for role in every(tx, account, Role):
            yield f"role {role.name.lower()}", lambda role=role: _role(tx, account, role)  # type: ignore[misc]
    usage = Usage(tx, account)
    if "LocalManagedPolicy" in wanted:
        for own in every(tx, account, ManagedPolicy):
            key = f"xpolicy {account} {own.name.lower()}"
            yield key, lambda own=own: _policy(account, own, usage)  # type: ignore[misc]
    if "AWSManagedPolicy" in wanted:
        for shipped in _shipped_in_use(tx, account):
            key = f"xpolicy aws {shipped.name.lower()}"
            yield key, lambda shipped=shipped: _policy("aws", shipped, usage)  # type: ignore[misc]


def _shipped_in_use(tx: ReadTransaction, account: str) -> list[ManagedPolicy]:
    arns: set[str] = set()
    for holder in holders(tx, account):
        arns.update(holder.attached)
        if isinstance(holder, User | Role):
            arns.add(holder.boundary)
    return [policy for arn in arns if (policy := find_aws_policy(arn)) is not None]


def _user(tx: ReadTransaction, account: str, user: User) -> dict[str, Any]:
    return (
        user_view(account, user)
        | {
            "UserPolicyList": inline_views(user) or None,
            "GroupList": [group.name for group in groups_of(tx, account, user)],
            "AttachedManagedPolicies": attached_views(user.attached),
            "Tags": tags_view(user.tags),
        }
        | boundary_of(user)
    )


def _group(account: str, group: Group) -> dict[str, Any]:
    return group_view(account, group) | {
        "GroupPolicyList": inline_views(group),
        "AttachedManagedPolicies": attached_views(group.attached),
    }


def _role(tx: ReadTransaction, account: str, role: Role) -> dict[str, Any]:
    return (
        role_core(account, role)
        | {
            "InstanceProfileList": [],
            "RolePolicyList": inline_views(role),
            "AttachedManagedPolicies": attached_views(role.attached),
            "Tags": tags_view(role.tags),
            "RoleLastUsed": role_use(use_of_role(tx, account, role)),
        }
        | boundary_of(role)
    )


def _policy(account: str, policy: ManagedPolicy, usage: Usage) -> dict[str, Any]:
    view = policy_view(account, policy)
    view["AttachmentCount"], view["PermissionsBoundaryUsageCount"] = usage.of(view["Arn"])
    newest_first = reversed(policy.versions)
    return view | {"PolicyVersionList": [full_version_view(policy, version) for version in newest_first]}
