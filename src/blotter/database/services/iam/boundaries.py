"""Permissions boundaries of users and roles: managed policies that limit what identity policies can allow."""

from __future__ import annotations

import re

import msgspec

from blotter.database.security.access_records import save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_role, get_user
from blotter.database.services.iam.errors import invalid_input, no_such_entity
from blotter.database.services.iam.managed_policies import find_policy
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

_POLICY_ARN = re.compile(r"arn:aws:iam::(?:[0-9]{12}|aws):policy/[\x21-\x7e]+", re.ASCII)


def checked_boundary(call: IamCall, tx: ReadTransaction) -> str:
    """The boundary of a request, "" without one. Raises InvalidInput for what is no policy's ARN, NoSuchEntity for
    a policy that does not exist."""
    arn = call.argument("PermissionsBoundary")
    if arn is None:
        return ""
    if not _POLICY_ARN.fullmatch(arn):
        raise invalid_input(f"ARN {arn} is not valid.")
    if find_policy(tx, call.account, arn) is None:
        raise no_such_entity(f"Scope ARN: {arn} does not exist or is not attachable.")
    return str(arn)


def put_user_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    user = get_user(tx, call.account, call.arguments["UserName"])
    save(tx, call.account, msgspec.structs.replace(user, boundary=checked_boundary(call, tx)))
    return {}


def delete_user_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    user = get_user(tx, call.account, call.arguments["UserName"])
    if not user.boundary:
        raise no_such_entity(f"The user with name {user.name} does not have a permissions boundary.")
    save(tx, call.account, msgspec.structs.replace(user, boundary=""))
    return {}


def put_role_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    role = get_role(tx, call.account, call.arguments["RoleName"])
    save(tx, call.account, msgspec.structs.replace(role, boundary=checked_boundary(call, tx)))
    return {}


def delete_role_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    role = get_role(tx, call.account, call.arguments["RoleName"])
    if not role.boundary:
        raise no_such_entity(f"The role with name {role.name} does not have a permissions boundary.")
    save(tx, call.account, msgspec.structs.replace(role, boundary=""))
    return {}
