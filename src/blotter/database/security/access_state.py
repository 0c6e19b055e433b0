"""What a process knows about who may what: a copy of the access records, from which credentials and principals
are made.

Authentication and authorization use this copy and never wait for the store. It is as new as the last `refresh`:
the process calls that after its own commits of access records, and twice a second for those of others, which it
recognizes by the generation. What is made of records (unsealed secrets, parsed policies) is kept until the next
change. Used on the event loop and on the threads that prepare large requests; a change replaces the whole copy in
one assignment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

import msgspec

from blotter.database.security.access_records import (
    RECORDS,
    AccessKey,
    Account,
    Group,
    ManagedPolicy,
    Record,
    ResourcePolicy,
    Role,
    User,
    changed_since,
    generation,
    record_key,
)
from blotter.database.security.identifiers import account_of
from blotter.database.security.policy import Policy, parse_policy
from blotter.database.security.policy.document import DocumentKind
from blotter.database.security.principal import Principal, Session
from blotter.database.security.sealing import Sealer, Unsealable
from blotter.database.security.session_tokens import SessionClaims
from blotter.database.storage.at_hand import GoOn, NotAtHand
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, Storage
from blotter.database.storage.records import records_in

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.5
"""Between looks at the generation."""
_AT_ONCE = 1000
_MOST_PARSED = 10_000
"""Policies that are kept parsed over changes."""

R = TypeVar("R", bound=Record)


class Credential(msgspec.Struct, frozen=True):
    """A permanent access key with its secret; `user` is "" for the account's root."""

    access_key: str
    account: str
    user: str
    secret: str
    active: bool

    def __repr__(self) -> str:
        return f"Credential({self.access_key}, {self.account}, {self.user!r})"


