"""Permissions boundaries of users and roles: managed policies that limit what identity policies can allow."""

from __future__ import annotations

import re

import msgspec

from blotter.database.security.access_records import Role, User, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, named_role, named_user
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
    return _put(call, tx, named_user(call, tx))


def delete_user_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    return _delete(call, tx, named_user(call, tx))


def put_role_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    return _put(call, tx, named_role(call, tx))


def delete_role_boundary(call: IamCall, tx: WriteTransaction) -> Output:
    return _delete(call, tx, named_role(call, tx))


def _put(call: IamCall, tx: WriteTransaction, holder: User | Role) -> Output:
    save(tx, call.account, msgspec.structs.replace(holder, boundary=checked_boundary(call, tx)))
    return {}


def _delete(call: IamCall, tx: WriteTransaction, holder: User | Role) -> Output:
    if not holder.boundary:
        raise no_such_entity(f"The {holder.kind} with name {holder.name} does not have a permissions boundary.")
    save(tx, call.account, msgspec.structs.replace(holder, boundary=""))
    return {}
