"""What each operation of IAM is authorized on: the ARN of its resource, and the context keys that it has.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagement.html.
A user or role that does not exist is authorized by the name alone, so that a refusal does not say whether it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from blotter.database.security.access_records import AccessKey, Group, Role, User, find
from blotter.database.services.iam.calls import IamCall, group_arn, own_user_name, role_arn, user_arn
from blotter.database.services.iam.managed_policies import find_policy
from blotter.database.storage.protocol import ReadTransaction


class Target(msgspec.Struct, frozen=True):
    """A resource with its tags; `boundary` is the permissions boundary of a user or role."""

    resource: str
    tags: Mapping[str, str] = {}
    boundary: str = ""


FindTarget = Callable[[IamCall, ReadTransaction], Target]


def any_resource(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target("*")


def a_new_user(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "user", call.argument("Path") or "/", call.arguments["UserName"]))


def a_new_group(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "group", call.argument("Path") or "/", call.arguments["GroupName"]))


def a_new_role(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "role", call.argument("Path") or "/", call.arguments["RoleName"]))


def a_new_policy(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "policy", call.argument("Path") or "/", call.arguments["PolicyName"]))


def a_user(call: IamCall, tx: ReadTransaction) -> Target:
    """The named user, or the caller."""
    return _user(call, tx, call.argument("UserName") or own_user_name(call))


def _user(call: IamCall, tx: ReadTransaction, name: str) -> Target:
    if not name:
        return Target(f"arn:aws:iam::{call.account}:root")
    user = find(tx, call.account, User, name)
    if user is None:
        return Target(_arn(call, "user", "/", name))
    return Target(user_arn(call.account, user), user.tags, user.boundary)


def renamed_user(call: IamCall, tx: ReadTransaction) -> Target | None:
    """The user as it will be called; None if that is what it is called."""
    user = find(tx, call.account, User, call.arguments["UserName"])
    if user is None:
        return None
    name, path = call.argument("NewUserName") or user.name, call.argument("NewPath") or user.path
    return None if (name, path) == (user.name, user.path) else Target(_arn(call, "user", path, name), user.tags)


def renamed_group(call: IamCall, tx: ReadTransaction) -> Target | None:
    group = find(tx, call.account, Group, call.arguments["GroupName"])
    if group is None:
        return None
    name, path = call.argument("NewGroupName") or group.name, call.argument("NewPath") or group.path
    return None if (name, path) == (group.name, group.path) else Target(_arn(call, "group", path, name))


def a_group(call: IamCall, tx: ReadTransaction) -> Target:
    group = find(tx, call.account, Group, call.arguments["GroupName"])
    return Target(
        _arn(call, "group", "/", call.arguments["GroupName"]) if group is None else group_arn(call.account, group)
    )


def a_role(call: IamCall, tx: ReadTransaction) -> Target:
    role = find(tx, call.account, Role, call.arguments["RoleName"])
    if role is None:
        return Target(_arn(call, "role", "/", call.arguments["RoleName"]))
    return Target(role_arn(call.account, role), role.tags, role.boundary)


def a_policy(call: IamCall, tx: ReadTransaction) -> Target:
    arn = call.arguments["PolicyArn"]
    policy = find_policy(tx, call.account, arn)
    return Target(arn) if policy is None else Target(policy.arn, policy.record.tags)


def owner_of_key(call: IamCall, tx: ReadTransaction) -> Target:
    key = find(tx, call.account, AccessKey, call.arguments["AccessKeyId"])
    return Target("*") if key is None else _user(call, tx, key.user)


def all_users(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "user", call.argument("PathPrefix") or "/", ""))


def all_groups(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "group", call.argument("PathPrefix") or "/", ""))


def all_roles(call: IamCall, tx: ReadTransaction) -> Target:  # noqa: ARG001
    return Target(_arn(call, "role", call.argument("PathPrefix") or "/", ""))


def simulated_principal(call: IamCall, tx: ReadTransaction) -> Target:
    """The user, group or role whose policies are simulated. It is found by its name, so it is authorized by the
    ARN that it has, whatever path the request gives."""
    arn = str(call.arguments["PolicySourceArn"])
    kind, name = arn.split(":", 5)[-1].partition("/")[0], arn.rpartition("/")[2]
    if kind == "user" and (user := find(tx, call.account, User, name)) is not None:
        return Target(user_arn(call.account, user), user.tags)
    if kind == "role" and (role := find(tx, call.account, Role, name)) is not None:
        return Target(role_arn(call.account, role), role.tags)
    if kind == "group" and (group := find(tx, call.account, Group, name)) is not None:
        return Target(group_arn(call.account, group))
    return Target(arn)


def context_of(call: IamCall, target: Target) -> dict[str, tuple[str, ...]]:
    """The context keys of a request to IAM, beside those that all requests have."""
    context: dict[str, tuple[str, ...]] = {}
    for key, value in target.tags.items():
        context[f"aws:resourcetag/{key.lower()}"] = (value,)
        context[f"iam:resourcetag/{key.lower()}"] = (value,)
    tags = call.argument("Tags")
    if tags is not None:
        context["aws:tagkeys"] = tuple(tag["Key"] for tag in tags)
        for tag in tags:
            context[f"aws:requesttag/{tag['Key'].lower()}"] = (tag["Value"],)
    elif "TagKeys" in call.arguments:
        context["aws:tagkeys"] = tuple(call.arguments["TagKeys"])
    if call.operation.startswith(("Attach", "Detach")):
        context["iam:policyarn"] = (call.arguments["PolicyArn"],)
    boundary = call.argument("PermissionsBoundary") or target.boundary
    if boundary:
        context["iam:permissionsboundary"] = (boundary,)
    return context


def _arn(call: IamCall, kind: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{call.account}:{kind}{path}{name}"
