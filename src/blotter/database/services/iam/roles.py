"""Roles and their trust policies."""

from __future__ import annotations

import msgspec

from blotter.database.security.access_records import KeyUse, Role, count, delete, every, find, save
from blotter.database.security.identifiers import new_principal_id
from blotter.database.services.api import Output
from blotter.database.services.iam.boundaries import checked_boundary
from blotter.database.services.iam.calls import IamCall, named_role, role_arn
from blotter.database.services.iam.documents import check_trust_policy, rewrite_principal
from blotter.database.services.iam.errors import already_exists, must_first, quota_exceeded
from blotter.database.services.iam.limits import ROLES, SHORTEST_SESSION
from blotter.database.services.iam.paging import page, start_after
from blotter.database.services.iam.request_tags import new_tags
from blotter.database.services.iam.views import described_role_view, full_role_view, new_role_view, role_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def create_role(call: IamCall, tx: WriteTransaction) -> Output:
    name, trust = call.arguments["RoleName"], call.arguments["AssumeRolePolicyDocument"]
    tags = new_tags(call)
    check_trust_policy(tx, trust)
    if find(tx, call.account, Role, name) is not None:
        raise already_exists("Role", name)
    if count(tx, call.account, Role) >= ROLES:
        raise quota_exceeded("RolesPerAccount", ROLES)
    role = Role(
        name,
        call.argument("Path") or "/",
        new_principal_id("AROA"),
        call.now,
        trust=trust,
        max_session=call.argument("MaxSessionDuration") or SHORTEST_SESSION,
        description=call.argument("Description") or "",
        boundary=checked_boundary(call, tx),
        tags=tags,
    )
    save(tx, call.account, role)
    return {"Role": new_role_view(call.account, role)}


def get_role_operation(call: IamCall, tx: ReadTransaction) -> Output:
    role = named_role(call, tx)
    return {"Role": full_role_view(call.account, role, use_of_role(tx, call.account, role))}


def use_of_role(tx: ReadTransaction, account: str, role: Role) -> KeyUse | None:
    return find(tx, account, KeyUse, f"role/{role.name}")


def list_roles(call: IamCall, tx: ReadTransaction) -> Output:
    prefix = call.argument("PathPrefix") or "/"
    roles = (role for role in every(tx, call.account, Role, start_after(call)) if role.path.startswith(prefix))
    return page(call, roles, lambda role: role.name.lower(), lambda role: role_view(call.account, role), "Roles")


def update_role(call: IamCall, tx: WriteTransaction) -> Output:
    """What is not given stays as it is."""
    role = named_role(call, tx)
    description, seconds = call.argument("Description"), call.argument("MaxSessionDuration")
    changed = msgspec.structs.replace(
        role,
        description=role.description if description is None else description,
        max_session=seconds or role.max_session,
    )
    save(tx, call.account, changed)
    return {}


def update_role_description(call: IamCall, tx: WriteTransaction) -> Output:
    role = named_role(call, tx)
    changed = msgspec.structs.replace(role, description=call.arguments["Description"])
    save(tx, call.account, changed)
    return {"Role": described_role_view(call.account, changed)}


def update_assume_role_policy(call: IamCall, tx: WriteTransaction) -> Output:
    role = named_role(call, tx)
    trust = call.arguments["PolicyDocument"]
    check_trust_policy(tx, trust)
    save(tx, call.account, msgspec.structs.replace(role, trust=trust))
    return {}


def delete_role(call: IamCall, tx: WriteTransaction) -> Output:
    role = named_role(call, tx)
    if role.attached:
        raise must_first("detach all policies")
    if role.inline:
        raise must_first("delete policies")
    delete(tx, call.account, role)
    use = use_of_role(tx, call.account, role)
    if use is not None:
        delete(tx, call.account, use)
    rewrite_principal(tx, role_arn(call.account, role), role.id)
    return {}
