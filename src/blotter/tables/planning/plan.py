"""From what is declared and what is there to what would have to change. Pure: reads nothing, sends nothing.

A table that does not exist is one creation and the settings CreateTable cannot take. For one that exists: the key
first (it can never change), then unwanted indexes away, then the billing mode, then new indexes, then throughput
and the other settings in the order of `ASPECTS`: whatever the present state is, the first request is valid in it.
`applying/apply.py` makes the first change, describes again and plans again, until a plan is empty; so a plan never
has to foresee what the endpoint makes of its own requests.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.tables.calls.endpoint import Caller
from blotter.tables.declaring.declaration import AWS_MANAGED, TableDeclaration
from blotter.tables.errors import NOT_OFFERED, SetupError
from blotter.tables.planning import desired
from blotter.tables.planning.aspects import ASPECTS, Aspect, Gap, differs, is_off
from blotter.tables.planning.changes import Change, Plan, Request
from blotter.tables.planning.indexes import (
    NEEDS_ON_DEMAND,
    index_additions,
    index_removals,
    index_throughput,
    local_changes,
    wanted_shape,
)
from blotter.tables.planning.observed import READERS, Observed, with_settings


def settings_to_read(declared: TableDeclaration) -> list[str]:
    """The declared settings that DescribeTable does not answer."""
    wanted = [aspect.key for aspect in ASPECTS if aspect.key in READERS and aspect.wanted(declared) is not None]
    # Whose key encrypts matters only when any key of AWS's would do; every other answer DescribeTable has.
    return [key for key in wanted if key != "encryption" or declared.encryption == AWS_MANAGED]


def read_settings(endpoint: Caller, observed: Observed, declared: TableDeclaration) -> Observed:
    """The table with every setting of `settings_to_read`. Raises SetupError.

    Where the endpoint has no KMS, AWS_MANAGED means whatever KMS key encrypts: nobody can say whose key it is.
    """
    for key in settings_to_read(declared):
        try:
            observed = with_settings(endpoint, observed, [key])
        except SetupError as error:
            if key != "encryption" or error.code != NOT_OFFERED:
                raise
            observed = Observed(observed.table, observed.settings | {key: AWS_MANAGED})
    return observed


def make_plan(
    label: str, name: str, declared: TableDeclaration, observed: Observed | None, *, may_delete: bool = False
) -> Plan:
    """All differences of the table `name`; `observed`: None when there is none. What was not read is not compared.

    `may_delete` permits removing secondary indexes; without it their removal is in the plan as refused.
    """
    if observed is None:
        return Plan(label=label, name=name, status=None, changes=_creation(name, declared))
    billing, settings = _setting_changes(declared, observed)
    changes = key_change(declared, observed) or [
        *local_changes(observed, declared),
        *index_removals(observed, declared, may_delete=may_delete),
        *billing,
        *index_additions(observed, declared),
        *index_throughput(observed, declared),
        *settings,
    ]
    return Plan(label=label, name=name, status=observed.status, changes=changes)


def declared_key(declared: TableDeclaration) -> str:
    """`file_key (S) HASH`, as `Observed.key` writes it."""
    sort = f", {declared.sort_key.name} ({declared.sort_key.type}) RANGE" if declared.sort_key else ""
    return f"{declared.partition_key.name} ({declared.partition_key.type}) HASH{sort}"


def creation(name: str, declared: TableDeclaration) -> Request:
    """The one request that makes the table."""
    return Request("CreateTable", desired.create_parameters(name, declared))


def _creation(name: str, declared: TableDeclaration) -> list[Change]:
    after: dict[str, Any] = {
        "key": declared_key(declared),
        "billing_mode": declared.billing_mode or "PAY_PER_REQUEST",
    }
    if declared.indexes:
        after["indexes"] = {index: wanted_shape(shape) for index, shape in declared.indexes.items()}
    later = [
        Change(what=aspect.key, action="create", after=wanted, note=aspect.note)
        for aspect in ASPECTS
        if not aspect.at_creation and (wanted := aspect.wanted(declared)) is not None and not is_off(wanted)
    ]
    for aspect in ASPECTS:
        wanted = aspect.wanted(declared)
        if aspect.at_creation and aspect.key not in after and wanted is not None and not is_off(wanted):
            after[aspect.key] = wanted
    return [Change(what="table", action="create", after=after, requests=[creation(name, declared)]), *later]


def key_change(declared: TableDeclaration, observed: Observed) -> list[Change]:
    """A table with another key is another table: nothing else is worth comparing."""
    before, after = observed.key(), declared_key(declared)
    if before == after:
        return []
    return [
        Change(
            what="key",
            action="update",
            before=before,
            after=after,
            refused="a key never changes; declare another table and `blotter tables copy` the items",
        )
    ]


def _setting_changes(declared: TableDeclaration, observed: Observed) -> tuple[list[Change], list[Change]]:
    """The switch of the billing mode, if it differs, and the changes of all other settings."""
    billing: list[Change] = []
    changes: list[Change] = []
    for aspect in ASPECTS:
        wanted = aspect.wanted(declared)
        unread = aspect.key in settings_to_read(declared) and aspect.key not in observed.settings
        if wanted is None or unread:
            continue
        found = aspect.found(observed)
        if not differs(aspect, found, wanted):
            continue
        change = _setting_change(aspect, Gap(observed, declared, found, wanted))
        if aspect.needs_mode and observed.billing_mode() != aspect.needs_mode:
            # Until the table has the mode, the switch itself is the change; what is off then needs none.
            if declared.billing_mode is None and not is_off(wanted):
                changes.append(msgspec.structs.replace(change, requests=[], refused=NEEDS_ON_DEMAND))
            continue
        (billing if aspect.key == "billing_mode" else changes).append(change)
    extra = set(_extra_replicas(declared, observed))
    if extra:
        changes.append(
            Change(
                what="replicas",
                action="delete",
                before=sorted(extra),
                refused="removing a replica deletes its data; declare it, or use `aws dynamodb update-table`",
            )
        )
    return billing, changes


def _setting_change(aspect: Aspect, gap: Gap) -> Change:
    before = gap.found
    if isinstance(gap.wanted, dict) and isinstance(before, dict):
        before = {key: before.get(key) for key in gap.wanted}
    return Change(
        what=aspect.key,
        action="update",
        before=before,
        after=gap.wanted,
        requests=aspect.requests(gap),
        note=aspect.note,
    )


def _extra_replicas(declared: TableDeclaration, observed: Observed) -> list[str]:
    if declared.replicas is None:
        return []
    found = next(aspect for aspect in ASPECTS if aspect.key == "replicas").found(observed)
    return [region for region in found if region not in declared.replicas]
