"""What the catalog holds: a table, its keys, its indexes and its settings.

Values here are frozen and complete: an operation never edits a table, it stores a new one. States follow from
timestamps, not from timers, so that a restart in the middle of CREATING forgets nothing. A state ends at a moment
(`active_at`, `updating_until`, `deleting_until`), and what has ended is over for every reader and writer: the
control plane sees a table through `at`, reads and writes of items through `serving`. Background work then makes
the end permanent by storing `PAST` (`background.tables`), so that a clock that is set back later changes
nothing any more.
`space` numbers name key spaces of the storage: one for the table, one for each index, never used twice.
Nothing here depends on storage, wire or time.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from blotter.database.model.arns import table_arn

KeyType = Literal["S", "N", "B"]

PAST: Final = 0.0
"""A time that has passed on every clock."""
LONGEST_STATE_SECONDS: Final = 3600.0
"""No state lasts longer (the greatest `--table-delay`). A moment further in the future was written by a clock that
has been set back since."""


def is_over(moment: float, now: float) -> bool:
    """Whether a state that ends at `moment` has ended."""
    return now >= moment or moment - now > LONGEST_STATE_SECONDS


COPY_READER: Final = "copy/"
"""How the names of those readers of the change log begin that a copy of the table registers (`copies.copier`)."""


class TableStatus(StrEnum):
    CREATING = "CREATING"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    ACTIVE = "ACTIVE"


class KeyAttribute(msgspec.Struct, frozen=True):
    name: str
    type: KeyType


class KeySchema(msgspec.Struct, frozen=True, dict=True):
    """One partition attribute and at most one sort attribute; a GSI may have up to four of each. What follows from
    them is computed once and kept in the instance's dict, which is not stored."""

    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...] = ()

    @cached_property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        return self.partition + self.sort

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)


