"""The operations of STS that are implemented; every other one of its model is refused by name."""

from __future__ import annotations

from blotter.database.services.api import Direct, Operation
from blotter.database.services.sts.identity import get_caller_identity

OPERATIONS: dict[str, Operation] = {"GetCallerIdentity": Direct(get_caller_identity)}
