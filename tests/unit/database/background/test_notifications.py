"""Delivery of notifications: at least once, again after failures, and no target in the way of another."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from blotter.database.alarms.records import Notification
from blotter.database.background.notifications import KEPT_SECONDS, Notifier
from blotter.database.notifications.targets import DeliveryError, Target, parse_targets
from blotter.database.storage.protocol import StorageUnavailable
from tests.cloudwatch_in_process import NOON, CloudWatchInProcess

TARGETS = parse_targets("arn:*:good=http://good/SECRET arn:*:bad=http://bad/SECRET arn:*:more=http://more")
GOOD, BAD, MORE, UNKNOWN = (f"arn:aws:sns:us-east-1:123456789012:{name}" for name in ("good", "bad", "more", "x"))

Deliver = Callable[[Target, Notification], None]


class Delivery:
    """A notifier whose sending is `deliver`; `sent` is what arrived, as (target, state)."""

    def __init__(self, cloudwatch: CloudWatchInProcess, deliver: Deliver | None = None) -> None:
        self.cloudwatch = cloudwatch
        self.sent: list[tuple[str, str]] = []
        self.deliver = deliver or (lambda *_: None)
        self.passed = 0.0
        self.start()

    def start(self) -> None:
        """Starts anew, as after a crash."""
        self.notifier = Notifier(
            self.cloudwatch.storage, TARGETS, lambda: self.cloudwatch.now, lambda: self.passed, self._send
        )

    def _send(self, target: Target, notification: Notification) -> None:
        self.deliver(target, notification)
        self.sent.append((target.shown, notification.state))

    def round(self) -> None:
        self.run(self.notifier.run_once())
        self.run(self.notifier.drain())

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.cloudwatch.run(work)

    def actions(self) -> list[str]:
        return [text for text, _ in self.cloudwatch.history(HistoryItemType="Action")]


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatchInProcess]:
    cloudwatch = CloudWatchInProcess()
    yield cloudwatch
    cloudwatch.close()


def set_state(cloudwatch: CloudWatchInProcess, *states: str) -> None:
    for state in states:
        cloudwatch.call("SetAlarmState", AlarmName="busy", StateValue=state, StateReason="test")


def test_every_change_is_delivered_once_and_in_order(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm(AlarmActions=[GOOD, MORE], OKActions=[GOOD])
    delivery = Delivery(cloudwatch)
    set_state(cloudwatch, "ALARM", "OK")
    delivery.round()
    delivery.round()
    assert [state for target, state in delivery.sent if target == "http://good"] == ["ALARM", "OK"]
    assert delivery.sent.count(("http://more", "ALARM")) == 1
    assert len(delivery.sent) == 3
    assert sorted(delivery.actions()) == [f"Successfully executed action {each}" for each in (GOOD, GOOD, MORE)]


def test_a_target_that_fails_stops_no_other_and_is_tried_again(
    cloudwatch: CloudWatchInProcess, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0

    def deliver(target: Target, _: Notification) -> None:
        nonlocal attempts
        if target.shown == "http://bad":
            attempts += 1
            if attempts < 4:
                raise DeliveryError("status 503")

    cloudwatch.alarm(AlarmActions=[BAD, GOOD], OKActions=[BAD, GOOD])
    delivery = Delivery(cloudwatch, deliver)
    set_state(cloudwatch, "ALARM", "OK")
    delivery.round()
    assert delivery.sent == [("http://good", "ALARM"), ("http://good", "OK")]
    delivery.round()
    assert attempts == 1, "it waits before it tries again"
    for pause in (1, 2, 4):
        delivery.passed += pause
        delivery.round()
    assert delivery.sent[2:] == [("http://bad", "ALARM"), ("http://bad", "OK")]
    assert caplog.messages == [
        f"notifications of {BAD} to http://bad: failed, and will be tried again until it succeeds: "
        "DeliveryError: status 503",
        f"notifications of {BAD} to http://bad: succeeded after 3 failed attempts",
    ]
    assert "SECRET" not in caplog.text
    assert "Traceback" not in caplog.text


def test_what_a_target_takes_not_stops_no_other_action(cloudwatch: CloudWatchInProcess) -> None:
    """A topic that does not exist, beside others at the same SNS."""

    def deliver(_: Target, notification: Notification) -> None:
        if notification.action == BAD:
            raise DeliveryError("status 404")

    cloudwatch.alarm(AlarmActions=[BAD, f"{BAD[:-4]}:more:bad"])
    delivery = Delivery(cloudwatch, deliver)
    set_state(cloudwatch, "ALARM")
    delivery.round()
    assert delivery.sent == [("http://bad", "ALARM")]


def test_a_full_disk_does_not_make_a_flood(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was delivered cannot be removed: it is delivered again, but later and later."""

    async def full(*_: Any) -> None:
        raise StorageUnavailable("the disk is full")

    cloudwatch.alarm(AlarmActions=[GOOD])
    delivery = Delivery(cloudwatch)
    set_state(cloudwatch, "ALARM")
    monkeypatch.setattr(delivery.notifier, "_end", full)
    for _ in range(5):
        delivery.round()
    assert len(delivery.sent) == 1
    monkeypatch.undo()
    delivery.passed += 10
    for _ in range(3):
        delivery.round()
    assert len(delivery.sent) == 2
    assert delivery.actions() == [f"Successfully executed action {GOOD}"]


