"""The policies of a user, a group or a role, for SimulatePrincipalPolicy."""

from __future__ import annotations

import re

from blotter.database.security.access_records import PolicyHolder, Role, User
from blotter.database.security.policy import Policy, parse_policy
from blotter.database.services.iam.calls import get_group, get_role, get_user
from blotter.database.services.iam.errors import invalid_input, no_such_entity
from blotter.database.services.iam.groups import groups_of
from blotter.database.services.iam.managed_policies import find_policy
from blotter.database.storage.protocol import ReadTransaction

_ENTITY = re.compile(r"arn:aws:iam::([0-9]{12}):(user|group|role)/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)", re.ASCII)


def policies_of_principal(tx: ReadTransaction, account: str, arn: str) -> tuple[tuple[Policy, ...], Policy | None]:
    """Identity policies and boundary; a user's with those of its groups. Raises NoSuchEntity."""
    match = _ENTITY.fullmatch(arn)
    if match is None:
        raise invalid_input(f"Invalid Entity Arn: {arn}")
    owner, kind, name = match.groups()
    if owner != account:
        raise no_such_entity(f"{arn} is not in account {account}.")
    if kind == "group":
        return _policies(tx, account, get_group(tx, account, name)), None
    holder: User | Role = get_user(tx, account, name) if kind == "user" else get_role(tx, account, name)
    policies = _policies(tx, account, holder)
    if isinstance(holder, User):
        for group in groups_of(tx, account, holder):
            policies += _policies(tx, account, group)
    return policies, _managed(tx, account, holder.boundary) if holder.boundary else None


def _policies(tx: ReadTransaction, account: str, holder: PolicyHolder) -> tuple[Policy, ...]:
    inline = [
        parse_policy(document, "identity", name=f"{holder.kind}_{holder.name}_{name}")
        for name, document in sorted(holder.inline.items())
    ]
    managed = [policy for arn in holder.attached if (policy := _managed(tx, account, arn)) is not None]
    return (*inline, *managed)


def _managed(tx: ReadTransaction, account: str, arn: str) -> Policy | None:
    policy = find_policy(tx, account, arn)
    if policy is None:
        return None
    return parse_policy(policy.record.document, "identity", name=policy.record.name)
