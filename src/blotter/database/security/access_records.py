"""What the store keeps about who may: users, groups, roles, policies, access keys, as typed records.

A record is JSON under a key of RECORDS_SPACE:

    access/<account>/user/<name>           access/<account>/policy/<name>
    access/<account>/group/<name>          access/<account>/access-key/<id>
    access/<account>/role/<name>           access/<account>/key-use/<id>
    access/<account>/account/<account>     access/<account>/resource-policy/<ARN>

Names and ids are lower-cased in keys, ARNs are not: IAM distinguishes no names by case
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html), DynamoDB does. `access/generation`
is a number that every change raises, so that each process sees with one read that its view is old, and
`access-change/<number>` holds the key of the record that was changed, for the last thousand. The generation does
not change when only the use of a key was noted. Times are seconds since the epoch. Documents of policies are kept
as they were sent. Secrets are sealed by the caller before they come here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Literal, TypeVar

import msgspec

from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.records import delete_record, records_in, save_record

GENERATION_KEY: Final = b"access/generation"
RECORDS: Final = (b"access/", b"access0")
"""Between these are the keys of all records; "0" follows "/" in ASCII."""
_AT_ONCE = 256
_CHANGES_KEPT = 1000


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all records have: `kind`, their part of the key, and `key_name`, the last part of it before it is
    lower-cased."""

    kind: ClassVar[str]
    changes_access: ClassVar[bool] = True
    """Whether a change of it changes what anybody may do."""
    folds_case: ClassVar[bool] = True
    """Whether names that differ in case only are the same."""

    @property
    def key_name(self) -> str:
        raise NotImplementedError


class Account(Record, frozen=True, omit_defaults=True):
    """An account that has, or had, a root key."""

    kind: ClassVar[str] = "account"

    id: str
    created: float
    root_replaced: float = 0.0
    """When its root key was last replaced: the root's sessions from before have ended."""

    @property
    def key_name(self) -> str:
        return self.id


class PolicyHolder(Record, frozen=True, omit_defaults=True):
    """Users, groups and roles: what has policies. `inline` maps names to documents; `attached` are ARNs of managed
    policies, in the order of their attachment."""

    name: str
    path: str
    id: str
    created: float
    inline: dict[str, str] = {}
    attached: tuple[str, ...] = ()

    @property
    def key_name(self) -> str:
        return self.name


class User(PolicyHolder, frozen=True, omit_defaults=True):
    kind: ClassVar[str] = "user"

    groups: tuple[str, ...] = ()
    """The lower-cased names of its groups, in the order in which it joined them."""
    boundary: str = ""
    """The ARN of the managed policy that is its permissions boundary, or ""."""
    tags: dict[str, str] = {}


class Group(PolicyHolder, frozen=True, omit_defaults=True):
    kind: ClassVar[str] = "group"


class Role(PolicyHolder, frozen=True, omit_defaults=True):
    kind: ClassVar[str] = "role"

    trust: str = ""
    """The trust policy's document."""
    max_session: int = 3600
    """Seconds that a session may last."""
    description: str = ""
    boundary: str = ""
    tags: dict[str, str] = {}


class PolicyVersion(msgspec.Struct, frozen=True):
    id: str
    document: str
    created: float


class ManagedPolicy(Record, frozen=True, omit_defaults=True):
    """A policy of the account. AWS's own are no records: `services.iam.aws_policies`."""

    kind: ClassVar[str] = "policy"

    name: str
    path: str
    id: str
    created: float
    updated: float
    versions: tuple[PolicyVersion, ...]
    """Ascending; at most five."""
    default: str = "v1"
    last_number: int = 1
    """The number of the last version that was made: none is used twice."""
    description: str = ""
    tags: dict[str, str] = {}

    @property
    def key_name(self) -> str:
        return self.name

    @property
    def document(self) -> str:
        """Of the default version."""
        return next(version.document for version in self.versions if version.id == self.default)


class AccessKey(Record, frozen=True, omit_defaults=True):
    """A permanent access key; `user` is its owner's name, "" the account's root."""

    kind: ClassVar[str] = "access-key"

    id: str
    user: str
    created: float
    sealed_secret: bytes
    status: Literal["Active", "Inactive"] = "Active"

    @property
    def key_name(self) -> str:
        return self.id


