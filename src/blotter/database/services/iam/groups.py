"""Groups and their members. A user's record names its groups, so a group knows its members by looking."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from blotter.database.security.access_records import Group, User, count, delete, every, find, save
from blotter.database.security.identifiers import new_principal_id
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_group, named_group, named_user
from blotter.database.services.iam.errors import already_exists, must_first, quota_exceeded
from blotter.database.services.iam.limits import GROUPS, GROUPS_OF_USER
from blotter.database.services.iam.paging import page, start_after
from blotter.database.services.iam.views import group_view, user_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def create_group(call: IamCall, tx: WriteTransaction) -> Output:
    name = call.arguments["GroupName"]
    if find(tx, call.account, Group, name) is not None:
        raise already_exists("Group", name)
    if count(tx, call.account, Group) >= GROUPS:
        raise quota_exceeded("GroupsPerAccount", GROUPS)
    group = Group(name, call.argument("Path") or "/", new_principal_id("AGPA"), call.now)
    save(tx, call.account, group)
    return {"Group": group_view(call.account, group)}


def get_group_operation(call: IamCall, tx: ReadTransaction) -> Output:
    group = named_group(call, tx)
    members = _members(tx, call.account, group, start_after(call))
    output = page(
        call, members, lambda user: user.name.lower(), lambda user: user_view(call.account, user), "Users"
    )
    return {"Group": group_view(call.account, group)} | output


def list_groups(call: IamCall, tx: ReadTransaction) -> Output:
    prefix = call.argument("PathPrefix") or "/"
    groups = (
        group for group in every(tx, call.account, Group, start_after(call)) if group.path.startswith(prefix)
    )
    return _page_of_groups(call, groups)


def update_group(call: IamCall, tx: WriteTransaction) -> Output:
    group = named_group(call, tx)
    name = call.argument("NewGroupName") or group.name
    if name.lower() != group.name.lower() and find(tx, call.account, Group, name) is not None:
        raise already_exists("Group", name)
    changed = msgspec.structs.replace(group, name=name, path=call.argument("NewPath") or group.path)
    if changed == group:
        return {}
    old = group.name.lower()
    for user in list(_members(tx, call.account, group)):
        groups = tuple(name.lower() if member == old else member for member in user.groups)
        save(tx, call.account, msgspec.structs.replace(user, groups=groups))
    delete(tx, call.account, group)
    save(tx, call.account, changed)
    return {}


def delete_group(call: IamCall, tx: WriteTransaction) -> Output:
    group = named_group(call, tx)
    if any(True for _ in _members(tx, call.account, group)):
        raise must_first("remove users from group")
    if group.attached:
        raise must_first("detach all policies")
    if group.inline:
        raise must_first("delete policies")
    delete(tx, call.account, group)
    return {}


def add_user_to_group(call: IamCall, tx: WriteTransaction) -> Output:
    user = named_user(call, tx)
    group = named_group(call, tx)
    if group.name.lower() in user.groups:
        return {}
    if len(user.groups) >= GROUPS_OF_USER:
        raise quota_exceeded("GroupsPerUser", GROUPS_OF_USER)
    save(tx, call.account, msgspec.structs.replace(user, groups=(*user.groups, group.name.lower())))
    return {}


def remove_user_from_group(call: IamCall, tx: WriteTransaction) -> Output:
    """Also of a user who is no member, as on AWS."""
    user = named_user(call, tx)
    group = named_group(call, tx)
    if group.name.lower() in user.groups:
        groups = tuple(name for name in user.groups if name != group.name.lower())
        save(tx, call.account, msgspec.structs.replace(user, groups=groups))
    return {}


def list_groups_for_user(call: IamCall, tx: ReadTransaction) -> Output:
    user = named_user(call, tx)
    return _page_of_groups(call, groups_of(tx, call.account, user))


def groups_of(tx: ReadTransaction, account: str, user: User) -> list[Group]:
    """By name."""
    return [get_group(tx, account, name) for name in sorted(user.groups)]


def _page_of_groups(call: IamCall, groups: Iterator[Group] | list[Group]) -> Output:
    return page(
        call, groups, lambda group: group.name.lower(), lambda group: group_view(call.account, group), "Groups"
    )


def _members(tx: ReadTransaction, account: str, group: Group, after: str = "") -> Iterator[User]:
    name = group.name.lower()
    return (user for user in every(tx, account, User, after) if name in user.groups)
