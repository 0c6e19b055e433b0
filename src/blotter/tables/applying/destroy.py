"""Deleting a table, and waiting for one: the two jobs that need no declaration.

`destroy` never turns deletion protection off by itself: it must first be declared off and applied.
"""

from __future__ import annotations

from blotter.tables.applying.apply import Step, Work, check_account
from blotter.tables.applying.progress import News
from blotter.tables.calls.wait import Backoff
from blotter.tables.errors import Exit, SetupError
from blotter.tables.planning.observed import Observed, describe


def destroy(name: str, step: Step, account: str | None = None) -> Work[bool]:
    """Delete the table and wait until it is gone; returns whether there was one. Raises SetupError."""
    poll = Backoff(step.clock)
    found: str | None = None
    doing = "looking for it"
    while True:
        try:
            observed = describe(step.endpoint, name)
            if observed is None:
                return found is not None
            identity = str(observed.table.get("TableId") or observed.table.get("CreationDateTime"))
            if found not in (None, identity):  # a new table of this name: not ours to delete
                return True
            found = identity
            doing = _delete(name, step, observed, account)
            step.succeeded()
            step.notify(News(name, doing))
            wait = poll.next()
        except SetupError as error:
            wait = step.retry_in(name, error)
        step.check_deadline(name, doing)
        yield wait


def _delete(name: str, step: Step, observed: Observed, account: str | None) -> str:
    check_account(name, observed, account)
    if observed.table.get("DeletionProtectionEnabled"):
        raise SetupError(
            f"{name} has deletion protection; declare deletion_protection = false and apply before destroying it",
            Exit.PROTECTED,
        )
    if observed.status == "DELETING":
        return "being deleted, waiting until it is gone"
    if observed.busy():
        return f"waiting until it can be deleted ({observed.status})"
    step.endpoint.call("DeleteTable", TableName=name)
    return "being deleted, waiting until it is gone"


def wait_until_ready(name: str, step: Step) -> Work[Observed]:
    """Wait until the table exists and it and its indexes are ACTIVE. Raises SetupError."""
    poll = Backoff(step.clock)
    while True:
        doing = "waiting until it exists"
        try:
            observed = describe(step.endpoint, name)
            step.succeeded()
            if observed is not None and observed.usable():
                return observed
            if observed is not None and (why := observed.unusable()):
                raise SetupError(why, Exit.UNUSABLE)
            doing = "waiting until it is ACTIVE" if observed else doing
            step.notify(News(name, doing, observed.busy() if observed else {}))
            wait = poll.next()
        except SetupError as error:
            wait = step.retry_in(name, error)
        step.check_deadline(name, doing)
        yield wait


def wait_until_gone(name: str, step: Step) -> Work[None]:
    """Wait until there is no such table. Raises SetupError."""
    poll = Backoff(step.clock)
    while True:
        try:
            observed = describe(step.endpoint, name)
            step.succeeded()
            if observed is None:
                return
            step.notify(News(name, "waiting until it is gone", observed.busy()))
            wait = poll.next()
        except SetupError as error:
            wait = step.retry_in(name, error)
        step.check_deadline(name, "still there")
        yield wait
