"""What the store keeps of scaling, as JSON under keys of RECORDS_SPACE.

    autoscaling/target/<account>/<region>/<resource>,<dimension>            what is scaled, and its bounds
    autoscaling/policy/<account>/<region>/<resource>,<dimension>,<name>     how it follows its use
    autoscaling/action/<account>/<region>/<resource>,<dimension>,<name>     when its bounds are set
    autoscaling/activity/<account>/<region>/<resource>,<dimension>,<time>   what was done, newest first

A null byte stands where a comma is shown; no name has one. Times are seconds since the epoch, in keys microseconds
counted down. Activities are kept for six weeks, as on AWS, and at most `MOST_ACTIVITIES` of a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record

PREFIX: Final = "autoscaling"
ACTIVITY_SECONDS: Final = 6 * 7 * 86_400.0
MOST_ACTIVITIES: Final = 1000
_LATER: Final = 2e-6
"""Seconds that a float of now and keys of microseconds tell apart."""
_FOREVER: Final = (1 << 63) - 1

Status = Literal["InProgress", "Successful", "Failed"]


class Place(msgspec.Struct, frozen=True):
    """What is scaled: a dimension (`dynamodb:table:ReadCapacityUnits`) of a resource (`table/results`)."""

    account: str
    region: str
    resource: str
    dimension: str

    @property
    def key(self) -> str:
        return f"{self.account}/{self.region}/{self.resource}\0{self.dimension}"


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all records have."""

    kind: ClassVar[str]

    place: Place

    @property
    def suffix(self) -> str:
        """The part of the key after the place."""
        return ""


class Suspended(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which kinds of scaling are suspended."""

    scaling_in: bool = False
    scaling_out: bool = False
    scheduled: bool = False


class Target(Record, frozen=True, omit_defaults=True):
    """A scalable target. Its bounds are enforced once after they were set (`bounds_set`), not all the time: units
    that somebody sets outside of them stay until the next reason to scale (ack-api-quirks, DDB-TABLE-315)."""

    kind: ClassVar[str] = "target"

    id: str
    least: int
    most: int
    created: float
    suspended: Suspended = Suspended()
    tags: dict[str, str] = {}
    bounds_set: bool = False
    """Whether the bounds still have to be enforced."""
    scaled_out: float = 0.0
    """When units were last raised by a policy."""
    scaled_in: float = 0.0
    under_way: str = ""
    """The suffix of an activity that is in progress."""

    @property
    def arn(self) -> str:
        place = self.place
        return f"arn:aws:application-autoscaling:{place.region}:{place.account}:scalable-target/{self.id}"


class Policy(Record, frozen=True, omit_defaults=True):
    """A target-tracking policy. `goal` is the target utilization in percent; what was not given is None."""

    kind: ClassVar[str] = "policy"

    name: str
    id: str
    goal: float
    metric: str
    created: float
    changed: float
    alarms: tuple[str, ...]
    """Names: AlarmHigh, AlarmLow, ProvisionedCapacityHigh, ProvisionedCapacityLow."""
    out_cooldown: int | None = None
    in_cooldown: int | None = None
    disable_scale_in: bool | None = None
    alarmed: int = 0
    """The units that the thresholds of the alarms are for."""

    @property
    def suffix(self) -> str:
        return f"\0{self.name}"

    @property
    def arn(self) -> str:
        place = self.place
        return (
            f"arn:aws:autoscaling:{place.region}:{place.account}:scalingPolicy:{self.id}:resource/dynamodb/"
            f"{place.resource}:policyName/{self.name}"
        )


class ScheduledAction(Record, frozen=True, omit_defaults=True):
    """Sets bounds of its target at times. `next_at` is when it is due; None: never again."""

    kind: ClassVar[str] = "action"

    name: str
    id: str
    schedule: str
    created: float
    least: int | None = None
    most: int | None = None
    timezone: str | None = None
    starts: float | None = None
    ends: float | None = None
    next_at: float | None = None

    @property
    def suffix(self) -> str:
        return f"\0{self.name}"

    @property
    def arn(self) -> str:
        place = self.place
        return (
            f"arn:aws:autoscaling:{place.region}:{place.account}:scheduledAction:{self.id}:resource/dynamodb/"
            f"{place.resource}:scheduledActionName/{self.name}"
        )


class Activity(Record, frozen=True, omit_defaults=True):
    kind: ClassVar[str] = "activity"

    id: str
    description: str
    cause: str
    started: float
    status: Status
    message: str
    ended: float | None = None

    @property
    def suffix(self) -> str:
        return f"\0{_FOREVER - round(self.started * 1_000_000):020}{self.id}"


R = TypeVar("R", bound=Record)


def save(tx: WriteTransaction, record: Record) -> None:
    """Adds the record, or replaces the one of its place and name."""
    save_record(tx, _key(type(record), record.place.key, record.suffix), msgspec.json.encode(record))


def delete(tx: WriteTransaction, record: Record) -> None:
    delete_record(tx, _key(type(record), record.place.key, record.suffix))


def find(tx: ReadTransaction, kind: type[R], place: Place, suffix: str = "") -> R | None:
    stored = tx.get(RECORDS_SPACE, _key(kind, place.key, suffix))
    return None if stored is None else msgspec.json.decode(stored.body, type=kind)


def of_place(tx: ReadTransaction, kind: type[R], place: Place) -> Iterator[R]:
    """The records of a target, by name; activities newest first."""
    return _records(tx, kind, f"{place.key}\0", f"{place.key}\1")


def of_account(tx: ReadTransaction, kind: type[R], account: str, region: str) -> Iterator[R]:
    """All records of an account in a region, by resource, dimension and name."""
    return _records(tx, kind, f"{account}/{region}/", f"{account}/{region}0")


def every(tx: ReadTransaction, kind: type[R]) -> Iterator[R]:
    """All records of a kind."""
    return _records(tx, kind, "", "\x7f")


def note(tx: WriteTransaction, activity: Activity) -> Activity:
    """Adds an activity as the newest of its target, and removes those that are too old or too many."""
    before = list(of_place(tx, Activity, activity.place))
    if before:
        activity = replace(activity, started=max(activity.started, before[0].started + _LATER))
    save(tx, activity)
    for number, each in enumerate(before, 1):
        if number >= MOST_ACTIVITIES or activity.started - each.started > ACTIVITY_SECONDS:
            delete(tx, each)
    return activity


def _records(tx: ReadTransaction, kind: type[R], first: str, end: str) -> Iterator[R]:
    for _, _, body in records_in(tx, _key(kind, first, ""), _key(kind, end, "")):
        yield msgspec.json.decode(body, type=kind)


def _key(kind: type[Record], place: str, suffix: str) -> bytes:
    return f"{PREFIX}/{kind.kind}/{place}{suffix}".encode()
