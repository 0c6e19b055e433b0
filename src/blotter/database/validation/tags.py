"""What TagResource, UntagResource and ListTagsOfResource can be refused for before their table is known.

Order and words: dynalite's recorded tests; limits:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.wire.requests import ListTagsOfResourceInput, TagResourceInput, UntagResourceInput

_TABLE_ARN = re.compile(r"arn:aws[a-z-]*:dynamodb:[^:]+:[0-9]+:table/[a-zA-Z0-9_.-]{3,255}", re.ASCII)


def check_tag_resource(request: TagResourceInput) -> None:
    _check_arn(request.ResourceArn)
    if not request.Tags:
        raise validation_error("Atleast one Tag needs to be provided as Input.")


def check_untag_resource(request: UntagResourceInput) -> None:
    _check_arn(request.ResourceArn)
    if not request.TagKeys:
        raise validation_error("Atleast one Tag Key needs to be provided as Input.")


def check_list_tags_of_resource(request: ListTagsOfResourceInput) -> None:
    _check_arn(request.ResourceArn)


def _check_arn(arn: str) -> None:
    if _TABLE_ARN.fullmatch(arn) is None:
        raise validation_error(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")


CHECKS: dict[str, Callable[[Any], None]] = {
    "ListTagsOfResource": check_list_tags_of_resource,
    "TagResource": check_tag_resource,
    "UntagResource": check_untag_resource,
}
