"""The storage, as the operations see it: ordered bytes in numbered key spaces, a catalog and a change log.

A read transaction is a snapshot. A write transaction is serializable. Handlers are plain synchronous functions
over a transaction; a backend may run one again from the start (after a serialization failure, or because another
request of the same batch failed half-way), so a handler keeps no state of its own and does no other I/O.
`Storage.write` returns only after the commit that holds the handler's work has been synced; when that commit
fails, every handler of the batch gets the error. This also holds for a handler that raises: its refusal may
reveal a predecessor that is not yet committed, so it leaves after the commit too.

Keys are made in `model.keys`; bodies are an item's canonical DynamoDB JSON. Backends look into neither.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from blotter.database.model.table import Table

T = TypeVar("T")

Origin = Literal["user", "ttl", "replication"]

Settled = Callable[[Any, BaseException | None], None]
"""Takes a handler's value, or None and the error."""

Action = Callable[[], object]
"""Something to do once, after a commit."""

RECORDS_SPACE: Final = 0
"""The key space of the database's own records; tables and indexes get theirs from 1 on. Keys begin with the kind
of record and a slash: `token/`, `stream/`."""


class StoredItem(NamedTuple):
    """One item of a key space. `size` is DynamoDB's item size in bytes, not the body's length."""

    key: bytes
    size: int
    body: bytes


Row: TypeAlias = tuple[bytes, int, bytes]
"""An item that was read among many: a `StoredItem`'s key, size and body, without the cost of making one."""


ANY_SIZE: Final = sys.maxsize
"""No bound in bytes, for records, which are small."""


class SpaceStatistics(NamedTuple):
    items: int
    bytes: int


class Change(msgspec.Struct, frozen=True):
    """One entry of the change log: what a stream, a restore or a replica reads."""

    sequence: int
    """Strictly rising over the whole store; 0 before the log has given it one."""
    time: float
    """Seconds since the epoch."""
    table_id: str
    shard: int
    key: bytes
    """The table's storage key; its first 8 bytes are the partition's hash."""
    old: bytes | None
    new: bytes | None
    origin: Origin = "user"


class ReadTransaction(Protocol):
    """A snapshot of the store."""

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        """The table as the catalog has it in this snapshot, whatever its status."""

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        """Up to `limit` names greater than `after` (by UTF-8 bytes), ascending."""

    def tables(self) -> Iterable[Table]:
        """Every table of every account and region, for background work."""

    def catalog_version(self) -> int:
        """Another number whenever a committed change made the catalog another."""

    def get(self, space: int, key: bytes) -> StoredItem | None: ...

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        """Size and body of the item under each key, None where there is none. Ends early, and so is shorter than
        `keys`, behind the item with which the sizes reach `size` bytes."""

    def items(
        self,
        space: int,
        start: bytes,
        end: bytes | None,
        limit: int,
        size: int = ANY_SIZE,
        *,
        reverse: bool = False,
    ) -> list[Row]:
        """The first items with start <= key < end, in key order or its reverse; `end` None is the space's end.

        At most `limit` of them, and none behind the item with which their sizes reach `size` bytes: what is read
        at once is bounded. Who wants more asks again, behind the last key (`key + b"\\x00"`) or, in reverse, with
        it as the end. Fewer items of fewer bytes are all there are.
        """

    def statistics(self, space: int) -> SpaceStatistics:
        """Item count and size of a key space, exact in this snapshot, at a cost that does not grow with it."""

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        """Up to `limit` changes of one shard with a sequence greater than `after`, ascending."""

    def first_change(self) -> int:
        """The smallest sequence that was not trimmed; of an empty log, the one that is given next."""

    def last_change(self) -> int:
        """The greatest sequence given so far, 0 for none."""


class WriteTransaction(ReadTransaction, Protocol):
    """A serializable transaction; sees its own writes and those of its batch before it."""

    def new_space(self) -> int:
        """A key-space number that was never used."""

    def save_table(self, table: Table) -> None:
        """Adds the table to the catalog or replaces the one of the same account, region and name."""

    def remove_table(self, table: Table) -> None:
        """Takes the table out of the catalog and dooms its key spaces; they empty in the background."""

    def doom_space(self, space: int) -> None:
        """Gives a key space up (an index was deleted); it empties in the background."""

    def put(self, space: int, item: StoredItem, previous: StoredItem | None) -> None:
        """Stores an item. `previous` is what `get` found under the key: it keeps the statistics exact."""

    def delete(self, space: int, previous: StoredItem) -> None: ...

    def append_change(self, change: Change) -> int:
        """Appends to the change log and returns the sequence given."""

    def trim_changes(self, before: float) -> int:
        """Removes changes older than a time, in a bounded slice; returns how many went."""

    def after_commit(self, action: Action) -> None:
        """Calls `action` once on the event loop, after the commit that holds this handler's work was synced and
        before the handler's caller is told; a handler's actions run in the order in which they were registered.

        The place for everything that must happen once: a handler may be run several times, and its work may be
        rolled back. The actions of a run that is repeated, of a handler that raised, and of a batch whose commit
        failed are dropped. They run even if the caller was cancelled meanwhile. An action must be quick and must
        not raise; an exception is logged and changes nothing for anybody. If the process ends between commit and
        action, the action has not run: it must not be the only record of anything.
        """


class Snapshot(ReadTransaction, Protocol):
    """A read transaction that outlives one call: for scans that run in slices."""

    def close(self) -> None: ...


class Storage(Protocol):
    def read(self) -> AbstractContextManager[ReadTransaction]:
        """A snapshot for one quick read on the caller's thread; must not be held across an await."""

    def open_snapshot(self) -> Snapshot:
        """A snapshot on a connection of its own; the caller closes it. Has a maximum age: a read after
        that raises `SnapshotTooOld`."""

    def submit(self, handler: Callable[[WriteTransaction], Any], settled: Settled) -> object:
        """Runs the handler in a write transaction, in a batch with others that wait, commits, syncs, and calls
        `settled` on the event loop with what the handler returned, or with what it raised. Raises
        StorageUnavailable when the store takes no more."""

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        """`submit` for coroutines: returns what the handler returned or raises what it raised. Who is cancelled
        while the handler waits for its turn takes it back."""

    async def close(self) -> None:
        """Finishes what was admitted, checkpoints, releases files."""


class StorageUnavailable(Exception):
    """The store could not do its work (disk full, I/O error, closing). Of a batch that fails, every request gets
    this, and nothing of it was stored. The store stays open: a later request may succeed. Clients see an
    InternalServerError with status 500, which SDKs repeat."""


class DataDirectoryError(Exception):
    """The data directory cannot be used; the text tells the operator why. Nothing in it was changed."""


class SnapshotTooOld(Exception):
    """The snapshot was open longer than the store allows; the caller opens another and goes on from its key."""
