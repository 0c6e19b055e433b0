"""Documents of policies as they are put: whether they are small enough, and whether they are policies.

In this order, so that no long document is parsed in the write lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from blotter.database.security.access_records import ResourcePolicy, Role, accounts, every, save
from blotter.database.security.named_principals import missing_principal
from blotter.database.security.policy import MalformedPolicy, Policy, parse_policy
from blotter.database.security.policy.json_text import place_of
from blotter.database.services.iam.errors import limit_exceeded, malformed_policy, quota_exceeded
from blotter.database.services.iam.limits import INLINE_SIZE, POLICY_SIZE, TRUST_SIZE
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


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
    named = missing_principal(tx, policy)
    if named is not None:
        raise malformed_policy(f'Invalid principal in policy: "AWS":"{named}"')


def size_of(text: str) -> int:
    """Characters that count: white space does not."""
    return len("".join(text.split()))


def rewrite_principal(tx: WriteTransaction, old: str, new: str) -> None:
    """Puts another principal into the place of one in every trust policy and every resource policy of every
    account.

    These policies mean the user or the role, not its name: after a change of the name they contain the new ARN,
    and after it was deleted its unique id, so that another user of the same name is not trusted
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html).
    """
    for account in accounts(tx):
        for role in list(every(tx, account, Role)):
            trust = with_principal(role.trust, old, new)
            if trust != role.trust:
                save(tx, account, msgspec.structs.replace(role, trust=trust))
        for policy in list(every(tx, account, ResourcePolicy)):
            document = with_principal(policy.document, old, new)
            if document != policy.document:
                save(tx, account, msgspec.structs.replace(policy, document=document))


def with_principal(text: str, old: str, new: str) -> str:
    """A policy with one AWS principal in the place of another, wherever its Principal elements have it; all else
    stays as it was written."""
    if old not in text and "\\" not in text:  # It may be escaped.
        return text
    statements = orjson.loads(text)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    paths = [
        ("Statement", *((number,) if listed is statements else ()), *path)
        for number, statement in enumerate(listed)
        for path in _principals(statement, old)
    ]
    for start, end in sorted((place_of(text, path) for path in paths), reverse=True):
        text = f"{text[:start]}{orjson.dumps(new).decode()}{text[end:]}"
    return text


def _principals(statement: dict[str, Any], wanted: str) -> Iterator[tuple[str | int, ...]]:
    """Where a statement names a principal."""
    for element in ("Principal", "NotPrincipal"):
        principals = statement.get(element)
        named = principals.get("AWS") if isinstance(principals, dict) else None
        if named == wanted:
            yield element, "AWS"
        elif isinstance(named, list):
            yield from ((element, "AWS", number) for number, name in enumerate(named) if name == wanted)


def _parse(text: str, *, trust: bool) -> Policy:
    try:
        return parse_policy(text, "trust" if trust else "identity")
    except MalformedPolicy as error:
        raise malformed_policy(error.message) from None