class KeyUse(Record, frozen=True, omit_defaults=True):
    """When a key or a role was last used, for which service and region. `id` is the access key's id, or
    `role/<lower-cased name>`."""

    kind: ClassVar[str] = "key-use"
    changes_access: ClassVar[bool] = False

    id: str
    used: float
    service: str
    region: str

    @property
    def key_name(self) -> str:
        return self.id


class ResourcePolicy(Record, frozen=True, omit_defaults=True):
    """The policy of a table or a stream."""

    kind: ClassVar[str] = "resource-policy"
    folds_case: ClassVar[bool] = False

    arn: str
    document: str
    revision: str
    created: float

    @property
    def key_name(self) -> str:
        return self.arn


R = TypeVar("R", bound=Record)


def find(tx: ReadTransaction, account: str, kind: type[R], name: str) -> R | None:
    """The record of that kind and name, in any case of it."""
    stored = tx.get(RECORDS_SPACE, record_key(account, kind, name))
    return None if stored is None else msgspec.json.decode(stored.body, type=kind)


def every(tx: ReadTransaction, account: str, kind: type[R], after: str = "") -> Iterator[R]:
    """All records of a kind by name, from after a name on."""
    decode = msgspec.json.Decoder(kind).decode
    start = record_key(account, kind, "")
    end = start[:-1] + b"0"  # the character after the slash
    if after:
        start = record_key(account, kind, after) + b"\x00"
    for _, _, body in records_in(tx, start, end, _AT_ONCE):
        yield decode(body)


def count(tx: ReadTransaction, account: str, kind: type[Record]) -> int:
    """How many records of a kind there are; none is decoded."""
    start = record_key(account, kind, "")
    end = start[:-1] + b"0"
    return sum(1 for _ in records_in(tx, start, end, _AT_ONCE))


def accounts(tx: ReadTransaction) -> list[str]:
    """The accounts that have records, ascending."""
    found = []
    start, end = RECORDS
    while rows := tx.items(RECORDS_SPACE, start, end, 1):
        account = rows[0][0].split(b"/")[1].decode()
        start = f"access/{account}0".encode()
        if account.isdigit():  # not the generation
            found.append(account)
    return found


def save(tx: WriteTransaction, account: str, record: Record) -> None:
    """Adds the record, or replaces the one of its kind and name."""
    key = record_key(account, type(record), record.key_name)
    body = msgspec.json.encode(record)
    if record.changes_access:
        save_record(tx, key, body)
        _note_change(tx, key)
    else:
        tx.put(RECORDS_SPACE, StoredItem(key, 0, body), tx.get(RECORDS_SPACE, key))


def delete(tx: WriteTransaction, account: str, record: Record) -> None:
    """Removes the record, if it is there."""
    key = record_key(account, type(record), record.key_name)
    if delete_record(tx, key) and record.changes_access:
        _note_change(tx, key)


def generation(tx: ReadTransaction) -> int:
    """Another number after every commit that changed who may what."""
    stored = tx.get(RECORDS_SPACE, GENERATION_KEY)
    return 0 if stored is None else int(stored.body)


def changed_since(tx: ReadTransaction, number: int) -> list[bytes] | None:
    """The keys of the records that were changed after the generation had that number, perhaps repeated; None when
    that is too long ago."""
    end = b"access-change0"
    rows = tx.items(RECORDS_SPACE, _change_key(number + 1), end, _CHANGES_KEPT + 1)
    return [body for _, _, body in rows] if len(rows) == generation(tx) - number else None


def _note_change(tx: WriteTransaction, key: bytes) -> None:
    """Raises the generation, and remembers which record was changed."""
    previous = tx.get(RECORDS_SPACE, GENERATION_KEY)
    number = 1 if previous is None else int(previous.body) + 1
    save_record(tx, GENERATION_KEY, b"%d" % number)
    save_record(tx, _change_key(number), key)
    delete_record(tx, _change_key(number - _CHANGES_KEPT))


def _change_key(number: int) -> bytes:
    return b"access-change/%012d" % max(number, 0)


def record_key(account: str, kind: type[Record], name: str) -> bytes:
    return f"access/{account}/{kind.kind}/{name.lower() if kind.folds_case else name}".encode()