class Throughput(msgspec.Struct, frozen=True):
    """Provisioned capacity units a second; both 0 for an on-demand table."""

    read: int = 0
    write: int = 0
    decreases_today: int = 0
    last_increase: float | None = None
    last_decrease: float | None = None

    def decreases_on(self, now: float) -> int:
        """How often the units were decreased on the UTC day of `now`."""
        same_day = self.last_decrease is not None and int(self.last_decrease // 86_400) == int(now // 86_400)
        return self.decreases_today if same_day else 0


class OnDemandMaxima(msgspec.Struct, frozen=True):
    """MaxReadRequestUnits and MaxWriteRequestUnits; None is "no maximum" (-1 on the wire)."""

    read: int | None = None
    write: int | None = None

    def __bool__(self) -> bool:
        return self.read is not None or self.write is not None


class WarmUnits(msgspec.Struct, frozen=True):
    """What a table or index was requested to serve at once, in units a second; 0 is the default of its billing
    mode."""

    read: int = 0
    write: int = 0


DistanceFunction = Literal["COSINE", "DOT_PRODUCT", "EUCLIDEAN"]


class SearchElement(msgspec.Struct, frozen=True):
    """An attribute that a search of a vector index can be limited by."""

    attribute: KeyAttribute
    role: Literal["HASH", "INLINE_FILTER"]


class VectorSettings(msgspec.Struct, frozen=True):
    """What makes an index a vector index. Its `keys` hold the HASH attribute of its search schema as partition key
    and nothing else, or nothing at all."""

    attribute: str
    dimensions: int
    distance: DistanceFunction
    journal: int
    """The key space that records which entries changed last (`operations.vectors.journal`)."""
    schema: tuple[SearchElement, ...] = ()

    @property
    def filters(self) -> tuple[KeyAttribute, ...]:
        return tuple(element.attribute for element in self.schema if element.role == "INLINE_FILTER")


class Index(msgspec.Struct, frozen=True):
    """A secondary index, or with `vector` a vector index. It is CREATING until `active_at` and while it is
    `backfilling`; one that is `deleting` is DELETING until `active_at`, takes no entries and answers no reads."""

    name: str
    space: int
    local: bool
    keys: KeySchema
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"]
    included: tuple[str, ...] = ()
    throughput: Throughput = Throughput()
    throughput_before: Throughput | None = None
    """What is shown while the index is UPDATING to `throughput`."""
    on_demand_maxima: OnDemandMaxima | None = None
    warm: WarmUnits = WarmUnits()
    warm_before: WarmUnits | None = None
    """What is shown until `warm_until`, while the index is warmed up."""
    warm_until: float = 0.0
    active_at: float = 0.0
    updating_until: float = 0.0
    """Until then the index is UPDATING to its units."""
    backfilling: bool = False
    deleting: bool = False
    verified: bool = False
    """Whether every entry is known to belong here. Indexes from before format 0.2 may hold entries that cannot be
    keys; background work removes them once."""
    vector: VectorSettings | None = None

    @property
    def is_global(self) -> bool:
        """Whether it is a global secondary index."""
        return not self.local and self.vector is None

    @property
    def spaces(self) -> tuple[int, ...]:
        """All its key spaces."""
        return (self.space,) if self.vector is None else (self.space, self.vector.journal)

    def is_gone_at(self, now: float) -> bool:
        return self.deleting and is_over(self.active_at, now)


StreamViewType = Literal["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"]


class ShardGeneration(msgspec.Struct, frozen=True):
    """The shards of a stream that are open together, one for each slot. See `model.streams`."""

    number: int
    """Counts from 0 within the stream."""
    started_at: float
    first_sequence: int
    """No change with a smaller sequence lies in these shards."""
    parent_started_at: float | None = None
    """When the generation before this one started; None for the first."""


class StreamSettings(msgspec.Struct, frozen=True):
    """A stream of a table, in use or disabled. Its shards follow from these settings (`model.streams`)."""

    view_type: StreamViewType
    label: str
    enabled: bool = True
    shards: int = 1
    """Slots: how many shards are open at a time. Fixed when the stream is enabled."""
    first_shard: int = 0
    """The number of the stream's first shard in the change log; the streams of one table share none."""
    enabled_at: float = 0.0
    settles_at: float = 0.0
    """Until then the stream is ENABLING or DISABLING."""
    disabled_at: float | None = None
    last_sequence: int | None = None
    """The last change before the stream was disabled."""
    generations: tuple[ShardGeneration, ...] = ()
    """Those that may still hold records, oldest first; the last one is open while the stream is enabled."""


class TimeToLive(msgspec.Struct, frozen=True):
    attribute: str
    enabled: bool
    changed_at: float


class Recovery(msgspec.Struct, frozen=True):
    """Point-in-time recovery that is switched on (`model.recovery`)."""

    period_days: int
    since: float
    """The table can be restored to no time before this one."""
    position: int
    """The last entry of the change log before `since`; every later change of the table is kept."""


TableClass = Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"]
TableChange = Literal["billing mode", "throughput", "table class", "stream", "indexes"]
"""What puts a table into UPDATING."""


CountedSetting = Literal["billing mode", "encryption", "table class"]


class Before(msgspec.Struct, frozen=True):
    """What a table still shows of itself while it is UPDATING. Names are those of `Table`."""

    throughput: Throughput
    warm: WarmUnits
    """What it could serve at once, the default of its billing mode included."""
    table_class: TableClass | None
    table_class_changed_at: float | None
    on_demand_since: float | None


class RestoreSummary(msgspec.Struct, frozen=True):
    """Where the items of a table come from that is being restored."""

    source_table_arn: str
    restored_to: float
    """The moment whose items it gets, in seconds since the epoch."""
    source_backup_arn: str | None = None


class Table(msgspec.Struct, frozen=True, dict=True):
    """A table as the catalog stores it. Times are seconds since the epoch."""

    account: str
    region: str
    name: str
    id: str
    space: int
    keys: KeySchema
    created_at: float
    active_at: float
    indexes: tuple[Index, ...] = ()
    billing_mode: Literal["PROVISIONED", "PAY_PER_REQUEST"] = "PROVISIONED"
    on_demand_since: float | None = None
    throughput: Throughput = Throughput()
    on_demand_maxima: OnDemandMaxima | None = None
    warm: WarmUnits = WarmUnits()
    warm_before: WarmUnits | None = None
    """What is shown until `warm_until`, while the table is warmed up."""
    warm_until: float = 0.0
    deletion_protection: bool = False
    table_class: TableClass | None = None
    table_class_changed_at: float | None = None
    stream: StreamSettings | None = None
    log_readers: tuple[str, ...] = ()
    """The readers of the change log that read this table's changes, beside its stream."""
    loading: str | None = None
    """The job that fills the table (`copies.jobs`): until it ends, the table is CREATING."""
    restore: RestoreSummary | None = None
    """Shown while the table is loading."""
    time_to_live: TimeToLive | None = None
    recovery: Recovery | None = None
    """None while point-in-time recovery is off. A deleted table that still has it waits for the backup that the
    service makes of it."""
    encryption: dict[str, str | float] | None = None
    encryption_before: dict[str, str | float] | None = None
    """What is shown until `encryption_until`, while the table is encrypted anew; None for the default key."""
    encryption_until: float = 0.0
    tags: tuple[tuple[str, str], ...] = ()
    updating_until: float = 0.0
    changing: TableChange | None = None
    """Why the table is UPDATING."""
    before: Before | None = None
    counted_changes: tuple[tuple[CountedSetting, float], ...] = ()
    """Changes of which a quota allows so many in a time, and when they were made (`operations.tables.quotas`)."""
    deleting_until: float | None = None

    @property
    def arn(self) -> str:
        return table_arn(self.region, self.account, self.name)

    @property
    def key_attributes(self) -> tuple[KeyAttribute, ...]:
        """The key attributes of the table and of its indexes and the attributes of search schemas, each once, by
        name."""
        found = {attribute.name: attribute for keys in self.all_keys for attribute in keys.attributes}
        for index in self.vector_indexes:
            if index.vector is not None:
                found |= {attribute.name: attribute for attribute in index.vector.filters}
        return tuple(found[name] for name in sorted(found))

    @property
    def all_keys(self) -> tuple[KeySchema, ...]:
        return (self.keys, *(index.keys for index in self.indexes))

    @cached_property
    def vector_indexes(self) -> tuple[Index, ...]:
        return tuple(index for index in self.indexes if index.vector is not None)

    @cached_property
    def serving(self) -> Table:
        """The table for reads and writes of items: without the indexes that are being deleted."""
        if not any(index.deleting for index in self.indexes):
            return self
        return replace(self, indexes=tuple(index for index in self.indexes if not index.deleting))

    def at(self, now: float) -> Table | None:
        """The table as it is at a time, for the control plane: without indexes whose deletion is over; None when
        its own is. The catalog may hold both for a while longer."""
        if self.is_gone_at(now):
            return None
        if not any(index.is_gone_at(now) for index in self.indexes):
            return self
        return replace(self, indexes=tuple(index for index in self.indexes if not index.is_gone_at(now)))

    def is_gone_at(self, now: float) -> bool:
        return (
            self.deleting_until is not None
            and is_over(self.deleting_until, now)
            and self.recovery is None
            and not self.is_being_copied
        )

    @property
    def is_being_copied(self) -> bool:
        """Whether a copy of its items is under way, which a deletion waits for."""
        return any(reader.startswith(COPY_READER) for reader in self.log_readers)

    def status_at(self, now: float) -> TableStatus:
        """The status of a table that is not gone."""
        if self.deleting_until is not None:
            return TableStatus.DELETING
        if self.loading is not None or not is_over(self.active_at, now):
            return TableStatus.CREATING
        if not is_over(self.updating_until, now):
            return TableStatus.UPDATING
        return TableStatus.ACTIVE

    def has_items_at(self, now: float) -> bool:
        """Whether items can be read and written: the table is ACTIVE or UPDATING."""
        return (
            self.deleting_until is None
            and self.loading is None
            and (now >= self.active_at or is_over(self.active_at, now))
        )

    def index(self, name: str) -> Index | None:
        for index in self.indexes:
            if index.name == name:
                return index
        return None
