"""What a store offers to the operations: ordered bytes in numbered key spaces, a catalog and a change log.

A read transaction is a snapshot. A write transaction is serializable. Handlers are plain synchronous functions
over a transaction; a store may run one again from the start (after a serialization failure, or because another
handler of the same batch failed midway), so a handler keeps no state of its own and does no other I/O. What must
happen exactly once goes into `after_commit`.

A result leaves only after the commit that holds the handler's work was synced; when that commit fails, every
handler of the batch gets the error. This also holds for a handler that raises: its error may reveal a predecessor
that is not yet committed, so it too leaves after the commit.

Stores are exchangeable: `stores` chooses one, `Store` is it before the server forks, `Storage` is it opened in one
process. Keys are made in `model.keys`; bodies are an item's canonical DynamoDB JSON. Stores interpret neither.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from blotter.database.encryption.files import FileCipher
from blotter.database.model.table import Table

if TYPE_CHECKING:
    import asyncio

    from blotter.database.storage.scratch import Scratch

T = TypeVar("T")

Origin = Literal["user", "ttl", "replication"]

Settled = Callable[[Any, BaseException | None], None]
"""Called once with what became of a handler: its value and None, or None and the error."""

Action = Callable[[], object]
"""Something to do once, after a commit."""

Slices = Generator[Callable[[], object] | None, None, T]
"""A long read, which yields between slices of bounded work: None, or work that uses no store and would keep others
waiting; then the generator goes on once that is done."""

ChangeKind = Literal["item", "table", "record"]
"""A change of an item, of the catalog, or of one of the database's own records."""

RECORDS_SPACE: Final = 0
"""The key space of the database's own records; tables and indexes get theirs from 1 on. Keys begin with the kind
of record and a slash: `token/`, `stream/`."""

METRICS_SPACE: Final = -16
"""The key space of metrics' points (`metrics.point_store`). One of its own, so that its size is known."""


class StoredItem(msgspec.Struct, frozen=True, gc=False):
    """One item of a key space. `size` is DynamoDB's item size in bytes, not the body's length."""

    key: bytes
    size: int
    body: bytes


Row: TypeAlias = tuple[bytes, int, bytes]
"""An item read among many: a `StoredItem`'s key, size and body, without the cost of making one."""


ANY_SIZE: Final = sys.maxsize
"""No limit in bytes: for records, which are small."""


UNLIMITED: Final = sys.maxsize
"""The work of a handler that may take as long as it takes."""
LARGE_ITEM = 4096
"""Items of more bytes are counted when many are read at once."""
COPIES_FOR_ONE = 4
"""So many bytes are read and copied into a response in the time in which one of a large value is decoded."""


class SpaceStatistics(NamedTuple):
    items: int
    bytes: int


LOG_SPACE: Final = -1
"""Stands for the change log in `statistics`: the number of its entries, and the bytes of their keys and bodies."""
NO_SHARD: Final = -1
"""The shard of an entry that belongs to no stream."""


class Change(msgspec.Struct, frozen=True):
    """One entry of the change log: a change of an item, of a table in the catalog, or of a record of the database.

    Streams, recovery, replicas and archives are readers of this one log. A change of an item is logged only if
    a reader wants its table's changes; changes of the catalog are always logged, by the store; changes of records
    while an archive wants them (`storage.records`).
    """

    sequence: int
    """Strictly rising over the whole store, in the order of commits; 0 until the log has assigned one."""
    time: float
    """Seconds since the epoch."""
    table_id: str
    shard: int
    """The shard of the table's stream, or NO_SHARD."""
    key: bytes
    """The item's storage key, whose first 8 bytes are the hash of its partition; or account/region/name of the
    table; or the record's key."""
    old: bytes | None
    """The item's body, or the table's description as JSON, before the change; None if there was none."""
    new: bytes | None
    origin: Origin = "user"
    kind: ChangeKind = "item"
    version: int | None = None
    """The version that the item was stored with."""


def change_size(change: Change) -> int:
    """What an entry counts in the statistics of the log."""
    return len(change.key) + len(change.old or b"") + len(change.new or b"")


