"""Creating, finding and deleting backups.

CreateBackup takes no client token, and names need not be unique. So the default name is one that nothing else has:
when an answer is lost, a backup of that name that has appeared is the one that was made.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from blotter.backups.facts import backup_facts
from blotter.backups.waiting import start_once, wait_until
from blotter.tables.applying.apply import Step
from blotter.tables.calls.answers import table_name
from blotter.tables.calls.endpoint import Caller

Answer = dict[str, Any]

_LONGEST_NAME = 255


def create(step: Step, table: str, name: str | None) -> Answer:
    """The BackupDetails of a new backup. Raises SetupError."""
    given = name or default_name(table_name(table), datetime.now(UTC))
    known = set() if name is None else {found["arn"] for found in _named(step.endpoint, table, given)}

    def request() -> Answer:
        answer = step.endpoint.call("CreateBackup", TableName=table, BackupName=given)
        details: Answer = answer["BackupDetails"]
        return details

    def found() -> Answer | None:
        for facts in _named(step.endpoint, table, given):
            if facts["arn"] not in known:
                answer = step.endpoint.call("DescribeBackup", BackupArn=facts["arn"])
                details: Answer = answer["BackupDescription"]["BackupDetails"]
                return details
        return None

    return start_once(step, table_name(table), request, found)


def default_name(table: str, now: datetime) -> str:
    """ "results-20261128-093000-4f3a91"."""
    end = f"-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return table[: _LONGEST_NAME - len(end)] + end


def wait_until_available(step: Step, arn: str) -> dict[str, Any]:
    """The backup once it is no longer CREATING."""
    return wait_until(
        step,
        table_name(arn),
        lambda: describe(step.endpoint, arn),
        lambda facts: str(facts["status"]),
        lambda facts: facts["status"] != "CREATING",
    )


def describe(endpoint: Caller, arn: str) -> dict[str, Any]:
    return _facts_of(endpoint.call("DescribeBackup", BackupArn=arn)["BackupDescription"])


def delete(step: Step, facts: dict[str, Any]) -> dict[str, Any]:
    """The backup as it was deleted. One that is gone after a lost answer is deleted."""
    arn = facts["arn"]

    def request() -> Answer:
        answer = step.endpoint.call("DeleteBackup", BackupArn=arn)
        return _facts_of(answer["BackupDescription"])

    def found() -> Answer | None:
        known = find_all(step.endpoint, facts["table"], "ALL", None, None)
        return None if any(other["arn"] == arn for other in known) else facts | {"status": "DELETED"}

    return start_once(step, str(facts["table"]), request, found)


def find_all(
    endpoint: Caller, table: str | None, kind: str, since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """All backups of a table, or of all tables, in the endpoint's order."""
    parameters: Answer = {"BackupType": kind}
    if table is not None:
        parameters["TableName"] = table
    if since is not None:
        parameters["TimeRangeLowerBound"] = since
    if until is not None:
        parameters["TimeRangeUpperBound"] = until
    found: list[dict[str, Any]] = []
    while True:
        answer = endpoint.call("ListBackups", **parameters)
        found += [backup_facts(summary) for summary in answer.get("BackupSummaries", [])]
        last = answer.get("LastEvaluatedBackupArn")
        if not last:
            return found
        parameters["ExclusiveStartBackupArn"] = last


def _named(endpoint: Caller, table: str, name: str) -> list[dict[str, Any]]:
    return [facts for facts in find_all(endpoint, table, "USER", None, None) if facts["name"] == name]


def _facts_of(description: Answer) -> dict[str, Any]:
    return backup_facts(description["BackupDetails"], description.get("SourceTableDetails") or {})
