"""One request that starts something, made once whatever answers are lost, and the wait until that has ended.

CreateBackup and the restores take no client token. Before such a request is repeated, `found` looks whether the
one before it was carried out although its answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from blotter.tables.applying.apply import Step
from blotter.tables.applying.progress import News
from blotter.tables.calls.wait import Backoff
from blotter.tables.errors import Exit, Retry, SetupError

Answer = dict[str, Any]
Looked = TypeVar("Looked")

POLL_CEILING_S = 20.0
"""Backups and exports on AWS take minutes; describing them often is throttled."""


def start_once(
    step: Step, name: str, request: Callable[[], Answer], found: Callable[[], Answer | None] | None = None
) -> Answer:
    """The answer to `request`, which is tried again through throttling and short failures. Raises SetupError."""
    failed = False
    while True:
        try:
            if failed and found is not None and (before := found()) is not None:
                return before
            answer = request()
        except SetupError as error:
            wait = step.retry_in(name, error)
            failed = failed or error.retry is Retry.BRIEFLY  # what is throttled was not carried out
        else:
            step.succeeded()
            return answer
        step.check_deadline(name, "not accepted")
        step.clock.sleep(wait)


def wait_until(
    step: Step,
    name: str,
    look: Callable[[], Looked],
    state: Callable[[Looked], str],
    done: Callable[[Looked], bool],
) -> Looked:
    """What `look` finds once it is `done`; `state` is shown meanwhile. Raises SetupError."""
    poll = Backoff(step.clock, last=POLL_CEILING_S)
    shown = "not looked at"
    while True:
        try:
            looked = look()
        except SetupError as error:
            wait = step.retry_in(name, error)
        else:
            step.succeeded()
            if done(looked):
                step.notify(News(name, state(looked), over=True))
                return looked
            shown = state(looked)
            step.notify(News(name, shown))
            wait = poll.next()
        step.check_deadline(name, f"still {shown}")
        step.clock.sleep(wait)


def refused(message: str) -> SetupError:
    """What the endpoint accepted did not end well."""
    return SetupError(message, Exit.REFUSED)
