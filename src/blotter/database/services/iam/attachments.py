"""Which managed policies are attached to which users, groups and roles."""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.database.security.access_records import Group, PolicyHolder, Role, User, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_group, get_role, get_user
from blotter.database.services.iam.errors import no_such_policy, not_attachable, quota_exceeded, validation_error
from blotter.database.services.iam.inline_policies import Find
from blotter.database.services.iam.limits import ATTACHED
from blotter.database.services.iam.managed_policies import find_policy, get_policy, holders
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.views import attached_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


class Attachments:
    """The operations for one kind: `member` is the input's name of the name, `quota` the quota's."""

    def __init__(self, member: str, quota: str, get: Find) -> None:
        self._member = member
        self._quota = quota
        self._get = get

    def attach(self, call: IamCall, tx: WriteTransaction) -> Output:
        """Also of a policy that is attached already."""
        holder, arn = self._holder(call, tx), call.arguments["PolicyArn"]
        if find_policy(tx, call.account, arn) is None:
            raise not_attachable(arn)
        if arn in holder.attached:
            return {}
        if len(holder.attached) >= ATTACHED:
            raise quota_exceeded(self._quota, ATTACHED)
        save(tx, call.account, msgspec.structs.replace(holder, attached=(*holder.attached, arn)))
        return {}

    def detach(self, call: IamCall, tx: WriteTransaction) -> Output:
        holder, arn = self._holder(call, tx), call.arguments["PolicyArn"]
        find_policy(tx, call.account, arn)  # Whether it is an ARN at all.
        if arn not in holder.attached:
            raise no_such_policy(arn)
        attached = tuple(other for other in holder.attached if other != arn)
        save(tx, call.account, msgspec.structs.replace(holder, attached=attached))
        return {}

    def list(self, call: IamCall, tx: ReadTransaction) -> Output:
        """By name; by ARN where AWS's policy and the account's have the same name."""
        holder, prefix = self._holder(call, tx), call.argument("PathPrefix") or "/"
        arns = sorted((arn for arn in holder.attached if _path(arn).startswith(prefix)), key=_key)
        return page(call, arns, _key, attached_view, "AttachedPolicies")

    def _holder(self, call: IamCall, tx: ReadTransaction) -> PolicyHolder:
        return self._get(tx, call.account, call.arguments[self._member])


OF_USERS = Attachments("UserName", "PoliciesPerUser", get_user)
OF_GROUPS = Attachments("GroupName", "PoliciesPerGroup", get_group)
OF_ROLES = Attachments("RoleName", "PoliciesPerRole", get_role)

_FILTERS: dict[str, type[PolicyHolder]] = {"User": User, "Group": Group, "Role": Role}


def list_entities_for_policy(call: IamCall, tx: ReadTransaction) -> Output:
    """The users, groups and roles that use a policy, as a permissions policy or as a boundary."""
    arn = get_policy(call, tx).arn
    wanted, prefix = call.argument("EntityFilter"), call.argument("PathPrefix") or "/"
    use = call.argument("PolicyUsageFilter")
    if wanted not in (None, *_FILTERS):
        raise validation_error(f"EntityFilter {wanted} is not valid for this operation.")
    kind = PolicyHolder if wanted is None else _FILTERS[wanted]
    found = [
        holder
        for holder in holders(tx, call.account)
        if isinstance(holder, kind) and holder.path.startswith(prefix) and _uses(holder, arn, use)
    ]
    output = page(call, sorted(found, key=_entity_key), _entity_key, lambda holder: holder, "Entities")
    entities = output.pop("Entities")
    return output | {
        "PolicyGroups": [_entity("Group", entity) for entity in entities if isinstance(entity, Group)],
        "PolicyUsers": [_entity("User", entity) for entity in entities if isinstance(entity, User)],
        "PolicyRoles": [_entity("Role", entity) for entity in entities if isinstance(entity, Role)],
    }


def _uses(holder: PolicyHolder, arn: str, use: str | None) -> bool:
    is_boundary = isinstance(holder, User | Role) and holder.boundary == arn
    if use == "PermissionsBoundary":
        return is_boundary
    if use == "PermissionsPolicy":
        return arn in holder.attached
    return is_boundary or arn in holder.attached


def _entity(kind: str, holder: PolicyHolder) -> dict[str, Any]:
    return {f"{kind}Name": holder.name, f"{kind}Id": holder.id}


def _entity_key(holder: PolicyHolder) -> str:
    return f"{holder.kind} {holder.name.lower()}"


def _key(arn: str) -> str:
    return f"{arn.rpartition('/')[2].lower()} {arn}"


def _path(arn: str) -> str:
    """`/a/b/` of `arn:aws:iam::111122223333:policy/a/b/name`."""
    return arn.partition(":policy")[2].rpartition("/")[0] + "/"
