"""A call of an IAM operation, as the modules of this package see it, and what they look up for it."""

from __future__ import annotations

from blotter.database.security.access_records import Group, ManagedPolicy, Role, User, find
from blotter.database.security.principal import Principal
from blotter.database.security.sealing import Sealer
from blotter.database.services.iam.errors import no_such, validation_error
from blotter.database.services.service_call import ServiceCall
from blotter.database.storage.protocol import ReadTransaction


class IamCall(ServiceCall, frozen=True, kw_only=True):
    """A call of IAM; `sealer` is for secrets that it makes."""

    caller: Principal
    sealer: Sealer


def get_user(tx: ReadTransaction, account: str, name: str) -> User:
    user = find(tx, account, User, name)
    if user is None:
        raise no_such("user", name)
    return user


def get_group(tx: ReadTransaction, account: str, name: str) -> Group:
    group = find(tx, account, Group, name)
    if group is None:
        raise no_such("group", name)
    return group


def get_role(tx: ReadTransaction, account: str, name: str) -> Role:
    role = find(tx, account, Role, name)
    if role is None:
        raise no_such("role", name)
    return role


def named_user(call: IamCall, tx: ReadTransaction) -> User:
    """The user that the request names; as for the others, NoSuchEntity if there is none."""
    return get_user(tx, call.account, call.arguments["UserName"])


def named_group(call: IamCall, tx: ReadTransaction) -> Group:
    return get_group(tx, call.account, call.arguments["GroupName"])


def named_role(call: IamCall, tx: ReadTransaction) -> Role:
    return get_role(tx, call.account, call.arguments["RoleName"])


def own_user_name(call: IamCall) -> str:
    """The user that an operation without a UserName is about: the caller, "" for the root."""
    if call.caller.kind == "user":
        return call.caller.name
    if call.caller.kind == "root":
        return ""
    raise validation_error("Must specify userName when calling with non-User credentials")


# ARNs


def user_arn(account: str, user: User) -> str:
    return f"arn:aws:iam::{account}:user{user.path}{user.name}"


def group_arn(account: str, group: Group) -> str:
    return f"arn:aws:iam::{account}:group{group.path}{group.name}"


def role_arn(account: str, role: Role) -> str:
    return f"arn:aws:iam::{account}:role{role.path}{role.name}"


def policy_arn(account: str, policy: ManagedPolicy) -> str:
    return f"arn:aws:iam::{account}:policy{policy.path}{policy.name}"
