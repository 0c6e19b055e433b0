"""What tags may be, and what TagResource, UntagResource and ListTagsOfResource can be refused for before their
table is known. CreateTable checks its tags by the same rules.

A tag is refused before its table is looked up: keys and values of every tag first, then the set. Messages as
recorded from AWS in the ACK project's notes (ack-api-quirks, DDB-TABLE-071, -107, -108, -109, -110, -372,
-442, 2026-10); limits: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.wire.requests import ListTagsOfResourceInput, Tag, TagResourceInput, UntagResourceInput

MAX_TAGS: Final = 50
MAX_KEY_CHARACTERS: Final = 128
MAX_VALUE_CHARACTERS: Final = 256
MAX_BYTES: Final = 10240
"""Of all keys and values of a table together."""
RESERVED_PREFIX: Final = "aws:"

_PUNCTUATION = frozenset("+-=._:/@")
# Letters, numbers and separators of any script.
_CATEGORIES = frozenset("LNZ")


def check_tag_resource(request: TagResourceInput) -> None:
    check_resource_arn(request.ResourceArn)
    if not request.Tags:
        raise validation_error("Atleast one Tag needs to be provided as Input.")
    check_tags(request.Tags)


def check_untag_resource(request: UntagResourceInput) -> None:
    check_resource_arn(request.ResourceArn)
    if not request.TagKeys:
        raise validation_error("Atleast one Tag Key needs to be provided as Input.")
    for key in request.TagKeys:
        _check_key(key)
    if len(request.TagKeys) > MAX_TAGS:
        raise too_many_tags_error()


def check_list_tags_of_resource(request: ListTagsOfResourceInput) -> None:
    check_resource_arn(request.ResourceArn)


def check_tags(tags: Sequence[Tag]) -> None:
    """Raises ValidationException for a tag that no table can have, for a key given twice, for too many tags."""
    seen: set[str] = set()
    for tag in tags:
        _check_key(tag.Key)
        value = tag.Value
        if value is None or len(value) > MAX_VALUE_CHARACTERS or not _is_plain(value):
            raise validation_error(
                f"The Tag Value provided is invalid, Value: {'null' if value is None else value}"
            )
    for tag in tags:
        if tag.Key is not None and tag.Key in seen:
            raise validation_error(f"Duplicate Tag Keys provided as input: Duplicate Tag Key found {tag.Key}")
        seen.add(tag.Key or "")
    check_tag_set([(tag.Key or "", tag.Value or "") for tag in tags])


def check_tag_set(tags: Collection[tuple[str, str]]) -> None:
    """Raises ValidationException for more tags than one table can have."""
    if len(tags) > MAX_TAGS:
        raise too_many_tags_error()
    size = sum(len(key.encode()) + len(value.encode()) for key, value in tags)
    if size > MAX_BYTES:
        raise validation_error(f"Tag set size {size} bytes is above max size limit of {MAX_BYTES} bytes")


def too_many_tags_error() -> DynamoDBError:
    return validation_error("Number of Tags exceed the current limit for the provided ResourceArn")


def check_resource_arn(arn: str) -> None:
    """Raises ValidationException for what is no ARN of a table or of a table's stream; whose it is, the operation
    checks."""
    if not arn.startswith("arn:"):
        raise parameter_error(f"ARNs must start with 'arn:': {arn}")
    if arn.count(":") < 5 or arn.split(":")[2] != "dynamodb":
        raise parameter_error(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    parsed = parse_arn(arn)
    if parsed is None or parsed.index_name is not None:
        raise parameter_error(
            f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        )


def _check_key(key: str | None) -> None:
    if key is None or not 0 < len(key) <= MAX_KEY_CHARACTERS or not _is_plain(key):
        raise validation_error(f"The Tag Key provided is invalid, Key: {'null' if key is None else key}")
    if key.lower().startswith(RESERVED_PREFIX):
        raise validation_error(f"Tag Key cannot be prefixed with {RESERVED_PREFIX}, Key: {key}")


def _is_plain(text: str) -> bool:
    return all(
        character in _PUNCTUATION or unicodedata.category(character)[0] in _CATEGORIES for character in text
    )


CHECKS: dict[str, Callable[[Any], None]] = {
    "ListTagsOfResource": check_list_tags_of_resource,
    "TagResource": check_tag_resource,
    "UntagResource": check_untag_resource,
}