def test_many_that_wait_are_not_in_the_way_of_others(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blotter.database.background.notifications._AT_ONCE", 3)
    cloudwatch.alarm(AlarmActions=[BAD, GOOD], OKActions=[BAD, MORE], InsufficientDataActions=[BAD, UNKNOWN])

    def deliver(target: Target, _: Notification) -> None:
        if target.shown == "http://bad":
            raise DeliveryError("status 503")

    delivery = Delivery(cloudwatch, deliver)
    for number in range(4):
        cloudwatch.now = NOON + number
        set_state(cloudwatch, "ALARM", "OK", "INSUFFICIENT_DATA")
    for _ in range(3):
        delivery.round()
    assert [state for target, state in delivery.sent if target == "http://good"] == ["ALARM"] * 4
    assert [state for target, state in delivery.sent if target == "http://more"] == ["OK"] * 4
    assert delivery.actions().count(f"Failed to execute action {UNKNOWN}") == 4
    delivery.deliver = lambda *_: None
    delivery.passed += 10
    for _ in range(4):
        delivery.round()
    sent = [state for target, state in delivery.sent if target == "http://bad"]
    assert sent == ["ALARM", "OK", "INSUFFICIENT_DATA"] * 4


def test_a_target_that_hangs_stops_no_other(cloudwatch: CloudWatchInProcess) -> None:
    hanging = threading.Event()

    def deliver(target: Target, _: Notification) -> None:
        if target.shown == "http://bad":
            assert hanging.wait(60)

    cloudwatch.alarm(AlarmActions=[BAD, GOOD], OKActions=[BAD, GOOD])
    delivery = Delivery(cloudwatch, deliver)

    async def rounds() -> None:
        await delivery.notifier.run_once()
        while ("http://good", "ALARM") not in delivery.sent:
            await asyncio.sleep(0)
            await delivery.notifier.run_once()

    set_state(cloudwatch, "ALARM")
    delivery.run(rounds())
    assert delivery.sent == [("http://good", "ALARM")]
    hanging.set()
    delivery.round()
    assert sorted(delivery.sent) == [("http://bad", "ALARM"), ("http://good", "ALARM")]


def test_what_was_under_way_in_a_crash_is_delivered_again(cloudwatch: CloudWatchInProcess) -> None:
    hanging = threading.Event()
    cloudwatch.alarm(AlarmActions=[BAD])
    delivery = Delivery(cloudwatch, lambda *_: hanging.wait(60) and None)

    async def stopped() -> None:
        await delivery.notifier.run_once()
        await asyncio.sleep(0)
        delivery.notifier.stop()
        await delivery.notifier.drain()

    set_state(cloudwatch, "ALARM")
    delivery.run(stopped())
    hanging.set()
    assert delivery.actions() == []
    delivery.start()
    delivery.round()
    assert ("http://bad", "ALARM") in delivery.sent
    assert delivery.actions() == [f"Successfully executed action {BAD}"]


def test_what_cannot_be_delivered_within_a_day_is_given_up(cloudwatch: CloudWatchInProcess) -> None:
    def deliver(*_: Any) -> None:
        raise DeliveryError("status 404")

    cloudwatch.alarm(AlarmActions=[BAD])
    delivery = Delivery(cloudwatch, deliver)
    set_state(cloudwatch, "ALARM")
    delivery.round()
    assert delivery.actions() == []
    cloudwatch.now = NOON + KEPT_SECONDS
    delivery.passed += 400
    delivery.round()
    assert delivery.actions() == [f"Failed to execute action {BAD}"]
    ((_, data),) = cloudwatch.history(HistoryItemType="Action")
    assert data["error"] == "the target did not take it within a day"


def test_an_action_without_a_target_is_reported_once(
    cloudwatch: CloudWatchInProcess, caplog: pytest.LogCaptureFixture
) -> None:
    cloudwatch.alarm(AlarmActions=[UNKNOWN])
    delivery = Delivery(cloudwatch)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            set_state(cloudwatch, "ALARM", "OK")
            delivery.round()
    assert caplog.messages == [f"alarm busy: --notify has no target for {UNKNOWN}"]
    assert delivery.actions() == [f"Failed to execute action {UNKNOWN}"] * 2
    assert delivery.sent == []


def test_the_auto_scaler_is_told_nothing(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm(
        AlarmActions=["arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1:resource/dynamodb/x"]
    )
    delivery = Delivery(cloudwatch)
    set_state(cloudwatch, "ALARM")
    delivery.round()
    assert delivery.actions() == []