class AccessState:
    """The access records of a store in memory. `aws_policy` gives the document of one of AWS's own managed
    policies, by its ARN, or None."""

    def __init__(
        self, storage: Storage, sealer: Sealer, aws_policy: Callable[[str], str | None] = lambda _: None
    ) -> None:
        self.storage = storage
        self._sealer = sealer
        self._aws_policy = aws_policy
        self._view = _View(0, {})
        self._loaded = False
        self._looked = False
        self._looks = 0
        """Those that the store has not answered yet."""
        self._is_failing = False
        self._parsed: dict[tuple[str, DocumentKind, str], Policy] = {}
        self._listeners: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._thread = 0
        """The event loop's, from `start` on."""

    # Keeping up

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls the listener after each change of the copy."""
        self._listeners.append(listener)

    def refresh(self) -> None:
        """Looks whether the records have changed, and copies them then. Raises what the store raises."""
        snapshot = self.storage.read()
        if snapshot is None:
            self.storage.submit_read(self._changed_view, self._refreshed)
            self._looks += 1
            return
        with snapshot as tx:
            view = self._changed_view(tx)
        self._use(view)

    def refresh_here(self) -> bool:
        """`refresh` at once where that is possible, on the event loop. Returns whether there was a change. Raises
        NotAtHand where the store answers later."""
        if get_ident() != self._thread or self._looked:
            return False
        before = self._view
        if self.storage.read() is None:
            raise NotAtHand(self._changed_view, self._use_now)
        try:
            self.refresh()
        except Exception as error:
            self._report(error)
        return self._view is not before

    async def load(self) -> None:
        """Reads the records. Raises what the store raises."""
        self._use(await self.storage.fetch(self._changed_view))

    def start(self) -> None:
        """Refreshes twice a second from now on."""
        self._thread = get_ident()
        self._refresh_later()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _refresh_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._refresh_now)

    def _refresh_now(self) -> None:
        try:
            if not self._looks:
                self.refresh()
        except Exception as error:
            self._report(error)
        self._refresh_later()

    def _changed_view(self, tx: ReadTransaction) -> _View | None:
        before, found = self._view, generation(tx)
        if self._loaded and found == before.generation:
            return None
        changed = changed_since(tx, before.generation) if self._loaded else None
        if changed is None:
            return _View(found, _read(tx))
        records = dict(before.records)
        for key in changed:
            stored = tx.get(RECORDS_SPACE, key)
            if stored is not None:
                records[key] = stored.body
            else:
                records.pop(key, None)
        return _View(found, records)

    def _refreshed(self, view: _View | None, error: BaseException | None) -> None:
        self._looks -= 1
        if error is not None:
            self._report(error)
        else:
            self._use(view)

    def _report(self, error: BaseException) -> None:
        """What is known stays in force; the next look may succeed. Said once."""
        if not self._is_failing:
            self._is_failing = True
            log.warning("access state cannot be read: %s", error)

    def _use_now(self, view: _View | None, go_on: GoOn) -> None:
        """For a request that waits for what is new: it does not look again."""
        self._use(view)
        self._looked = True
        try:
            go_on()
        finally:
            self._looked = False

    def _use(self, view: _View | None) -> None:
        self._is_failing = False
        if view is None or (self._loaded and view.generation < self._view.generation):
            return  # a look that took longer than the one after it
        self._view = view
        self._loaded = True
        for listener in self._listeners:
            listener()

    # What is known

    def find_access_key(self, access_key: str) -> Credential | None:
        """The permanent access key of that id, active or not. None also for a key whose secret was sealed with
        another key than this server's."""
        view = self._view
        account = account_of(access_key)
        if account is None:
            return None
        if access_key in view.credentials:
            return view.credentials[access_key]
        record = view.find(account, AccessKey, access_key)
        if record is None:
            return None  # Not kept: whoever reaches the port can make up any number of ids.
        credential = None
        try:
            secret = self._sealer.unseal(record.sealed_secret, secret_context(account, record.id)).decode()
            credential = Credential(record.id, account, record.user, secret, record.status == "Active")
        except Unsealable as error:
            log.error("access key %s cannot be used: its secret was %s", record.id, error)
        view.credentials[access_key] = credential
        return credential

    def principal_of_user(self, account: str, name: str) -> Principal | None:
        """The user, or the root of the account for the name ""; None when there is no such user. Raises
        MalformedPolicy when a policy of the user cannot be read."""
        view, key = self._view, (account, name)
        if key not in view.users:
            view.users[key] = self._make_user(view, account, name)
        return view.users[key]

    def principal_of(self, claims: SessionClaims) -> Principal | None:
        """The principal of a session; None when its user, role or root key is not there any more. Raises
        MalformedPolicy."""
        view = self._view
        session = Session(
            claims.issued_at,
            claims.expires_at,
            claims.tags,
            claims.transitive_tag_keys,
            claims.mfa_authenticated,
            claims.source_identity,
            claims.external_id,
        )
        if claims.kind == "assumed-role":
            return self._make_role_session(view, claims, session)
        owner = self.principal_of_user(
            claims.account, claims.issuer if claims.kind == "federated-user" else claims.name
        )
        if owner is None or owner.user_id != claims.unique_id:
            return None
        if owner.kind == "root" and claims.issued_at <= _root_replaced(view, claims.account):
            return None
        if claims.kind != "federated-user":
            return msgspec.structs.replace(owner, session=session)
        return msgspec.structs.replace(
            owner,
            kind="federated-user",
            arn=f"arn:aws:sts::{claims.account}:federated-user/{claims.name}",
            user_id=f"{claims.account}:{claims.name}",
            name=claims.name,
            tags={**owner.tags, **claims.tags},
            session_policies=self._session_policies(view, claims),
            session=session,
        )

    def resource_policy(self, account: str, arn: str) -> Policy | None:
        """The policy of a table or stream of an account. Raises MalformedPolicy."""
        view = self._view
        policy = view.resource_policies.get(arn)
        if policy is None:
            record = view.find(account, ResourcePolicy, arn)
            if record is None:
                return None  # Not kept: a caller can name any number of tables that do not exist.
            policy = view.resource_policies[arn] = self._parse(record.document, "resource", arn)
        return policy

    def role(self, account: str, name: str) -> Role | None:
        return self._view.find(account, Role, name)

    def managed_policy(self, arn: str) -> Policy | None:
        """The default version of a managed policy, the account's or AWS's own. Raises MalformedPolicy."""
        return self._managed(self._view, arn)

    # Principals

    def _make_user(self, view: _View, account: str, name: str) -> Principal | None:
        if not name:
            return Principal("root", account, f"arn:aws:iam::{account}:root", account, "")
        user = view.find(account, User, name)
        if user is None:
            return None
        policies = self._policies_of(view, user.inline, user.attached)
        for group_name in user.groups:
            group = view.find(account, Group, group_name)
            if group is not None:
                policies += self._policies_of(view, group.inline, group.attached)
        return Principal(
            "user",
            account,
            f"arn:aws:iam::{account}:user{user.path}{user.name}",
            user.id,
            user.name,
            tags=user.tags,
            policies=policies,
            boundary=self._boundary(view, user.boundary),
        )

    def _make_role_session(self, view: _View, claims: SessionClaims, session: Session) -> Principal | None:
        role = view.find(claims.account, Role, claims.name)
        if role is None or role.id != claims.unique_id:
            return None
        account = claims.account
        return Principal(
            "assumed-role",
            account,
            f"arn:aws:sts::{account}:assumed-role/{role.name}/{claims.session_name}",
            f"{role.id}:{claims.session_name}",
            role.name,
            role_arn=f"arn:aws:iam::{account}:role{role.path}{role.name}",
            session_name=claims.session_name,
            tags={**role.tags, **claims.tags},
            policies=self._policies_of(view, role.inline, role.attached),
            boundary=self._boundary(view, role.boundary),
            session_policies=self._session_policies(view, claims),
            session=session,
        )

    def _policies_of(self, view: _View, inline: dict[str, str], attached: tuple[str, ...]) -> tuple[Policy, ...]:
        policies = [self._parse(document, "identity", name) for name, document in inline.items()]
        policies += [policy for arn in attached if (policy := self._managed(view, arn)) is not None]
        return tuple(policies)

    def _boundary(self, view: _View, arn: str) -> Policy | None:
        """A boundary that is gone allows nothing, as an empty document does."""
        if not arn:
            return None
        return self._managed(view, arn) or _allows_nothing(arn)

    def _session_policies(self, view: _View, claims: SessionClaims) -> tuple[Policy, ...] | None:
        if claims.policies is None:
            return None
        policies = [self._parse(document, "identity", "") for document in claims.policies]
        policies += [policy for arn in claims.policy_arns if (policy := self._managed(view, arn)) is not None]
        return tuple(policies)

    def _managed(self, view: _View, arn: str) -> Policy | None:
        # arn:aws:iam::<account>:policy/<path><name>
        _, _, account_and_path = arn.partition("::")
        account, _, path = account_and_path.partition(":")
        if account == "aws":
            document = self._aws_policy(arn)
        else:
            record = view.find(account, ManagedPolicy, path.rpartition("/")[2])
            document = None if record is None else record.document
        return None if document is None else self._parse(document, "identity", arn)

    def _parse(self, document: str, kind: DocumentKind, name: str) -> Policy:
        key = (document, kind, name)
        policy = self._parsed.get(key)
        if policy is None:
            policy = parse_policy(document, kind, name=name)
            if len(self._parsed) >= _MOST_PARSED:
                self._parsed.clear()
            self._parsed[key] = policy
        return policy


