"""Tags of scalable targets: TagResource, UntagResource, ListTagsForResource.

Limits: https://docs.aws.amazon.com/autoscaling/application/userguide/resource-tagging-support.html
"""

from __future__ import annotations

from msgspec.structs import replace

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.calls import ScalingCall, invalid
from blotter.database.services.autoscaling.records import Target, of_account, save
from blotter.database.services.errors import ServiceError
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

MOST_TAGS = 50


def tag_resource(call: ScalingCall, tx: WriteTransaction) -> Output:
    target = tagged_target(call, tx)
    save(tx, replace(target, tags=target.tags | check_tags(call.arguments["Tags"], target)))
    return {}


def untag_resource(call: ScalingCall, tx: WriteTransaction) -> Output:
    target, gone = tagged_target(call, tx), set(call.arguments["TagKeys"])
    save(tx, replace(target, tags={key: value for key, value in target.tags.items() if key not in gone}))
    return {}


def list_tags_for_resource(call: ScalingCall, tx: ReadTransaction) -> Output:
    return {"Tags": tagged_target(call, tx).tags}


def tagged_target(call: ScalingCall, tx: ReadTransaction) -> Target:
    """Raises ResourceNotFoundException for an ARN of no target of the account and region."""
    arn = call.arguments["ResourceARN"]
    for target in of_account(tx, Target, call.account, call.region):
        if target.arn == arn:
            return target
    raise ServiceError("ResourceNotFoundException", f"The specified resource doesn't exist: {arn}")


def check_tags(given: dict[str, str], target: Target) -> dict[str, str]:
    """The tags that are given. Raises ValidationException for reserved keys, TooManyTagsException."""
    if any(key.lower().startswith("aws:") for key in given):
        raise invalid("Tag keys must not begin with the prefix aws:")
    if len(target.tags | given) > MOST_TAGS:
        raise ServiceError("TooManyTagsException", f"A resource can have {MOST_TAGS} tags at most")
    return given
