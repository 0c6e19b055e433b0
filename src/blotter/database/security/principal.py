"""A principal: who signed a request, with everything that decides what it may do.

`AccessState` makes one for each access key or session and shares it among the requests of that key, so its
policies are parsed once. It never changes; a change of access state makes another one. Under open access there is
no principal, and nothing is authorized.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from blotter.database.security.policy.document import Policy

PrincipalKind = Literal["root", "user", "assumed-role", "federated-user"]


class Session(msgspec.Struct, frozen=True):
    """Temporary credentials, as their token carries them. Times are seconds since the epoch."""

    issued_at: float
    expires_at: float
    tags: Mapping[str, str] = {}
    """The session tags that were passed, without the principal's own."""
    transitive_tag_keys: tuple[str, ...] = ()
    """Keys of the session tags that pass to the next role of a chain."""
    mfa_authenticated: bool = False
    source_identity: str = ""
    external_id: str = ""


class Principal(msgspec.Struct, frozen=True):
    """The caller of a request, as policies see it.

    A role session:
        Principal("assumed-role", "123456789012", "arn:aws:sts::123456789012:assumed-role/worker/i-1",
                  "AROAEXAMPLEEXAMPLE123:i-1", "worker",
                  role_arn="arn:aws:iam::123456789012:role/app/worker", session_name="i-1", session=Session(…))
    """

    kind: PrincipalKind
    account: str
    arn: str
    """Of the caller: `arn:aws:iam::A:root`, `arn:aws:iam::A:user/path/name`,
    `arn:aws:sts::A:assumed-role/role/session` or `arn:aws:sts::A:federated-user/name`."""
    user_id: str
    """`AIDA…` of a user, `AROA…:session` of a role session, the account's number of root."""
    name: str
    """User name or role name; "" for root. `aws:username` is this, for users only."""
    role_arn: str = ""
    """Of an assumed role: `arn:aws:iam::A:role/path/role`; `aws:PrincipalArn` is this for role sessions."""
    session_name: str = ""
    tags: Mapping[str, str] = {}
    """The principal's tags, with session tags merged over them."""
    policies: tuple[Policy, ...] = ()
    """Identity policies: inline, attached, and those of groups."""
    boundary: Policy | None = None
    session_policies: tuple[Policy, ...] | None = None
    """None when no session policies were passed."""
    session: Session | None = None
    """None for permanent credentials."""
