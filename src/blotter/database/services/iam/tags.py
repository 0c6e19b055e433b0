"""Tags of users, roles and policies.

Keys of users' and roles' tags are not distinguished by case, those of policies' are. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules, and LocalStack's recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from blotter.database.security.access_records import ManagedPolicy, Role, User, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, named_role, named_user
from blotter.database.services.iam.errors import quota_exceeded
from blotter.database.services.iam.limits import TAGS
from blotter.database.services.iam.managed_policies import get_own_policy
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.request_tags import Tags, new_tags
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

Tagged = User | Role | ManagedPolicy


def tag_user(call: IamCall, tx: WriteTransaction) -> Output:
    return _tag(call, tx, named_user(call, tx), "TagsPerUser")


def untag_user(call: IamCall, tx: WriteTransaction) -> Output:
    return _untag(call, tx, named_user(call, tx))


def list_user_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, named_user(call, tx))


def tag_role(call: IamCall, tx: WriteTransaction) -> Output:
    return _tag(call, tx, named_role(call, tx), "TagsPerRole")


def untag_role(call: IamCall, tx: WriteTransaction) -> Output:
    return _untag(call, tx, named_role(call, tx))


def list_role_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, named_role(call, tx))


def tag_policy(call: IamCall, tx: WriteTransaction) -> Output:
    return _tag(call, tx, get_own_policy(call, tx), "TagsPerPolicy", ignore_case=False)


def untag_policy(call: IamCall, tx: WriteTransaction) -> Output:
    return _untag(call, tx, get_own_policy(call, tx), ignore_case=False)


def list_policy_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, get_own_policy(call, tx))


def _tag(call: IamCall, tx: WriteTransaction, tagged: Tagged, quota: str, *, ignore_case: bool = True) -> Output:
    """A tag replaces the one of its key; its spelling replaces the other's too."""
    new = new_tags(call, ignore_case=ignore_case)
    tags = _without(tagged.tags, new, ignore_case) | new
    if len(tags) > TAGS:
        raise quota_exceeded(quota, TAGS)
    save(tx, call.account, msgspec.structs.replace(tagged, tags=tags))
    return {}


def _untag(call: IamCall, tx: WriteTransaction, tagged: Tagged, *, ignore_case: bool = True) -> Output:
    tags = _without(tagged.tags, call.arguments["TagKeys"], ignore_case)
    save(tx, call.account, msgspec.structs.replace(tagged, tags=tags))
    return {}


def _without(tags: Mapping[str, str], keys: Iterable[str], ignore_case: bool) -> Tags:
    removed = {key.lower() for key in keys} if ignore_case else set(keys)
    return {key: value for key, value in tags.items() if (key.lower() if ignore_case else key) not in removed}


def _list(call: IamCall, tagged: Tagged) -> Output:
    return page(call, sorted(tagged.tags.items()), lambda tag: tag[0], _view, "Tags")


def _view(tag: tuple[str, str]) -> dict[str, Any]:
    return {"Key": tag[0], "Value": tag[1]}
