"""Tags of users, roles and policies.

Keys of users' and roles' tags are not distinguished by case, those of policies' are. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules, and LocalStack's recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from blotter.database.security.access_records import ManagedPolicy, Role, User, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall, get_role, get_user
from blotter.database.services.iam.errors import quota_exceeded
from blotter.database.services.iam.limits import TAGS
from blotter.database.services.iam.managed_policies import get_own_policy
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.request_tags import Tags, new_tags
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def tag_user(call: IamCall, tx: WriteTransaction) -> Output:
    user = get_user(tx, call.account, call.arguments["UserName"])
    tags = _merged(user.tags, new_tags(call), "TagsPerUser")
    save(tx, call.account, msgspec.structs.replace(user, tags=tags))
    return {}


def untag_user(call: IamCall, tx: WriteTransaction) -> Output:
    user = get_user(tx, call.account, call.arguments["UserName"])
    save(tx, call.account, msgspec.structs.replace(user, tags=_without(user.tags, call)))
    return {}


def list_user_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, get_user(tx, call.account, call.arguments["UserName"]))


def tag_role(call: IamCall, tx: WriteTransaction) -> Output:
    role = get_role(tx, call.account, call.arguments["RoleName"])
    tags = _merged(role.tags, new_tags(call), "TagsPerRole")
    save(tx, call.account, msgspec.structs.replace(role, tags=tags))
    return {}


def untag_role(call: IamCall, tx: WriteTransaction) -> Output:
    role = get_role(tx, call.account, call.arguments["RoleName"])
    save(tx, call.account, msgspec.structs.replace(role, tags=_without(role.tags, call)))
    return {}


def list_role_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, get_role(tx, call.account, call.arguments["RoleName"]))


def tag_policy(call: IamCall, tx: WriteTransaction) -> Output:
    policy = get_own_policy(call, tx)
    given = new_tags(call, ignore_case=False)
    tags = _merged(policy.tags, given, "TagsPerPolicy", ignore_case=False)
    save(tx, call.account, msgspec.structs.replace(policy, tags=tags))
    return {}


def untag_policy(call: IamCall, tx: WriteTransaction) -> Output:
    policy = get_own_policy(call, tx)
    tags = _without(policy.tags, call, ignore_case=False)
    save(tx, call.account, msgspec.structs.replace(policy, tags=tags))
    return {}


def list_policy_tags(call: IamCall, tx: ReadTransaction) -> Output:
    return _list(call, get_own_policy(call, tx))


def _merged(tags: Mapping[str, str], new: Tags, quota: str, *, ignore_case: bool = True) -> Tags:
    """A tag replaces the one of its key; its spelling replaces the other's too."""
    replaced = {key.lower() for key in new} if ignore_case else set(new)
    kept = {key: value for key, value in tags.items() if (key.lower() if ignore_case else key) not in replaced}
    merged = kept | new
    if len(merged) > TAGS:
        raise quota_exceeded(quota, TAGS)
    return merged


def _without(tags: Mapping[str, str], call: IamCall, *, ignore_case: bool = True) -> Tags:
    keys = call.arguments["TagKeys"]
    removed = {key.lower() for key in keys} if ignore_case else set(keys)
    return {key: value for key, value in tags.items() if (key.lower() if ignore_case else key) not in removed}


def _list(call: IamCall, tagged: User | Role | ManagedPolicy) -> Output:
    return page(call, sorted(tagged.tags.items()), lambda tag: tag[0], _view, "Tags")


def _view(tag: tuple[str, str]) -> dict[str, Any]:
    return {"Key": tag[0], "Value": tag[1]}
