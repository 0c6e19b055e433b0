"""What the store keeps of alarms, as JSON under keys of RECORDS_SPACE.

    alarm/<account>/<region>/<name>                        an alarm
    alarm-history/<account>/<region>/<name>,<time><number>  what happened to it; kept when it is deleted
    alarm-action/<digest of the action><time><number>      a notification that has to be sent
    alarm-generation                                       raised by every change of an alarm's settings

Names of alarms have no control characters, so the first null byte ends one. Times are seconds since the epoch, in
keys microseconds as 8 bytes, big-endian, followed by a number of 4. Notifications of one action are together, so
that those that a target does not take are in the way of no others. The generation lets the background process see
with one read that it has to look at the alarms again.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from blotter.database.alarms.evaluation import State
from blotter.database.metric_math.queries import Dimension, MetricDataQuery
from blotter.database.storage.protocol import (
    ANY_SIZE,
    RECORDS_SPACE,
    ReadTransaction,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.records import delete_record, records_in, save_record

GENERATION_KEY: Final = b"alarm-generation"
ALARMS: Final = (b"alarm/", b"alarm0")
HISTORY: Final = (b"alarm-history/", b"alarm-history0")
ACTIONS: Final = (b"alarm-action/", b"alarm-action0")
_AT_ONCE = 256
_DIGEST: Final = 16
_ACTION_BYTES: Final = len(ACTIONS[0]) + _DIGEST
_MOMENT_BYTES: Final = 13

ItemType = Literal["ConfigurationUpdate", "StateUpdate", "Action"]


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The settings of an alarm, named as the members of PutMetricAlarm. A metric or `metrics`, never both."""

    evaluation_periods: int
    comparison_operator: str
    threshold: float
    alarm_description: str | None = None
    actions_enabled: bool = True
    ok_actions: tuple[str, ...] = msgspec.field(default=(), name="OKActions")
    alarm_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()
    metric_name: str | None = None
    namespace: str | None = None
    statistic: str | None = None
    extended_statistic: str | None = None
    dimensions: tuple[Dimension, ...] = ()
    period: int | None = None
    unit: str | None = None
    datapoints_to_alarm: int | None = None
    treat_missing_data: str | None = None
    evaluate_low_sample_count_percentile: str | None = None
    metrics: tuple[MetricDataQuery, ...] = ()

    def actions_for(self, state: State) -> tuple[str, ...]:
        """The ARNs of what is done when the alarm enters a state."""
        if state == "ALARM":
            return self.alarm_actions
        return self.ok_actions if state == "OK" else self.insufficient_data_actions


