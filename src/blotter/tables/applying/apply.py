"""Bringing a table to its declared state: describe, make one change, describe again, until nothing differs.

There is no memory between steps and none between runs: every step starts from the endpoint's present state. So a
run that was killed after any request is finished by the next one, several runs at once do not harm each other
(each sees the others' work as part of the table's state), and a request whose answer was lost, or that was refused
because another run had just done the same, counts by its effect. The last describe, which finds nothing to change,
is the verification.

How it waits: a table's work is a generator that yields how many seconds to wait; `together` runs several at once
in one thread. How long is chosen by `Backoff` (`calls/wait.py`): for a table in `Applying.work`, after a failure
in `Step`; which failures are retried: `calls/failures.py`. The deadline is `--timeout` (`options.py`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Generator, Mapping
from typing import TypeVar

import msgspec

from blotter.tables.applying.progress import News, Reporter
from blotter.tables.calls.endpoint import Caller
from blotter.tables.calls.wait import Backoff, Clock, Deadline
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.tables.planning.changes import Change, Request
from blotter.tables.planning.observed import Observed, describe
from blotter.tables.planning.plan import creation, key_change, make_plan, read_settings

BRIEF_TRIES = 5  # failures in a row of the kind that is retried briefly
SETTLE_S = 20.0  # how long an accepted request may take to show in what is described
MOST_REPEATS = 3  # of one accepted request without effect
MOST_REFUSALS = 3  # of one request that still seems to be needed

Result = TypeVar("Result")
Work = Generator[float, None, Result]

# A failure of these kinds concerns every table: the others need not be tried.
_COMMON = (Exit.CREDENTIALS, Exit.UNREACHABLE)


class Outcome(msgspec.Struct, frozen=True):
    """A table that is as declared. `changed` names what this run did, in order; "table" means it was created."""

    label: str
    observed: Observed
    changed: list[str]
    seconds: float


class Step:
    """What every step of a run shares: the endpoint, the clock, and how failures of the endpoint are retried."""

    def __init__(self, endpoint: Caller, notify: Reporter, clock: Clock, deadline: Deadline) -> None:
        self.endpoint, self.notify, self.clock, self.deadline = endpoint, notify, clock, deadline
        self._retries = Backoff(clock, first=0.2, last=20.0)
        self._last_failure = ""

    def retry_in(self, name: str, error: SetupError) -> float:
        """How many seconds to wait before trying again. Raises the error itself when that is not worth it."""
        brief = error.retry is Retry.BRIEFLY and self._retries.tries + 1 < BRIEF_TRIES
        if not brief and error.retry is not Retry.UNTIL_DEADLINE:
            raise error
        self._last_failure = str(error)
        if self.deadline.left() > 0:
            self.notify(News(name, f"trying again after: {error}"))
        return self._retries.next()

    def succeeded(self) -> None:
        """A step went through: the next failure counts as a first one."""
        self._retries.reset()
        self._last_failure = ""

    def check_deadline(self, name: str, doing: str) -> None:
        """Raises SetupError once the deadline has passed."""
        if self.deadline.left() <= 0:
            failure = f" ({self._last_failure})" if self._last_failure else ""
            raise SetupError(
                f"{name}: {doing} after {self.deadline.seconds:g} s{failure}; run again to continue, with a longer"
                " --timeout if needed",
                Exit.TIMED_OUT,
            )


class Applying:
    """The work that brings one table to its declaration."""

    def __init__(
        self,
        label: str,
        name: str,
        declared: TableDeclaration,
        step: Step,
        *,
        may_delete: bool = False,
        account: str | None = None,
    ) -> None:
        self._label, self._name, self._declared = label, name, declared
        self._shared, self._may_delete, self._account = step, may_delete, account
        self._changed: list[str] = []
        self._sent: dict[str, tuple[int, float]] = {}
        self._refused: dict[str, tuple[int, SetupError]] = {}
        self._doing = "not yet looked at"

    def work(self) -> Work[Outcome]:
        """Yields seconds to wait; returns the verified outcome. Raises SetupError."""
        poll = Backoff(self._shared.clock)
        while True:
            before = self._doing
            try:
                observed = self._step()
            except SetupError as error:
                wait = self._shared.retry_in(self._name, error)
            else:
                self._shared.succeeded()
                if observed is not None:
                    self._say("as declared", over=True)
                    return Outcome(self._label, observed, self._changed, self._shared.deadline.elapsed())
                if self._doing != before:
                    poll.reset()
                wait = poll.next()
            self._shared.check_deadline(self._name, self._doing)
            yield wait

    def _step(self) -> Observed | None:
        """One look and at most one request. The table as verified, or None when there is more to do."""
        if self._doing == "not yet looked at":
            self._say("looking for it")
        observed = describe(self._shared.endpoint, self._name)
        if observed is None:
            self._send("table", creation(self._name, self._declared), "creating it")
            return None
        if observed.status == "DELETING":
            self._say("being deleted, waiting until it is gone", observed)
            return None
        self._refuse(observed)
        if observed.busy():
            self._say("waiting until it is ACTIVE", observed)
            return None
        observed = read_settings(self._shared.endpoint, observed, self._declared)
        plan = make_plan(self._label, self._name, self._declared, observed, may_delete=self._may_delete)
        if plan.refusals:
            raise refusal(self._name, plan.refusals)
        if not plan.changes:
            return observed
        first = plan.changes[0]
        for request in first.requests:
            if not self._send(first.what, request, f"changing {first.what}"):
                break
        return None

    def _send(self, what: str, request: Request, doing: str) -> bool:
        """Send once, and return whether it was accepted. If its effect does not show, look again for a while
        before repeating it.

        A refusal is not the end yet: another run may have done the same a moment ago, and then DynamoDB refuses
        because it is done already. So the table is described once more. If the same request would still have to be
        sent, it is: a third run, late, may have undone it meanwhile (a stream is disabled before it is enabled
        with another view). Only MOST_REFUSALS in all are the end. A refusal that is not about the table's state,
        but about a limit or a permission, ends the run at the second look.
        """
        identity, now = request.identity(), self._shared.clock.now()
        refusals, refused = self._refused.get(identity) or (0, None)
        if refused is not None and refused.code != "ValidationException":
            raise refused
        times, last = self._sent.get(identity, (0, 0.0))
        self._say(doing)
        if times and now - last < SETTLE_S:
            return True
        if times >= MOST_REPEATS:
            raise SetupError(
                f"{self._name}: {request.operation} was accepted {times} times, but {what} does not change",
                Exit.REFUSED,
            )
        try:
            self._shared.endpoint.call(request.operation, service=request.service, **request.parameters)
        except SetupError as error:
            if error.exit_code is not Exit.REFUSED or error.retry is not Retry.NEVER:
                raise
            self._refused[identity] = (refusals + 1, error)
            if refusals + 1 == MOST_REFUSALS:
                raise
            self._say(f"looking again, because {error}")
            return False
        self._sent[identity] = (times + 1, now)
        if what not in self._changed:
            self._changed.append(what)
        return True

    def _refuse(self, observed: Observed) -> None:
        """Stop at what neither waiting nor a request changes."""
        if why := observed.unusable():
            raise SetupError(why, Exit.UNUSABLE)
        check_account(self._name, observed, self._account)
        if different := key_change(self._declared, observed):
            raise refusal(self._name, different)

    def _say(self, text: str, observed: Observed | None = None, *, over: bool = False) -> None:
        self._doing = text
        self._shared.notify(News(self._name, text, observed.busy() if observed else {}, over))


def refusal(name: str, changes: list[Change]) -> SetupError:
    """The error for changes that will not be made, both sides shown."""
    reasons = "; ".join(f"{_sides(change)}: {change.refused}" for change in changes)
    return SetupError(f"{name} {reasons}; nothing was changed", Exit.REPLACEMENT)


def _sides(change: Change) -> str:
    before, after = ("nothing" if side is None else shown(side) for side in (change.before, change.after))
    return f"has {change.what} {before}, declared is {after}"


def shown(value: object) -> str:
    """A plain value on one line for a person."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def check_account(name: str, observed: Observed, account: str | None) -> None:
    """The described table must be the configured account's."""
    parts = observed.arn.split(":")
    if account and len(parts) > 4 and parts[4] != account:
        raise SetupError(
            f"{name} is in account {parts[4]}, but account {account} is configured; check AWS_PROFILE",
            Exit.CONFIGURATION,
        )


def together(
    works: Mapping[str, Work[Result]], clock: Clock, deadline: Deadline
) -> tuple[dict[str, Result], dict[str, SetupError]]:
    """Run all works side by side: results and errors by name. One table's failure does not stop the others."""
    order = itertools.count()
    due = [(clock.now(), next(order), name) for name in works]
    results: dict[str, Result] = {}
    errors: dict[str, SetupError] = {}
    while due:
        moment, _, name = heapq.heappop(due)
        if (wait := min(moment - clock.now(), max(deadline.left(), 0))) > 0:
            clock.sleep(wait)
        try:
            heapq.heappush(due, (clock.now() + next(works[name]), next(order), name))
        except StopIteration as stop:
            results[name] = stop.value
        except SetupError as error:
            errors[name] = error
            if error.exit_code in _COMMON:
                break
    return results, errors