class _View:
    """The records of one generation by their keys, not yet decoded, and what was made of them so far."""

    __slots__ = ("credentials", "generation", "records", "resource_policies", "users")

    def __init__(self, number: int, records: dict[bytes, bytes]) -> None:
        self.generation = number
        self.records = records
        self.credentials: dict[str, Credential | None] = {}
        self.users: dict[tuple[str, str], Principal | None] = {}
        self.resource_policies: dict[str, Policy] = {}

    def find(self, account: str, kind: type[R], name: str) -> R | None:
        body = self.records.get(record_key(account, kind, name))
        return None if body is None else msgspec.json.decode(body, type=kind)


def secret_context(account: str, access_key: str) -> bytes:
    """What the secret of an access key is sealed for (`Sealer`)."""
    return f"access key {account} {access_key}".encode()


def _root_replaced(view: _View, account: str) -> float:
    record = view.find(account, Account, account)
    return 0.0 if record is None else record.root_replaced


def _allows_nothing(name: str) -> Policy:
    return Policy("", "identity", "2012-10-17", (), name=name)


def _read(tx: ReadTransaction) -> dict[bytes, bytes]:
    rows = records_in(tx, *RECORDS, _AT_ONCE)
    return {key: body for key, _, body in rows if b"/key-use/" not in key[:32]}