class LogReader(msgspec.Struct, frozen=True):
    """A reader of the change log with a persisted position. What it has not read yet is not trimmed."""

    name: str
    position: int
    """The last sequence that it has read."""
    retention: float | None = None
    """Seconds that entries are kept for this reader: it reads them whenever it likes and confirms nothing; its
    position follows the time. None for a reader that moves its position itself."""
    progressed_at: float = 0.0
    """When the position was last moved, in seconds since the epoch."""
    lost_at: float | None = None
    """When trimming stopped waiting for this reader. What it has missed is gone; it must start from a copy."""


class ReadTransaction(Protocol):
    """A snapshot of the store."""

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        """The table as the catalog has it in this snapshot, whatever its status."""

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        """Up to `limit` names greater than `after` (by UTF-8 bytes), ascending."""

    def tables(self) -> Iterable[Table]:
        """Every table of every account and region, for background work."""

    def version(self, space: int, key: bytes) -> int | None:
        """The version that the item under a key was stored with; None for none, or where there is no item."""

    def catalog_version(self) -> int:
        """Changes whenever a commit changed the catalog."""

    def get(self, space: int, key: bytes) -> StoredItem | None: ...

    def expect(self, points: Callable[[], Iterable[tuple[int, bytes]]]) -> None:
        """Announces what the handler is going to read, by key space and key, so that a store across a network
        reads all of it at once. Other stores do not call `points`."""

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        """Size and body of the item under each key, None where there is none. Ends early, and is then shorter than
        `keys`, after the item with which the sizes reach `size` bytes."""

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
        """The first items with start <= key < end, in key order or in reverse; `end` None is the end of the space.

        Returns at most `limit` items, and none after the item with which their sizes reach `size` bytes: what is
        read at once is bounded. To continue, ask again from after the last key (`key + b"\\x00"`) or, in reverse,
        with the last key as the end. Fewer items of fewer bytes mean that there are no more.
        """

    def statistics(self, space: int) -> SpaceStatistics:
        """Item count and size of a key space, exact in this snapshot, at a cost that does not grow with it. Of
        LOG_SPACE, those of the change log."""

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        """Up to `limit` changes of one shard with a sequence greater than `after`, ascending."""

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        """Up to `limit` entries of the whole log with a sequence greater than `after`, ascending, and none after
        the one with which keys and bodies reach `size` bytes."""

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        """Sequence and time of the entries that `log` would return, without the cost of reading them."""

    def log_readers(self) -> list[LogReader]:
        """By name."""

    def first_change(self) -> int:
        """The smallest sequence that was not trimmed; of an empty log, the one that is assigned next."""

    def last_change(self) -> int:
        """The greatest sequence assigned so far, 0 for none."""

    def note_work(self, amount: int) -> None:
        """Counts work that the handler is about to do: the bytes of a large value that it will decode or encode.
        Raises TooMuchWork when others would have to wait too long, on the event loop for a quick read, in the
        write lock for a handler that called `limit_work`."""


