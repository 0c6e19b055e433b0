"""docs/differences-from-dynamodb.md is honest: an operation is answered or named there, and never both."""

from __future__ import annotations

import re
from pathlib import Path

from blotter.database.operations.registry import OPERATIONS
from blotter.database.wire.decode import OPERATIONS as KNOWN

DOCUMENT = Path(__file__).parents[4] / "docs" / "differences-from-dynamodb.md"


def test_every_operation_is_answered_or_named() -> None:
    section = DOCUMENT.read_text().partition("## Not implemented")[2].partition("So do `CreateTable`")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", section)) - {"UnknownOperationException"}
    assert named == KNOWN - OPERATIONS.keys()
