"""The shards of a stream: pure arithmetic over `StreamSettings`, no stored shard objects.

A stream has `shards` slots; a change goes to the slot of its partition's hash, so all changes of one item lie
in one shard at a time. After SHARD_LIFETIME the next write closes the shards of all slots and opens a new
generation: the shard of slot s in generation g is the child of slot s in g-1. Because the change of generation
is itself written in the transaction of that write, the order of commits is the order of the lineage: a reader that
reads a parent to its end and then its child sees every item's changes in order, whatever the workers' clocks show.

A shard's id sorts by the time its generation started, then by slot. Sequence numbers are those of the change log,
raised to AWS's 21 digits, so that they compare alike as text and as numbers.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec.structs import replace

from blotter.database.model.table import ShardGeneration, StreamSettings, StreamViewType

RETENTION: Final = 24 * 3600.0
"""Seconds a record can be read. A disabled stream is gone after that."""
SHARD_LIFETIME: Final = 4 * 3600.0
ON_DEMAND_SLOTS: Final = 4
"""Shards of a new on-demand table; AWS's has four partitions."""
PROVISIONED_SLOTS: Final = 1

_SEQUENCE_BASE: Final = 10**20


class Shard(NamedTuple):
    id: str
    parent: str | None
    number: int
    """In the change log."""
    first_sequence: int
    last_sequence: int | None
    """None while the shard is open."""


def new_stream(
    view_type: StreamViewType, label: str, slots: int, *, first_shard: int, first_sequence: int, now: float
) -> StreamSettings:
    return StreamSettings(
        view_type,
        label,
        shards=slots,
        first_shard=first_shard,
        enabled_at=now,
        generations=(ShardGeneration(0, now, first_sequence),),
    )


def is_rollover_due(stream: StreamSettings, now: float) -> bool:
    return now >= stream.generations[-1].started_at + SHARD_LIFETIME


def rolled_over(stream: StreamSettings, next_sequence: int, now: float) -> StreamSettings:
    """The stream with a new generation; those whose last record was trimmed are left out."""
    last = stream.generations[-1]
    opened = ShardGeneration(last.number + 1, now, next_sequence, last.started_at)
    kept = [generation for generation, _ in _readable_generations(stream, now)]
    return replace(stream, generations=(*kept, opened))


def closed(stream: StreamSettings, last_sequence: int, now: float) -> StreamSettings:
    return replace(stream, enabled=False, disabled_at=now, last_sequence=last_sequence)


def next_first_shard(stream: StreamSettings | None) -> int:
    """Where the shard numbers of the table's next stream begin."""
    if stream is None or not stream.generations:
        return 0
    return stream.first_shard + (stream.generations[-1].number + 1) * stream.shards


def open_shard(stream: StreamSettings, key: bytes) -> int:
    """The number in the change log of the shard that takes a change of the item under a storage key, whose first
    byte is the partition's hash's."""
    return _number(stream, stream.generations[-1], key[0] * stream.shards >> 8)


def is_trimmed(stream: StreamSettings, now: float) -> bool:
    """Whether it was disabled so long ago that none of it can be read any more."""
    return stream.disabled_at is not None and stream.disabled_at < now - RETENTION


def readable_shards(stream: StreamSettings, table_id: str, now: float) -> list[Shard]:
    """The shards that may hold records younger than the retention, by id."""
    shards = []
    for generation, successor in _readable_generations(stream, now):
        last = stream.last_sequence if successor is None else successor.first_sequence - 1
        for slot in range(stream.shards):
            parent = generation.parent_started_at
            shards.append(
                Shard(
                    _shard_id(table_id, stream, generation.number, generation.started_at, slot),
                    None if parent is None else _shard_id(table_id, stream, generation.number - 1, parent, slot),
                    _number(stream, generation, slot),
                    generation.first_sequence,
                    None if last is None else max(last, generation.first_sequence),
                )
            )
    return shards


def stream_label(now: float) -> str:
    """ISO 8601 in UTC to the millisecond, without a zone: AWS's stream labels."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"


def sequence_number(sequence: int) -> str:
    return str(_SEQUENCE_BASE + sequence)


def parse_sequence_number(text: str) -> int | None:
    """The change log's sequence, or None for what is no sequence number of ours."""
    if not (text.isascii() and text.isdigit()):
        return None
    sequence = int(text) - _SEQUENCE_BASE
    return sequence if sequence >= 0 else None


def _readable_generations(
    stream: StreamSettings, now: float
) -> list[tuple[ShardGeneration, ShardGeneration | None]]:
    """Each with the one that followed it."""
    pairs = zip(stream.generations, (*stream.generations[1:], None), strict=True)
    horizon = now - RETENTION
    return [
        (generation, successor)
        for generation, successor in pairs
        if successor is None or successor.started_at >= horizon
    ]


def _number(stream: StreamSettings, generation: ShardGeneration, slot: int) -> int:
    return stream.first_shard + generation.number * stream.shards + slot


def _shard_id(table_id: str, stream: StreamSettings, number: int, started_at: float, slot: int) -> str:
    seed = f"{table_id}/{stream.label}/{number}".encode()
    return f"shardId-{int(started_at * 1000):020d}-{blake2b(seed, digest_size=4).hexdigest()[:7]}{slot:x}"
