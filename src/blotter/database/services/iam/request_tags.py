"""The tags that a request gives."""

from __future__ import annotations

from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.errors import invalid_input

Tags = dict[str, str]


def new_tags(call: IamCall, *, ignore_case: bool = True) -> Tags:
    """Raises InvalidInput for a key that is given twice."""
    tags: Tags = {}
    seen = set()
    for tag in call.argument("Tags") or ():
        key = tag["Key"].lower() if ignore_case else tag["Key"]
        if key in seen:
            hint = " Please note that Tag keys are case insensitive." if ignore_case else ""
            raise invalid_input(f"Duplicate tag keys found.{hint}")
        seen.add(key)
        tags[tag["Key"]] = tag["Value"]
    return tags
