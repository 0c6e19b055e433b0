"""Every condition key that requests have stands in docs/iam.md, and none that they have not."""

from __future__ import annotations

import re
from pathlib import Path

from blotter.database.authorization import item_context
from blotter.database.security import request_context

DOCUMENT = Path(__file__).parents[4] / "docs" / "iam.md"
BY_NAME = {"aws:principaltag/…", "aws:resourcetag/…", "aws:requesttag/…", "aws:tagkeys"}
OF_REQUESTS = {
    "attributes",
    "select",
    "returnvalues",
    "returnconsumedcapacity",
    "enclosingoperation",
    "fulltablescan",
}


def test_the_condition_keys_are_documented() -> None:
    section = DOCUMENT.read_text().partition("## What policies can say of tables")[2].partition("\n## ")[0]
    documented = {key.lower() for key in re.findall(r"`((?:aws|dynamodb):[A-Za-z/…]+)`", section)}
    known = {*request_context._KEYS, *item_context._PARTS, *BY_NAME}
    assert documented == known | {f"dynamodb:{key}" for key in OF_REQUESTS}
