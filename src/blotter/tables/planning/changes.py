"""What a plan is made of: requests as data, changes, and the plan of one table.

A request that is data can be shown, compared, exported and sent; only `applying/apply.py` sends it.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

Action = Literal["create", "update", "delete"]


class Request(msgspec.Struct, frozen=True):
    """One API request: `operation` of `service` with DynamoDB's own parameters."""

    operation: str
    parameters: dict[str, Any]
    service: str = "dynamodb"

    def identity(self) -> str:
        return f"{self.service}.{self.operation} {json.dumps(self.parameters, sort_keys=True, default=str)}"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference and the requests that remove it, in order.

    `what` is the declaration's key ("billing_mode", "index by_status"). `refused` is why it will not be made and
    what to do instead; `note` is what AWS makes of it (order, limits, how long). `before` and `after` are plain
    values in the declaration's terms.
    """

    what: str
    action: Action
    before: Any = None
    after: Any = None
    requests: list[Request] = []
    refused: str = ""
    note: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All differences of one table from its declaration. `status` is None when there is no table."""

    label: str
    name: str
    status: str | None
    changes: list[Change]

    @property
    def refusals(self) -> list[Change]:
        return [change for change in self.changes if change.refused]