class Alarm(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alarm. `transitioned` is when its state became another, `updated_state` when that or its reason did."""

    account: str
    region: str
    name: str
    settings: Settings
    created: float
    configured: float
    state: State
    reason: str
    transitioned: float
    updated_state: float
    reason_data: str | None = None
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return alarm_arn(self.account, self.region, self.name)

    @property
    def key(self) -> bytes:
        return alarm_key(self.account, self.region, self.name)


class HistoryItem(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    at: float
    type: ItemType
    summary: str
    data: str


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message for one action of an alarm that entered a state. `subject` and `message` are what SNS would
    deliver."""

    account: str
    region: str
    alarm: str
    action: str
    state: State
    at: float
    subject: str
    message: str


def alarm_arn(account: str, region: str, name: str) -> str:
    return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"


def alarm_key(account: str, region: str, name: str) -> bytes:
    return b"".join((_prefix(account, region), name.encode()))


def find_alarm(tx: ReadTransaction, account: str, region: str, name: str) -> Alarm | None:
    stored = tx.get(RECORDS_SPACE, alarm_key(account, region, name))
    return None if stored is None else msgspec.json.decode(stored.body, type=Alarm)


def alarms_of(
    tx: ReadTransaction, account: str, region: str, prefix: str = "", after: str | None = None
) -> Iterator[Alarm]:
    """The alarms of a region whose names begin with a text, by name; only those after `after`."""
    start = alarm_key(account, region, prefix)
    end = _after_all(start)
    if after is not None:
        start = max(start, alarm_key(account, region, after) + b"\x00")
    yield from _alarms(tx, start, end)


def all_alarms(tx: ReadTransaction) -> Iterator[Alarm]:
    """Those of every account and region, for background work."""
    yield from _alarms(tx, *ALARMS)


def save_alarm(tx: WriteTransaction, alarm: Alarm) -> None:
    save_record(tx, alarm.key, msgspec.json.encode(alarm))


def delete_alarm(tx: WriteTransaction, alarm: Alarm) -> None:
    delete_record(tx, alarm.key)


def generation(tx: ReadTransaction) -> int:
    """A number that every change of an alarm's settings raises."""
    stored = tx.get(RECORDS_SPACE, GENERATION_KEY)
    return 0 if stored is None else int(stored.body)


def raise_generation(tx: WriteTransaction) -> None:
    _put(tx, GENERATION_KEY, str(generation(tx) + 1).encode())


# History


def add_history(tx: WriteTransaction, account: str, region: str, item: HistoryItem) -> None:
    start = b"".join((b"alarm-history/", f"{account}/{region}/{item.name}".encode(), b"\x00", _moment(item.at)))
    _save(tx, _free_key(tx, start), item)


def history_prefix(account: str, region: str, name: str | None) -> bytes:
    """What the keys of the history of one alarm, or of all of a region, begin with."""
    start = f"alarm-history/{account}/{region}/".encode()
    return start if name is None else b"".join((start, name.encode(), b"\x00"))


def moment_of(key: bytes) -> float:
    """The time of a history item or of a notification, by its key."""
    return int.from_bytes(key[-12:-4], "big") / 1e6


def read_history(body: bytes) -> HistoryItem:
    return msgspec.json.decode(body, type=HistoryItem)


def decode_alarm(body: bytes) -> Alarm:
    return msgspec.json.decode(body, type=Alarm)


# Notifications


def add_notification(tx: WriteTransaction, notification: Notification) -> None:
    digest = blake2b(notification.action.encode(), digest_size=_DIGEST).digest()
    _save(tx, _free_key(tx, b"".join((b"alarm-action/", digest, _moment(notification.at)))), notification)


def notifications(tx: ReadTransaction, limit: int) -> list[tuple[bytes, Notification]]:
    """Those that wait longest for each action, so many of each, with their keys."""
    found: list[tuple[bytes, Notification]] = []
    start, end = ACTIONS
    while rows := tx.items(RECORDS_SPACE, start, end, limit):
        first, last = (rows[place][0][:_ACTION_BYTES] for place in (0, -1))
        is_all = len(rows) < limit
        for key, _, body in rows:
            # The last action of a full page is read again from its beginning.
            if is_all or first == last or not key.startswith(last):
                found.append((key, msgspec.json.decode(body, type=Notification)))
        if is_all:
            break
        start = last if first != last else last + b"\xff" * _MOMENT_BYTES
    return found


def remove_notification(tx: WriteTransaction, key: bytes) -> bool:
    stored = tx.get(RECORDS_SPACE, key)
    if stored is not None:
        tx.delete(RECORDS_SPACE, stored)
    return stored is not None


# Keys


def _prefix(account: str, region: str) -> bytes:
    return f"alarm/{account}/{region}/".encode()


def _after_all(prefix: bytes) -> bytes:
    """The smallest key after all that begin with a prefix, whose last byte is no 0xff: keys are UTF-8."""
    return prefix + b"\xff"


def _moment(seconds: float) -> bytes:
    return int(seconds * 1e6).to_bytes(8, "big")


def _free_key(tx: ReadTransaction, start: bytes) -> bytes:
    """The first key after a moment that is not taken: several things may happen at one."""
    last = tx.items(RECORDS_SPACE, start, start + b"\xff\xff\xff\xff", 1, ANY_SIZE, reverse=True)
    number = int.from_bytes(last[0][0][-4:], "big") + 1 if last else 0
    return start + number.to_bytes(4, "big")


def _alarms(tx: ReadTransaction, start: bytes, end: bytes) -> Iterator[Alarm]:
    for _, _, body in records_in(tx, start, end, _AT_ONCE):
        yield decode_alarm(body)


def _save(tx: WriteTransaction, key: bytes, record: Any) -> None:
    _put(tx, key, msgspec.json.encode(record))


def _put(tx: WriteTransaction, key: bytes, body: bytes) -> None:
    tx.put(RECORDS_SPACE, StoredItem(key, 0, body), tx.get(RECORDS_SPACE, key))
