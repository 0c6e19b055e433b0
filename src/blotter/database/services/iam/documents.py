"""Documents of policies as they are put: whether they are small enough, and whether they are policies.

In this order, so that no long document is parsed in the write lock.
"""

from __future__ import annotations

import re

import msgspec
import orjson

from blotter.database.security.access_records import Role, User, accounts, every, find, save
from blotter.database.security.policy import MalformedPolicy, Policy, parse_policy
from blotter.database.services.iam.errors import limit_exceeded, malformed_policy, quota_exceeded
from blotter.database.services.iam.limits import INLINE_SIZE, POLICY_SIZE, TRUST_SIZE
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

_ENTITY = re.compile(r"arn:aws:iam::([0-9]{12}):(user|role)/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)", re.ASCII)


def check_identity_policy(text: str) -> None:
    """Raises MalformedPolicyDocument."""
    _parse(text, trust=False)


def check_managed_policy(text: str) -> None:
    if size_of(text) > POLICY_SIZE:
        raise quota_exceeded("PolicySize", POLICY_SIZE)
    check_identity_policy(text)


def check_inline_policies(kind: str, name: str, inline: dict[str, str]) -> None:
    """Whether all inline policies of a user, group or role are small enough together."""
    limit = INLINE_SIZE[kind]
    if sum(map(size_of, inline.values())) > limit:
        raise limit_exceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {name}")


def check_trust_policy(tx: ReadTransaction, text: str) -> None:
    """Raises MalformedPolicyDocument, also for users and roles of this server that do not exist."""
    if size_of(text) > TRUST_SIZE:
        raise quota_exceeded("ACLSizePerRole", TRUST_SIZE)
    policy = _parse(text, trust=True)
    for statement in policy.statements:
        for named in sorted(statement.principal.arns) if statement.principal is not None else ():
            if not _may_exist(tx, named):
                raise malformed_policy(f'Invalid principal in policy: "AWS":"{named}"')


def size_of(text: str) -> int:
    """Characters that count: white space does not."""
    return len("".join(text.split()))


def rewrite_trust(tx: WriteTransaction, old: str, new: str) -> None:
    """Puts another principal into the place of one in every trust policy of every account.

    Trust policies mean the user or the role, not its name: after a change of the name they contain the new ARN,
    and after it was deleted its unique id, so that another user of the same name is not trusted
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html).
    """
    quoted, replacement = orjson.dumps(old).decode(), orjson.dumps(new).decode()
    for account in list(accounts(tx)):
        for role in list(every(tx, account, Role)):
            if quoted in role.trust:
                save(tx, account, msgspec.structs.replace(role, trust=role.trust.replace(quoted, replacement)))


def _parse(text: str, *, trust: bool) -> Policy:
    try:
        return parse_policy(text, "trust" if trust else "identity")
    except MalformedPolicy as error:
        raise malformed_policy(error.message) from None


def _may_exist(tx: ReadTransaction, named: str) -> bool:
    """Whether an AWS principal of a policy can be one: a user or role of an account that is on this server has to
    exist."""
    match = _ENTITY.fullmatch(named)
    if match is None:
        return True
    account, kind, name = match.groups()
    if account not in accounts(tx):
        return True
    return find(tx, account, User if kind == "user" else Role, name) is not None
