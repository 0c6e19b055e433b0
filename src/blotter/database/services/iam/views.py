"""How users, groups, roles and policies look in answers.

What AWS leaves out of lists and of the answers to Create… is left out here: tags, boundaries, descriptions, as
recorded in LocalStack's tests (tests/aws/services/iam/*.snapshot.json, 2026-02).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from blotter.database.security.access_records import Group, KeyUse, ManagedPolicy, PolicyHolder, Role, User
from blotter.database.services.iam.calls import group_arn, policy_arn, role_arn, user_arn

View = dict[str, Any]


def document_view(text: str) -> str:
    """A policy's document as answers contain it: percent-encoded (RFC 3986)."""
    return quote(text, safe="")


def tags_view(tags: Mapping[str, str]) -> list[View]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def user_view(account: str, user: User) -> View:
    """A user in a list."""
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user_arn(account, user),
        "CreateDate": user.created,
    }


def full_user_view(account: str, user: User) -> View:
    return user_view(account, user) | boundary_of(user) | _some_tags(user.tags)


def group_view(account: str, group: Group) -> View:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group_arn(account, group),
        "CreateDate": group.created,
    }


def new_role_view(account: str, role: Role) -> View:
    """A role in the answer to CreateRole."""
    return role_core(account, role) | boundary_of(role) | _some_tags(role.tags)


def role_view(account: str, role: Role) -> View:
    """A role in a list."""
    return role_core(account, role) | _description(role.description) | {"MaxSessionDuration": role.max_session}


def full_role_view(account: str, role: Role, use: KeyUse | None) -> View:
    return role_view(account, role) | boundary_of(role) | _some_tags(role.tags) | {"RoleLastUsed": role_use(use)}


def role_use(use: KeyUse | None) -> View:
    return {} if use is None else {"LastUsedDate": use.used, "Region": use.region}


def described_role_view(account: str, role: Role) -> View:
    """A role in the answer to UpdateRoleDescription."""
    return role_core(account, role) | _description(role.description)


def role_core(account: str, role: Role) -> View:
    """What every view of a role has."""
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role_arn(account, role),
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": document_view(role.trust),
    }


def policy_view(account: str, policy: ManagedPolicy, attached: int = 0, boundaries: int = 0) -> View:
    """A policy in a list; how many entities it is attached to, and of how many it is the boundary."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy_arn(account, policy),
        "Path": policy.path,
        "DefaultVersionId": policy.default,
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": boundaries,
        "IsAttachable": True,
        "CreateDate": policy.created,
        "UpdateDate": policy.updated,
    }


def inline_views(holder: PolicyHolder) -> list[View]:
    return [
        {"PolicyName": name, "PolicyDocument": document_view(holder.inline[name])}
        for name in sorted(holder.inline)
    ]


def attached_views(arns: tuple[str, ...]) -> list[View]:
    return [attached_view(arn) for arn in arns]


def attached_view(arn: str) -> View:
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


def boundary_view(arn: str) -> View:
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def boundary_of(holder: User | Role) -> View:
    return {"PermissionsBoundary": boundary_view(holder.boundary)} if holder.boundary else {}


def _some_tags(tags: Mapping[str, str]) -> View:
    return {"Tags": tags_view(tags)} if tags else {}


def _description(text: str) -> View:
    return {"Description": text} if text else {}