class WriteTransaction(ReadTransaction, Protocol):
    """A serializable transaction; sees its own writes and those of its batch before it."""

    def limit_work(self, limit: int) -> None:
        """Limits what `note_work` may count for the handler that runs; there is no limit unless it calls this."""

    def new_space(self) -> int:
        """A number for a key space that was never used before."""

    def save_table(self, table: Table) -> None:
        """Adds the table to the catalog, or replaces the one of the same account, region and name."""

    def remove_table(self, table: Table) -> None:
        """Removes the table from the catalog and drops its key spaces; they are emptied in the background."""

    def drop_space(self, space: int) -> None:
        """Drops a key space (an index was deleted); it is emptied in the background."""

    def put(self, space: int, item: StoredItem, previous: StoredItem | None, version: int | None = None) -> None:
        """Stores an item. `previous` is what `get` found under the key: it keeps the statistics exact. `version`
        is for tables with replicas: it replaces the item's, also by none."""

    def put_new(self, space: int, rows: Sequence[Row]) -> None:
        """Stores many items, none of whose keys is in the space, at a fraction of what `put` costs for each."""

    def delete(self, space: int, previous: StoredItem) -> None: ...

    def append_change(self, change: Change) -> None:
        """Appends to the change log. The store assigns the sequence, at the latest when it commits."""

    def log_record(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """Appends the change of a record to the change log. For `storage.records`."""

    def save_log_reader(self, reader: LogReader) -> None:
        """Adds a reader, or replaces the one of its name."""

    def remove_log_reader(self, name: str) -> None: ...

    def trim_log(self, through: int, limit: int) -> int:
        """Removes up to `limit` of the oldest entries, up to a sequence; returns how many. For `change_log`."""

    # Taking over the content of another store: `blotter store copy`

    def restore_table(self, account: str, region: str, name: str, table: Table | None) -> None:
        """Adds a table to the catalog, replaces it, or with None removes it, without an entry in the log and
        without a change of any key space."""

    def restore_changes(self, changes: Sequence[Change]) -> None:
        """Appends entries of another store's log with the sequences that they have there, which are ascending and
        greater than `last_change`."""

    def restore_counters(self, space: int, change: int) -> None:
        """Raises what `new_space` and the log count: the next numbers are greater than these."""

    def notify_background(self) -> None:
        """After the commit, `wait_for_catalog_change` returns in the process that waits there: there is work for
        it."""

    def in_lock(self, action: Callable[[WriteTransaction], object]) -> None:
        """Calls `action` with the transaction that has the write lock: at once, or, for a handler that is run
        ahead of it, when its writes are made there. For writes that others make too, such as the next number of a
        sequence: what an action reads is not compared with what it was when the handler ran."""

    def after_commit(self, action: Action) -> None:
        """Calls `action` once on the event loop, after the commit that holds this handler's work was synced and
        before the handler's caller gets its result; a handler's actions run in the order in which they were
        registered.

        The place for everything that must happen once: a handler may be run several times, and its work may be
        rolled back. The actions of a run that is repeated, of a handler that raised, and of a batch whose commit
        failed are dropped. They run even if the caller was canceled meanwhile. An action must be quick and must
        not raise; an exception is logged and has no other effect. If the process ends between commit and
        action, the action has not run: it must not be the only record of anything.
        """


class Snapshot(ReadTransaction, Protocol):
    """A read transaction that outlives one call: for queries and scans that run in slices."""

    def close(self) -> None: ...


class Storage(Protocol):
    """A store opened in one process. It is used on one event loop at a time."""

    # Reading

    def read(self) -> AbstractContextManager[ReadTransaction] | None:
        """A snapshot for one quick read on the caller's thread, which must not be held across an await. None if
        this store cannot answer without waiting, for instance for a network: `submit_read` then."""

    def submit_read(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        """Runs the handler over a snapshot and calls `settled` on the event loop with what it returned or raised:
        before this returns if `read` gives a snapshot, later otherwise."""

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        """`submit_read` for coroutines: returns what the handler returned or raises what it raised."""

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        """Runs a handler that computes for long over a snapshot, where neither the event loop nor a writer waits
        for it, and calls `settled` on the event loop with what it returned or raised. `note_work` has no limit
        there. Such handlers run one after another. Raises StorageUnavailable when too many are waiting already."""

    def open_snapshot(self) -> Snapshot | None:
        """A snapshot on a connection of its own; the caller closes it. It has a maximum age: a read after that
        raises SnapshotTooOld. None where `read` is: `submit_slices` then."""

    def submit_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        """Runs a long read to its end over one snapshot of limited age, as `open_snapshot` gives it: does the work
        that it yields on a thread, and serves others between its slices. Calls `settled` on the event loop with
        what it returned or raised. `start` may be called again, to read from the beginning."""

    def open_scratch(self) -> Scratch:
        """Working storage for one job, as well protected as the data; the caller closes it."""

    # Writing

    def submit(self, handler: Callable[[WriteTransaction], Any], settled: Settled) -> object:
        """Runs the handler in a write transaction, in a batch with others that wait, commits, syncs, and calls
        `settled` on the event loop with what the handler returned or raised. Raises StorageUnavailable when the
        store accepts no more work."""

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        """`submit` for coroutines: returns what the handler returned or raises what it raised. If the caller is
        canceled before the handler runs, the handler is withdrawn."""

    async def write_slice(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        """`write` for one of many pieces of bulk work that gives way to others (`storage.slices`): the handler
        gets the seconds that it may work for, and returns early enough. What it did may be lost with the machine
        until something that was written later is durable. So it is for work that begins again where it is then,
        and of which nobody has been told."""

    async def give_way(self) -> None:
        """For long work that reads, after each piece of it: waits, if others write meanwhile and would be
        hindered."""

    def watch_commits(self, watch: Callable[[float], None]) -> None:
        """Calls `watch` on the event loop after every commit that this process has made durable, with the seconds
        that took. It must be quick and must not raise."""

    # Life

    def start(self) -> None:
        """Starts the store's own upkeep on the running event loop. A write does it too; a process that only reads
        calls this."""

    def on_catalog_change(self, action: Action) -> None:
        """Calls `action` on the event loop after each commit of this process that changed the catalog, before
        those who wait for the commit get their results. It must be quick and must not raise."""

    async def lead(self) -> asyncio.Future[None]:
        """Waits until no other server on the same store leads: the leader does the work that must not be done
        twice at a time. From then on this storage's writes fail once another one leads. The future is done when
        that has happened, or may have: the leader stops its work then, and may call this again."""

    async def wait_for_catalog_change(self) -> None:
        """Returns once a commit has changed the catalog or a handler has called `notify_background`, in any
        process that shares this store, since this last returned; the first call returns at once. For one waiting
        task at a time. A hint: it may also return for nothing, and what is missed when a process dies is found by
        looking now and then."""

    async def close(self) -> None:
        """Finishes the work that was accepted, checkpoints, releases files. Safe to call twice."""


class Store(Protocol):
    """A store that was chosen and is not open yet. Made once, before the server forks its processes: it holds what
    they share."""

    description: str
    """Where the data are, for the operator: "data in /srv/blotter"."""
    single_process: bool
    """Whether only one process can use it, which then does everything: one worker and the background work."""

    several_servers: bool
    """Whether other servers may use the store at the same time."""

    def claim(self) -> None:
        """Reserves the store for this server until `release`, so that a second server on it is refused; with
        `several_servers`, only verifies that the store can be used. Raises DataDirectoryError, which names the
        process that has it, or what prevents its use."""

    def open(self) -> Storage:
        """Opens the store in this process, after the fork. Raises DataDirectoryError; nothing is changed then."""

    def run_apart(self, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
        """Opens the store for `work`, closes it again, and returns what `work` did: for what has to be done before
        the server forks, and so perhaps in a process of its own. What `work` returns or raises must be
        picklable."""

    def secret_key(self, purpose: str) -> bytes:
        """32 secret bytes for one purpose, to encrypt or sign what is stored: the same at every start, whatever
        becomes of the keys on disk. Called after `claim` and before the fork. Raises DataDirectoryError."""

    def file_cipher(self) -> FileCipher:
        """Encrypts files that lie beside the data, if the data are encrypted. Called after `claim`."""

    def key_files(self) -> dict[str, bytes]:
        """What a copy of the data needs beside it: the files with which a data directory opens it, by name."""

    def log_bytes(self) -> int | None:
        """How long the write-ahead log is; None for a store that has none."""

    def spare_bytes(self) -> int | None:
        """How many bytes may be written to other files on the store's disk: on a full one the store needs room to
        delete. None for any number. In every process, on any thread."""

    def kms_key(self) -> str | None:
        """The ARN of the key of AWS KMS that protects the data on disk, None if there is none. After `claim`."""

    def release(self) -> None:
        """Ends the reservation, once every process has ended."""


class StorageUnavailable(Exception):
    """The store could not do its work (disk full, I/O error, lost connection, closing). Every request of a batch
    that failed gets this. If the commit itself failed, or the connection was lost during it, the outcome is
    unknown; otherwise nothing was stored. The store stays open: a later request may succeed. Clients see an
    InternalServerError with status 500, which SDKs repeat."""


class TooMuchWork(Exception):
    """A handler is about to do more work than others can wait for; `Storage.submit_aside` runs such handlers."""


class DataDirectoryError(Exception):
    """The store or the data directory cannot be used; the text explains why to the operator. Nothing in it was
    changed."""


class SnapshotTooOld(Exception):
    """The snapshot was open longer than the store allows; the caller opens another and continues from its key."""


class SnapshotOutlived(SnapshotTooOld):
    """The same, after time in which something was achieved that lasts: others were served in turn, or what the
    next attempt needs was prepared. Such an attempt is repeated however often it takes."""
