"""The Principal and NotPrincipal elements: whether, and how directly, they name a caller.

How directly decides what else has to allow the request: a policy that names a role's session or a user needs no
other policy of the account, one that names the role is limited by boundaries and session policies, one that names
the account only says that the account may decide. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

CallerKind = Literal["root", "user", "assumed-role", "federated-user", "service"]

NOBODY: Final = 0
ACCOUNT: Final = 1
"""The caller's account is named."""
PARENT: Final = 2
"""The role is named whose session the caller is."""
DIRECT: Final = 3
"""The user, the session or everyone is named."""

_ROOT: Final = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):root")


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks, as far as Principal elements and the account boundary need it.

    arn: of a user arn:aws:iam::A:user/path/name, of the root arn:aws:iam::A:root, of a role session
    arn:aws:sts::A:assumed-role/role/session, of a federated user arn:aws:sts::A:federated-user/name, of a service
    its name. role_arn: of an assumed role arn:aws:iam::A:role/path/role.
    """

    kind: CallerKind
    account: str
    arn: str
    role_arn: str = ""


class PrincipalElement:
    """Principal, or NotPrincipal with `excludes`."""

    __slots__ = ("_accounts", "_services", "arns", "everyone", "excludes")

    def __init__(
        self, *, everyone: bool, aws: tuple[str, ...] = (), services: tuple[str, ...] = (), excludes: bool = False
    ) -> None:
        """`everyone` for "*"; `aws`: account numbers and ARNs. Federated and canonical users are nobody here."""
        self.everyone: Final = everyone
        self.excludes: Final = excludes
        accounts = {account for name in aws if (account := account_named(name)) is not None}
        self._accounts: Final = frozenset(accounts)
        self.arns: Final = frozenset(name for name in aws if account_named(name) is None)
        """The users, roles and sessions that it names; unique ids of those that were deleted."""
        self._services: Final = frozenset(services)

    def names(self, caller: Caller) -> int:
        """How directly the element includes a caller: NOBODY … DIRECT."""
        named = self._named(caller)
        if self.excludes:
            return DIRECT if named == NOBODY else NOBODY
        return named

    def _named(self, caller: Caller) -> int:
        if self.everyone or caller.arn in self.arns:
            return DIRECT
        if caller.kind == "service":
            return DIRECT if caller.arn in self._services else NOBODY
        if caller.role_arn and caller.role_arn in self.arns:
            return PARENT
        if caller.account in self._accounts:
            return DIRECT if caller.kind == "root" else ACCOUNT
        return NOBODY


def account_named(name: str) -> str | None:
    """The account that a principal's name stands for; None when it stands for something of an account."""
    if len(name) == 12 and name.isdigit():
        return name
    match = _ROOT.fullmatch(name)
    return None if match is None else match[1]
