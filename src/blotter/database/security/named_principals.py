"""Principals that a policy names by ARN: whether they can be whom it means.

AWS refuses trust policies and resource policies that name a user or role that does not exist, so that nobody gets
access by making one of that name later. What is in an account that is not on this server cannot be looked up.
"""

from __future__ import annotations

import re

from blotter.database.security.access_records import Account, Role, User, find
from blotter.database.security.policy import Policy
from blotter.database.storage.protocol import ReadTransaction

_ENTITY = re.compile(r"arn:aws:iam::([0-9]{12}):(user|role)/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)", re.ASCII)
_SESSION = re.compile(r"arn:aws:sts::([0-9]{12}):assumed-(role)/([\w+=,.@-]+)/[\w+=,.@-]+", re.ASCII)


def missing_principal(tx: ReadTransaction, policy: Policy) -> str | None:
    """The first ARN, in alphabetical order within a statement, of a user or role that is not in its account."""
    for statement in policy.statements:
        for named in sorted(statement.principal.arns) if statement.principal is not None else ():
            if not _may_exist(tx, named):
                return named
    return None


def _may_exist(tx: ReadTransaction, named: str) -> bool:
    match = _ENTITY.fullmatch(named) or _SESSION.fullmatch(named)
    if match is None:
        return True
    account, kind, name = match.groups()
    if find(tx, account, Account, account) is None:
        return True
    return find(tx, account, User if kind == "user" else Role, name) is not None
