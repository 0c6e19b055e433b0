"""What the catalog holds: a table, its keys, its indexes and its settings.

Values here are frozen and complete: an operation never edits a table, it stores a new one. States follow
from timestamps (`status_at`), not from timers, so that a restart in the middle of CREATING forgets nothing.
`space` numbers name key spaces of the storage: one for the table, one for each index, never used twice.
Nothing here knows storage, wire or time.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Literal

import msgspec

KeyType = Literal["S", "N", "B"]


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
    them is worked out once and stands in the instance's dict, which is not stored."""

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


class OnDemandMaxima(msgspec.Struct, frozen=True):
    """MaxReadRequestUnits and MaxWriteRequestUnits; None is "no maximum" (-1 on the wire)."""

    read: int | None = None
    write: int | None = None


class WarmUnits(msgspec.Struct, frozen=True):
    """What a table or index was asked to serve at once, in units a second; 0 asks for nothing beyond the usual."""

    read: int = 0
    write: int = 0


class Index(msgspec.Struct, frozen=True):
    """A secondary index. `backfilled_at` None with a live table means that its backfill still runs."""

    name: str
    space: int
    local: bool
    keys: KeySchema
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"]
    included: tuple[str, ...] = ()
    throughput: Throughput = Throughput()
    throughput_before: Throughput | None = None
    """What is shown while the table is UPDATING to `throughput`."""
    on_demand_maxima: OnDemandMaxima | None = None
    warm: WarmUnits = WarmUnits()
    active_at: float = 0.0
    backfilling: bool = False
    deleting: bool = False


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
    """A stream of a table, in use or disabled. Its shards follow from what stands here (`model.streams`)."""

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


class Table(msgspec.Struct, frozen=True):
    """A table as the catalog stores it. Times are seconds since the epoch."""

    account: str
    region: str
    name: str
    id: str
    space: int
    keys: KeySchema
    created_at: float
    active_at: float
    attribute_definitions: tuple[KeyAttribute, ...]
    indexes: tuple[Index, ...] = ()
    billing_mode: Literal["PROVISIONED", "PAY_PER_REQUEST"] = "PROVISIONED"
    on_demand_since: float | None = None
    throughput: Throughput = Throughput()
    throughput_before: Throughput | None = None
    """What is shown while the table is UPDATING to `throughput`."""
    on_demand_maxima: OnDemandMaxima | None = None
    warm: WarmUnits = WarmUnits()
    deletion_protection: bool = False
    table_class: Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"] | None = None
    table_class_changed_at: float | None = None
    stream: StreamSettings | None = None
    time_to_live: TimeToLive | None = None
    encryption: dict[str, str | float] | None = None
    tags: tuple[tuple[str, str], ...] = ()
    updating_until: float = 0.0
    deleting_until: float | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"

    def status_at(self, now: float) -> TableStatus:
        """The status at a time. A table whose `deleting_until` has passed no longer exists."""
        if self.deleting_until is not None:
            return TableStatus.DELETING
        if now < self.active_at:
            return TableStatus.CREATING
        if now < self.updating_until:
            return TableStatus.UPDATING
        return TableStatus.ACTIVE

    def has_items_at(self, now: float) -> bool:
        """Whether items can be read and written: the table is ACTIVE or UPDATING."""
        return self.deleting_until is None and now >= self.active_at

    def index(self, name: str) -> Index | None:
        for index in self.indexes:
            if index.name == name:
                return index
        return None
