"""Versions of managed policies. The default one is in effect; five can exist at a time."""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.database.security.access_records import ManagedPolicy, PolicyVersion, save
from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.documents import check_managed_policy
from blotter.database.services.iam.errors import delete_conflict, limit_exceeded, no_such_version
from blotter.database.services.iam.limits import VERSIONS
from blotter.database.services.iam.managed_policies import check_own, find_policy, get_own_policy, get_policy
from blotter.database.services.iam.paging import page
from blotter.database.services.iam.views import document_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def create_policy_version(call: IamCall, tx: WriteTransaction) -> Output:
    policy, document = get_own_policy(call, tx), call.arguments["PolicyDocument"]
    check_managed_policy(document)
    if len(policy.versions) >= VERSIONS:
        raise limit_exceeded(
            f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must "
            "delete an existing version."
        )
    number = policy.last_number + 1
    version = PolicyVersion(f"v{number}", document, call.now)
    changed = msgspec.structs.replace(
        policy,
        versions=(*policy.versions, version),
        last_number=number,
        updated=call.now,
        default=version.id if call.argument("SetAsDefault") else policy.default,
    )
    save(tx, call.account, changed)
    return {"PolicyVersion": _view(changed, version)}


def get_policy_version(call: IamCall, tx: ReadTransaction) -> Output:
    policy, version = _get_version(call, tx)
    return {"PolicyVersion": full_version_view(policy, version)}


def list_policy_versions(call: IamCall, tx: ReadTransaction) -> Output:
    """The newest first."""
    policy = get_policy(call, tx).record
    versions = sorted(policy.versions, key=_order)
    return page(call, versions, _order, lambda version: _view(policy, version), "Versions")


def set_default_policy_version(call: IamCall, tx: WriteTransaction) -> Output:
    policy, version = _get_own_version(call, tx)
    save(tx, call.account, msgspec.structs.replace(policy, default=version.id, updated=call.now))
    return {}


def delete_policy_version(call: IamCall, tx: WriteTransaction) -> Output:
    policy, version = _get_own_version(call, tx)
    if version.id == policy.default:
        raise delete_conflict("Cannot delete the default version of a policy.")
    kept = tuple(other for other in policy.versions if other.id != version.id)
    save(tx, call.account, msgspec.structs.replace(policy, versions=kept, updated=call.now))
    return {}


def full_version_view(policy: ManagedPolicy, version: PolicyVersion) -> dict[str, Any]:
    return {"Document": document_view(version.document)} | _view(policy, version)


def _view(policy: ManagedPolicy, version: PolicyVersion) -> dict[str, Any]:
    return {
        "VersionId": version.id,
        "IsDefaultVersion": version.id == policy.default,
        "CreateDate": version.created,
    }


def _order(version: PolicyVersion) -> str:
    """Texts that ascend while the versions' numbers descend."""
    return f"{10**9 - int(version.id[1:]):09}"


def _get_version(call: IamCall, tx: ReadTransaction) -> tuple[ManagedPolicy, PolicyVersion]:
    arn, wanted = call.arguments["PolicyArn"], call.arguments["VersionId"]
    policy = find_policy(tx, call.account, arn)
    for version in policy.record.versions if policy is not None else ():
        if policy is not None and version.id == wanted:
            return policy.record, version
    raise no_such_version(arn, wanted)


def _get_own_version(call: IamCall, tx: ReadTransaction) -> tuple[ManagedPolicy, PolicyVersion]:
    found = _get_version(call, tx)
    check_own(call, get_policy(call, tx))
    return found
