"""Access keys of users and of the root. A secret is shown once, in the answer that creates it."""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.database.security.access_records import AccessKey, KeyUse, delete, find, save
from blotter.database.security.access_state import secret_context
from blotter.database.security.identifiers import new_access_key_id, new_secret
from blotter.database.services.api import Output
from blotter.database.services.errors import ServiceError
from blotter.database.services.iam.calls import IamCall, get_user, own_user_name
from blotter.database.services.iam.errors import no_such_key, quota_exceeded, validation_error
from blotter.database.services.iam.limits import KEYS_OF_USER
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.users import keys_of
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

STATUSES = ("Active", "Inactive")
ROOT_NAME = "root"
"""What answers call the owner of the root's keys."""


def create_access_key(call: IamCall, tx: WriteTransaction) -> Output:
    owner = _owner(call, tx)
    if len(keys_of(tx, call.account, owner)) >= KEYS_OF_USER:
        raise quota_exceeded("AccessKeysPerUser", KEYS_OF_USER)
    key_id, secret = new_access_key_id("AKIA", call.account), new_secret()
    sealed = call.sealer.seal(secret.encode(), secret_context(call.account, key_id))
    key = AccessKey(key_id, owner, call.now, sealed)
    save(tx, call.account, key)
    return {"AccessKey": _view(key) | {"SecretAccessKey": secret}}


def list_access_keys(call: IamCall, tx: ReadTransaction) -> Output:
    keys = keys_of(tx, call.account, _owner(call, tx))
    return page(call, sorted(keys, key=lambda key: key.id), lambda key: key.id, _view, "AccessKeyMetadata")


def update_access_key(call: IamCall, tx: WriteTransaction) -> Output:
    status = call.arguments["Status"]
    if status not in STATUSES:  # The model has a third one, of other kinds of credentials.
        message = "1 validation error detected: Value at 'status' failed to satisfy constraint: "
        raise validation_error(f"{message}Member must satisfy enum value set")
    save(tx, call.account, msgspec.structs.replace(_get_key(call, tx), status=status))
    return {}


def delete_access_key(call: IamCall, tx: WriteTransaction) -> Output:
    key = _get_key(call, tx)
    delete(tx, call.account, key)
    use = find(tx, call.account, KeyUse, key.id)
    if use is not None:
        delete(tx, call.account, use)
    return {}


def get_access_key_last_used(call: IamCall, tx: ReadTransaction) -> Output:
    """A key that is not in the caller's account looks like one that it may not see."""
    key_id = call.arguments["AccessKeyId"]
    key = find(tx, call.account, AccessKey, key_id)
    if key is None or key.id != key_id:
        raise ServiceError(
            "AccessDenied",
            f"User: {call.caller.arn} is not authorized to perform iam:GetAccessKeyLastUsed "
            f"on resource: access key {key_id}",
            403,
        )
    use = find(tx, call.account, KeyUse, key_id)
    used: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if use is not None:
        used = {"LastUsedDate": use.used, "ServiceName": use.service, "Region": use.region}
    return {"UserName": key.user or ROOT_NAME, "AccessKeyLastUsed": used}


def _owner(call: IamCall, tx: ReadTransaction) -> str:
    """The name of the user that the operation is about, "" for the root."""
    name = call.argument("UserName") or own_user_name(call)
    return get_user(tx, call.account, name).name if name else ""


def _get_key(call: IamCall, tx: ReadTransaction) -> AccessKey:
    owner, key_id = _owner(call, tx), call.arguments["AccessKeyId"]
    key = find(tx, call.account, AccessKey, key_id)
    if key is None or key.id != key_id or key.user != owner:
        raise no_such_key(key_id)
    return key


def _view(key: AccessKey) -> dict[str, Any]:
    return {
        "UserName": key.user or ROOT_NAME,
        "AccessKeyId": key.id,
        "Status": key.status,
        "CreateDate": key.created,
    }
