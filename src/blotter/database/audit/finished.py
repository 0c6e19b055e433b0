"""A request to a service other than DynamoDB that has ended, as the service reports it to the trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from blotter.database.http.messages import Request
from blotter.database.security.identity import Identity


class Finished(msgspec.Struct, frozen=True):
    """`caller` is None if it did not authenticate; `output` is None if it failed with `error` (code, message)."""

    service: str
    version: str
    operation: str
    arguments: Mapping[str, Any]
    request: Request
    at: float
    caller: Identity | None
    output: Mapping[str, Any] | None = None
    error: tuple[str, str] | None = None
