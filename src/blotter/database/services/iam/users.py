"""Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser."""

from __future__ import annotations

import msgspec

from blotter.database.security.access_records import AccessKey, Account, User, count, delete, every, find, save
from blotter.database.security.identifiers import new_principal_id
from blotter.database.services.api import Output
from blotter.database.services.iam.boundaries import checked_boundary
from blotter.database.services.iam.calls import IamCall, get_user, named_user, own_user_name, user_arn
from blotter.database.services.iam.documents import rewrite_principal
from blotter.database.services.iam.errors import already_exists, must_first, quota_exceeded
from blotter.database.services.iam.limits import USERS
from blotter.database.services.iam.paging import page, start_after
from blotter.database.services.iam.request_tags import new_tags
from blotter.database.services.iam.views import full_user_view, user_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def create_user(call: IamCall, tx: WriteTransaction) -> Output:
    name = call.arguments["UserName"]
    tags = new_tags(call)
    if find(tx, call.account, User, name) is not None:
        raise already_exists("User", name)
    if count(tx, call.account, User) >= USERS:
        raise quota_exceeded("UsersPerAccount", USERS)
    user = User(
        name,
        call.argument("Path") or "/",
        new_principal_id("AIDA"),
        call.now,
        boundary=checked_boundary(call, tx),
        tags=tags,
    )
    save(tx, call.account, user)
    return {"User": full_user_view(call.account, user)}


def get_user_operation(call: IamCall, tx: ReadTransaction) -> Output:
    """The user, or the caller; the root is shown as a user without a name."""
    name = call.argument("UserName") or own_user_name(call)
    if not name:
        account = find(tx, call.account, Account, call.account)
        created = call.now if account is None else account.created
        root = {"UserId": call.account, "Arn": f"arn:aws:iam::{call.account}:root", "CreateDate": created}
        return {"User": root}
    return {"User": full_user_view(call.account, get_user(tx, call.account, name))}


def list_users(call: IamCall, tx: ReadTransaction) -> Output:
    prefix = call.argument("PathPrefix") or "/"
    users = (user for user in every(tx, call.account, User, start_after(call)) if user.path.startswith(prefix))
    return page(call, users, lambda user: user.name.lower(), lambda user: user_view(call.account, user), "Users")


def update_user(call: IamCall, tx: WriteTransaction) -> Output:
    user = named_user(call, tx)
    name = call.argument("NewUserName") or user.name
    if name.lower() != user.name.lower() and find(tx, call.account, User, name) is not None:
        raise already_exists("User", name)
    changed = msgspec.structs.replace(user, name=name, path=call.argument("NewPath") or user.path)
    if changed == user:
        return {}
    delete(tx, call.account, user)
    save(tx, call.account, changed)
    for key in keys_of(tx, call.account, user.name):
        save(tx, call.account, msgspec.structs.replace(key, user=name))
    rewrite_principal(tx, user_arn(call.account, user), user_arn(call.account, changed))
    return {}


def delete_user(call: IamCall, tx: WriteTransaction) -> Output:
    user = named_user(call, tx)
    if user.groups:
        raise must_first("remove users from group")
    if keys_of(tx, call.account, user.name):
        raise must_first("delete access keys")
    if user.attached:
        raise must_first("detach all policies")
    if user.inline:
        raise must_first("delete policies")
    delete(tx, call.account, user)
    rewrite_principal(tx, user_arn(call.account, user), user.id)
    return {}


def keys_of(tx: ReadTransaction, account: str, user: str) -> list[AccessKey]:
    """A user's access keys, the oldest first; "" is the root."""
    keys = [key for key in every(tx, account, AccessKey) if key.user.lower() == user.lower()]
    return sorted(keys, key=lambda key: (key.created, key.id))
