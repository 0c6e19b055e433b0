"""Delivers the notifications of alarms, at least once each.

A notification waits in the store until its target has taken it, so a server that is killed sends it after its
next start, perhaps again. Each action has a queue, and each target a thread, of its own: one that fails is tried
again after a pause that doubles from a second to five minutes, and keeps no other waiting. What could not be
delivered within a day, or has no target, is given up. What became of each is in the history of its alarm; in the
log, targets are named without passwords and paths.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from blotter.database.alarms.changes import record_action
from blotter.database.alarms.records import Notification, notifications, remove_notification
from blotter.database.background.attempts import Attempts
from blotter.database.background.steady_clock import boot_time
from blotter.database.notifications.targets import Target, Targets
from blotter.database.storage.protocol import Storage, WriteTransaction
from blotter.database.work_thread import WorkThread

KEPT_SECONDS: Final = 86_400.0
_AT_ONCE: Final = 100
"""Notifications of one action that are looked at in one round."""
_NOWHERE: Final = "arn:aws:autoscaling:"
"""Actions that the auto scaler does by itself, without being told."""

log = logging.getLogger(__name__)

Send = Callable[[Target, Notification], None]


class Notifier:
    """`send` delivers a message to a target, on a thread, or raises."""

    def __init__(
        self,
        storage: Storage,
        targets: Targets,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = boot_time,
        send: Send | None = None,
    ) -> None:
        self._storage = storage
        self._targets = targets
        self._clock = clock
        self._attempts = Attempts(monotonic)
        self._send = send
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._threads: dict[Target, WorkThread] = {}
        self._reported: set[str] = set()

    async def run_once(self) -> None:
        """Starts the delivery of what waits; deliveries that are under way go on by themselves."""
        self._deliveries = {action: task for action, task in self._deliveries.items() if not task.done()}
        queues: dict[str, list[tuple[bytes, Notification]]] = {}
        busy = set(self._deliveries)
        for key, notification in await self._storage.fetch(lambda tx: notifications(tx, _AT_ONCE)):
            action = notification.action
            if self._targets.find(action) is None:
                await self._end(key, notification, self._unmapped(notification))
            elif action not in busy and self._attempts.may_run(action):
                queues.setdefault(action, []).append((key, notification))
        for action, queue in queues.items():
            target = self._targets.find(action)
            if target is not None:
                self._deliveries[action] = asyncio.create_task(self._deliver(target, action, queue))

    async def drain(self) -> None:
        """Waits for the deliveries that are under way."""
        await asyncio.gather(*self._deliveries.values(), return_exceptions=True)

    def stop(self) -> None:
        """Ends what is under way; it is delivered after the next start."""
        for delivery in self._deliveries.values():
            delivery.cancel()

    async def _deliver(self, target: Target, action: str, queue: list[tuple[bytes, Notification]]) -> None:
        """Delivers one after another, up to the first that fails. What was delivered but cannot be removed, as the
        disk is full, failed too: it is repeated as seldom as others."""
        name = f"notifications of {action} to {target.shown}"
        for key, notification in queue:
            if not await self._attempts.run(action, name, lambda: self._try(target, key, notification)):  # noqa: B023
                await self._attempts.run((action, "late"), f"giving up {name}", lambda: self._give_up(queue))
                return

    async def _give_up(self, queue: list[tuple[bytes, Notification]]) -> None:
        """Ends what waits for a target that fails for longer than is promised."""
        for key, notification in queue:
            if self._clock() - notification.at >= KEPT_SECONDS:
                await self._end(key, notification, "the target did not take it within a day")

    async def _try(self, target: Target, key: bytes, notification: Notification) -> None:
        if self._send is None:
            from blotter.database.notifications import sending

            self._send = sending.send
        if target not in self._threads:
            self._threads[target] = WorkThread("notifications")
        send = self._send
        await self._threads[target].call(lambda: send(target, notification))
        await self._end(key, notification, "")

    def _unmapped(self, notification: Notification) -> str | None:
        """Why a notification goes nowhere; None for what is not meant to be sent."""
        action = notification.action
        if action.startswith(_NOWHERE):
            return None
        if action not in self._reported:
            self._reported.add(action)
            log.warning("alarm %s: --notify has no target for %s", notification.alarm, action)
        return "--notify has no target for it"

    async def _end(self, key: bytes, notification: Notification, problem: str | None) -> None:
        """Removes a notification; with None, without an entry in the history."""
        now = self._clock()
        await self._storage.write(lambda tx: _ended(tx, key, notification, problem, now))


def _ended(tx: WriteTransaction, key: bytes, notification: Notification, problem: str | None, now: float) -> None:
    if remove_notification(tx, key) and problem is not None:
        name, action, state = notification.alarm, notification.action, notification.state
        record_action(tx, notification.account, notification.region, name, action, state, now, problem)
