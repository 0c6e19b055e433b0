"""What acts on targets, policies and scheduled actions: one round looks at all of them, in the background process.

    scheduled action due → bounds set → units within the bounds → policies, once in a minute → UpdateTable

Each target is worked on in one transaction, which looks first whether the work is still wanted; so a round may end
anywhere and another goes on. A table that is just being changed is left for the next round. Activities have the
words that AWS's have (ack-api-quirks, DDB-TABLE-314, -315; the AWS CLI's examples of describe-scaling-activities).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.context import Context
from blotter.database.services.autoscaling.alarms import put_alarms
from blotter.database.services.autoscaling.decisions import MINUTES, bounded, decide
from blotter.database.services.autoscaling.records import (
    Activity,
    Place,
    Policy,
    ScheduledAction,
    Status,
    Target,
    every,
    find,
    note,
    of_place,
    save,
)
from blotter.database.services.autoscaling.resources import Scaled, look_up, set_capacity
from blotter.database.services.autoscaling.scheduled_actions import due_after
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

Consumed = Callable[[Place, Scaled, float, float], dict[int, float]]
"""The units that were consumed in each minute between two times, by the second at which the minute begins."""
Metrics = Callable[[ReadTransaction], Consumed]
"""Reads what was consumed, as it is now."""

SETTLED_SECONDS: Final = 2.0
"""How long after its end a minute is looked at: requests under way may still count in it."""
RETRY_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_MINUTE: Final = 60
_REPEATED_SECONDS: Final = 3600.0
"""A failure that repeats itself is noted once in this time."""


class Scaler:
    """`clock` gives seconds since the epoch; without `metrics` policies do nothing; `table_delay` is how long
    tables stay UPDATING. Only minutes since the scaler was made count: while no server ran, nothing was consumed,
    and that is no reason to take units away."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float],
        metrics: Metrics | None,
        table_delay: float = 0.0,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._metrics = metrics
        self._table_delay = table_delay
        self._since = clock()
        self._evaluated: dict[Place, int] = {}
        """The minute up to which the policies of a target have been looked at."""
        self._wanted_at: float | None = None

    async def run_once(self) -> None:
        now = self._clock()
        actions = await self._storage.fetch(lambda tx: list(every(tx, ScheduledAction)))
        for action in actions:
            if action.next_at is not None and action.next_at <= now:
                await self._storage.write(partial(run, place=action.place, suffix=action.suffix, now=now))
        minute = int((now - SETTLED_SECONDS) // _MINUTE) * _MINUTE
        targets = await self._storage.fetch(lambda tx: list(every(tx, Target)))
        due = [target.place for target in targets if self._evaluated.get(target.place, 0) < minute]
        wanting = await self._storage.fetch(lambda tx: self._wanting(tx, due, minute, now))
        places = {target.place for target in targets}
        self._evaluated = {place: at for place, at in self._evaluated.items() if place in places}
        again = False
        for target in targets:
            place, retry = target.place, False
            if target.bounds_set or target.under_way or place in wanting:
                context = Context(place.account, place.region, now, self._table_delay)
                retry = await self._storage.write(partial(self._act, place=place, minute=minute, context=context))
            if not retry:
                self._evaluated[place] = minute
            again = again or retry
        self._wanted_at = now + RETRY_SECONDS if again else await self._storage.fetch(lambda tx: _next(tx, now))

    def pause(self) -> float:
        """Seconds until the next round is due, unless something is changed before."""
        if self._wanted_at is None:
            return LONGEST_PAUSE
        return min(max(self._wanted_at - self._clock(), 0.0), LONGEST_PAUSE)

    def _wanting(self, tx: ReadTransaction, places: Sequence[Place], minute: int, now: float) -> set[Place]:
        """Those of the targets whose policies want other units, or have alarms for other ones."""
        consumed = None if self._metrics is None or not places else self._metrics(tx)
        wanting = set()
        for place in places:
            decided = consumed is not None and self._decision(tx, consumed, place, minute, now) is not None
            if decided or _outdated(tx, place, look_up(tx, place, now)):
                wanting.add(place)
        return wanting

    def _decision(
        self, tx: ReadTransaction, consumed: Consumed, place: Place, minute: int, now: float
    ) -> _Wanted | None:
        """What the policies of a target want of it."""
        target, scaled = find(tx, Target, place), look_up(tx, place, now)
        capacity = scaled.capacity
        if target is None or capacity is None:
            return None
        for policy in of_place(tx, Policy, place):
            since = -(-int(max(policy.created, self._since)) // _MINUTE) * _MINUTE
            start = max(minute - MINUTES * _MINUTE, since)
            counted = consumed(place, scaled, start, minute)
            minutes = [counted.get(begin, 0.0) for begin in range(start, minute, _MINUTE)]
            decision = decide(target, policy, capacity, minutes, now)
            if decision is not None:
                cause = f"monitor alarm {decision.alarm} in state ALARM triggered policy {policy.name}"
                return _Wanted(decision.capacity, cause)
        return None

    def _act(self, tx: WriteTransaction, place: Place, minute: int, context: Context) -> bool:
        """Works on one target. Returns whether it wants another try soon."""
        target, now = find(tx, Target, place), context.now
        if target is None:
            return False
        scaled = look_up(tx, place, now)
        capacity = scaled.capacity
        if target.under_way:
            target = _completed(tx, target, scaled, now)
        if capacity is None:
            save(tx, replace(target, bounds_set=False))
            return False
        for policy in _outdated(tx, place, scaled):
            put_alarms(tx, policy, scaled, now)
        if not scaled.settled:
            save(tx, target)
            return target.bounds_set or bool(target.under_way)
        wanted: _Wanted | None = None
        if target.bounds_set:
            within = bounded(target, capacity)
            target = replace(target, bounds_set=False)
            if within is not None:
                which = "minimum" if within > capacity else "maximum"
                wanted = _Wanted(within, f"{which} capacity was set to {within}")
        by_policy = wanted is None
        if by_policy and self._metrics is not None and self._evaluated.get(place, 0) < minute:
            wanted = self._decision(tx, self._metrics(tx), place, minute, now)
        if wanted is None:
            save(tx, target)
            return False
        try:
            set_capacity(tx, scaled, wanted.capacity, context)
        except DynamoDBError as error:
            if error.code == "ResourceInUseException":
                return not by_policy
            self._note_failure(tx, target, scaled, wanted, error, now)
            save(tx, target)
            return False
        if by_policy:
            raised = wanted.capacity > capacity
            target = replace(target, scaled_out=now) if raised else replace(target, scaled_in=now)
        activity = note(tx, self._started(place, scaled, wanted, now))
        save(tx, replace(target, under_way="" if activity.ended is not None else activity.suffix))
        return False

    def _started(self, place: Place, scaled: Scaled, wanted: _Wanted, now: float) -> Activity:
        done = self._table_delay <= 0
        status: Status = "Successful" if done else "InProgress"
        return _activity(
            place,
            f"Setting {scaled.side} capacity units to {wanted.capacity}.",
            wanted.cause,
            now,
            status,
            f"Successfully set {scaled.side} capacity units to {wanted.capacity}. "
            + (_FULFILLED if done else _WAITING),
            now if done else None,
        )

    def _note_failure(
        self,
        tx: WriteTransaction,
        target: Target,
        scaled: Scaled,
        wanted: _Wanted,
        error: DynamoDBError,
        now: float,
    ) -> None:
        message = (
            f"Failed to set {scaled.side} capacity units to {wanted.capacity}. Reason: {error.message} (Service: "
            f"AmazonDynamoDBv2; Status Code: {error.status}; Error Code: {error.code})"
        )
        latest = next(of_place(tx, Activity, target.place), None)
        if latest is not None and latest.message == message and now - latest.started < _REPEATED_SECONDS:
            return
        description = f"Setting {scaled.side} capacity units to {wanted.capacity}."
        note(tx, _activity(target.place, description, wanted.cause, now, "Failed", message, now))


class _Wanted:
    __slots__ = ("capacity", "cause")

    def __init__(self, capacity: int, cause: str) -> None:
        self.capacity = capacity
        self.cause = cause


_WAITING: Final = "Waiting for change to be fulfilled by dynamodb."
_FULFILLED: Final = "Change successfully fulfilled by dynamodb."


def run(tx: WriteTransaction, place: Place, suffix: str, now: float) -> None:
    """Runs a scheduled action, if it is still due: sets the bounds of its target, which are enforced then."""
    action, target = find(tx, ScheduledAction, place, suffix), find(tx, Target, place)
    if action is None or action.next_at is None or action.next_at > now:
        return
    save(tx, replace(action, next_at=due_after(action, now)))
    if target is None or target.suspended.scheduled:
        return
    least = target.least if action.least is None else action.least
    most = target.most if action.most is None else action.most
    what = " and ".join(
        f"{name} capacity to {bound}"
        for name, bound in (("min", action.least), ("max", action.most))
        if bound is not None
    )
    cause = f"scheduled action name {action.name} was triggered"
    if least > most:
        reason = "Maximum capacity cannot be less than minimum capacity"
        failed = f"Failed to set {what}. Reason: {reason}"
        note(tx, _activity(place, f"Setting {what}", cause, now, "Failed", failed, now))
        return
    save(tx, replace(target, least=least, most=most, bounds_set=True))
    note(tx, _activity(place, f"Setting {what}", cause, now, "Successful", f"Successfully set {what}", None))


def _outdated(tx: ReadTransaction, place: Place, scaled: Scaled) -> list[Policy]:
    """The policies whose alarms are for other units than there are."""
    if scaled.capacity is None:
        return []
    return [policy for policy in of_place(tx, Policy, place) if policy.alarmed != scaled.capacity]


def _completed(tx: WriteTransaction, target: Target, scaled: Scaled, now: float) -> Target:
    """The target without its activity in progress, once its table is settled, or gone."""
    if not scaled.settled and scaled.table is not None:
        return target
    activity = find(tx, Activity, target.place, target.under_way)
    if activity is not None:
        message = activity.message.replace(_WAITING, _FULFILLED)
        save(tx, replace(activity, status="Successful", message=message, ended=now))
    return replace(target, under_way="")


def _activity(
    place: Place, description: str, cause: str, now: float, status: Status, message: str, ended: float | None
) -> Activity:
    return Activity(place, str(uuid.uuid4()), description, cause, now, status, message, ended)


def _next(tx: ReadTransaction, now: float) -> float | None:
    """When the next round is due."""
    due = [action.next_at for action in every(tx, ScheduledAction) if action.next_at is not None]
    if any(True for _ in every(tx, Policy)):
        due.append((now // _MINUTE + 1) * _MINUTE + SETTLED_SECONDS)
    if any(target.under_way for target in every(tx, Target)):
        due.append(now + RETRY_SECONDS)
    return min(due, default=None)
