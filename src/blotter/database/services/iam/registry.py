"""The operations of IAM: what each does, whether it changes the store, and what it is authorized on.

Every call goes the same way: check the input against the model, find the resource, authorize, run; after the
commit of a change, the process takes over the new access state. Under open access all of them are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from blotter.database.security.access import Access
from blotter.database.security.principal import Principal
from blotter.database.services.api import Call, Operation, Output, Reading, Writing
from blotter.database.services.authorization import authorize
from blotter.database.services.constraints import Wording, check_constraints
from blotter.database.services.enforced_only import refused_under_open_access
from blotter.database.services.errors import ServiceError
from blotter.database.services.iam import (
    absent,
    access_keys,
    account,
    attachments,
    boundaries,
    groups,
    inline_policies,
    managed_policies,
    policy_versions,
    roles,
    simulation,
    tags,
    targets,
    users,
)
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.targets import FindTarget, Target
from blotter.database.services.iam.wording import own_words
from blotter.database.services.model import load_model
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

Run = Callable[[IamCall, Any], Output]

WORDING = Wording(shows_values=False, own=own_words)


class Entry(NamedTuple):
    """An operation. `target` is what it is authorized on, `renamed` what that will be after it, where that is
    something else; both have to be allowed."""

    run: Run
    target: FindTarget
    renamed: Callable[[IamCall, ReadTransaction], Target | None] | None = None


READING: dict[str, Entry] = {
    "GetUser": Entry(users.get_user_operation, targets.a_user),
    "ListUsers": Entry(users.list_users, targets.all_users),
    "GetGroup": Entry(groups.get_group_operation, targets.a_group),
    "ListGroups": Entry(groups.list_groups, targets.all_groups),
    "ListGroupsForUser": Entry(groups.list_groups_for_user, targets.a_user),
    "GetRole": Entry(roles.get_role_operation, targets.a_role),
    "ListRoles": Entry(roles.list_roles, targets.all_roles),
    "ListAccessKeys": Entry(access_keys.list_access_keys, targets.a_user),
    "GetAccessKeyLastUsed": Entry(access_keys.get_access_key_last_used, targets.owner_of_key),
    "GetPolicy": Entry(managed_policies.get_policy_operation, targets.a_policy),
    "ListPolicies": Entry(managed_policies.list_policies, targets.any_resource),
    "ListEntitiesForPolicy": Entry(attachments.list_entities_for_policy, targets.a_policy),
    "GetPolicyVersion": Entry(policy_versions.get_policy_version, targets.a_policy),
    "ListPolicyVersions": Entry(policy_versions.list_policy_versions, targets.a_policy),
    "GetUserPolicy": Entry(inline_policies.OF_USERS.get, targets.a_user),
    "ListUserPolicies": Entry(inline_policies.OF_USERS.list, targets.a_user),
    "GetGroupPolicy": Entry(inline_policies.OF_GROUPS.get, targets.a_group),
    "ListGroupPolicies": Entry(inline_policies.OF_GROUPS.list, targets.a_group),
    "GetRolePolicy": Entry(inline_policies.OF_ROLES.get, targets.a_role),
    "ListRolePolicies": Entry(inline_policies.OF_ROLES.list, targets.a_role),
    "ListAttachedUserPolicies": Entry(attachments.OF_USERS.list, targets.a_user),
    "ListAttachedGroupPolicies": Entry(attachments.OF_GROUPS.list, targets.a_group),
    "ListAttachedRolePolicies": Entry(attachments.OF_ROLES.list, targets.a_role),
    "ListUserTags": Entry(tags.list_user_tags, targets.a_user),
    "ListRoleTags": Entry(tags.list_role_tags, targets.a_role),
    "ListPolicyTags": Entry(tags.list_policy_tags, targets.a_policy),
    "GetAccountSummary": Entry(account.get_account_summary, targets.any_resource),
    "GetAccountAuthorizationDetails": Entry(account.get_account_authorization_details, targets.any_resource),
    "SimulateCustomPolicy": Entry(simulation.simulate_custom_policy, targets.any_resource),
    "SimulatePrincipalPolicy": Entry(simulation.simulate_principal_policy, targets.simulated_principal),
    "GetContextKeysForCustomPolicy": Entry(simulation.get_context_keys_for_custom_policy, targets.any_resource),
    "GetContextKeysForPrincipalPolicy": Entry(
        simulation.get_context_keys_for_principal_policy, targets.simulated_principal
    ),
    "GetLoginProfile": Entry(absent.no_login_profile, targets.a_user),
    "DeleteLoginProfile": Entry(absent.no_login_profile, targets.a_user),
    "ListAccountAliases": Entry(absent.list_nothing, targets.any_resource),
    "ListInstanceProfiles": Entry(absent.list_nothing, targets.any_resource),
    "ListInstanceProfilesForRole": Entry(absent.list_nothing, targets.a_role),
    "ListMFADevices": Entry(absent.list_nothing, targets.any_resource),
    "ListOpenIDConnectProviders": Entry(absent.list_nothing, targets.any_resource),
    "ListSAMLProviders": Entry(absent.list_nothing, targets.any_resource),
    "ListSSHPublicKeys": Entry(absent.list_nothing, targets.any_resource),
    "ListServerCertificates": Entry(absent.list_nothing, targets.any_resource),
    "ListServiceSpecificCredentials": Entry(absent.list_nothing, targets.any_resource),
    "ListSigningCertificates": Entry(absent.list_nothing, targets.any_resource),
    "ListVirtualMFADevices": Entry(absent.list_nothing, targets.any_resource),
}

HEAVY = {
    *("GetAccountAuthorizationDetails", "ListPolicies", "SimulateCustomPolicy", "SimulatePrincipalPolicy"),
    *("GetContextKeysForCustomPolicy", "GetContextKeysForPrincipalPolicy"),
}
"""Those of READING that may take long: they read everything, or as many policies as a request can hold."""

WRITING: dict[str, Entry] = {
    "CreateUser": Entry(users.create_user, targets.a_new_user),
    "UpdateUser": Entry(users.update_user, targets.a_user, targets.renamed_user),
    "DeleteUser": Entry(users.delete_user, targets.a_user),
    "CreateGroup": Entry(groups.create_group, targets.a_new_group),
    "UpdateGroup": Entry(groups.update_group, targets.a_group, targets.renamed_group),
    "DeleteGroup": Entry(groups.delete_group, targets.a_group),
    "AddUserToGroup": Entry(groups.add_user_to_group, targets.a_group),
    "RemoveUserFromGroup": Entry(groups.remove_user_from_group, targets.a_group),
    "CreateRole": Entry(roles.create_role, targets.a_new_role),
    "UpdateRole": Entry(roles.update_role, targets.a_role),
    "UpdateRoleDescription": Entry(roles.update_role_description, targets.a_role),
    "UpdateAssumeRolePolicy": Entry(roles.update_assume_role_policy, targets.a_role),
    "DeleteRole": Entry(roles.delete_role, targets.a_role),
    "CreateAccessKey": Entry(access_keys.create_access_key, targets.a_user),
    "UpdateAccessKey": Entry(access_keys.update_access_key, targets.a_user),
    "DeleteAccessKey": Entry(access_keys.delete_access_key, targets.a_user),
    "CreatePolicy": Entry(managed_policies.create_policy, targets.a_new_policy),
    "DeletePolicy": Entry(managed_policies.delete_policy, targets.a_policy),
    "CreatePolicyVersion": Entry(policy_versions.create_policy_version, targets.a_policy),
    "SetDefaultPolicyVersion": Entry(policy_versions.set_default_policy_version, targets.a_policy),
    "DeletePolicyVersion": Entry(policy_versions.delete_policy_version, targets.a_policy),
    "PutUserPolicy": Entry(inline_policies.OF_USERS.put, targets.a_user),
    "DeleteUserPolicy": Entry(inline_policies.OF_USERS.delete, targets.a_user),
    "PutGroupPolicy": Entry(inline_policies.OF_GROUPS.put, targets.a_group),
    "DeleteGroupPolicy": Entry(inline_policies.OF_GROUPS.delete, targets.a_group),
    "PutRolePolicy": Entry(inline_policies.OF_ROLES.put, targets.a_role),
    "DeleteRolePolicy": Entry(inline_policies.OF_ROLES.delete, targets.a_role),
    "AttachUserPolicy": Entry(attachments.OF_USERS.attach, targets.a_user),
    "DetachUserPolicy": Entry(attachments.OF_USERS.detach, targets.a_user),
    "AttachGroupPolicy": Entry(attachments.OF_GROUPS.attach, targets.a_group),
    "DetachGroupPolicy": Entry(attachments.OF_GROUPS.detach, targets.a_group),
    "AttachRolePolicy": Entry(attachments.OF_ROLES.attach, targets.a_role),
    "DetachRolePolicy": Entry(attachments.OF_ROLES.detach, targets.a_role),
    "PutUserPermissionsBoundary": Entry(boundaries.put_user_boundary, targets.a_user),
    "DeleteUserPermissionsBoundary": Entry(boundaries.delete_user_boundary, targets.a_user),
    "PutRolePermissionsBoundary": Entry(boundaries.put_role_boundary, targets.a_role),
    "DeleteRolePermissionsBoundary": Entry(boundaries.delete_role_boundary, targets.a_role),
    "TagUser": Entry(tags.tag_user, targets.a_user),
    "UntagUser": Entry(tags.untag_user, targets.a_user),
    "TagRole": Entry(tags.tag_role, targets.a_role),
    "UntagRole": Entry(tags.untag_role, targets.a_role),
    "TagPolicy": Entry(tags.tag_policy, targets.a_policy),
    "UntagPolicy": Entry(tags.untag_policy, targets.a_policy),
}


def make_registry(access: Access) -> Mapping[str, Operation]:
    """The registry of a server with this access."""
    if not access.enforced:
        return refused_under_open_access("IAM", (*READING, *WRITING))
    reading = {name: Reading(partial(_read, access, entry), name in HEAVY) for name, entry in READING.items()}
    writing = {name: Writing(partial(_write, access, entry)) for name, entry in WRITING.items()}
    return {**reading, **writing}


def _read(access: Access, entry: Entry, call: Call, tx: ReadTransaction) -> Output:
    return entry.run(_allowed(access, entry, call, tx), tx)


def _write(access: Access, entry: Entry, call: Call, tx: WriteTransaction) -> Output:
    output = entry.run(_allowed(access, entry, call, tx), tx)
    tx.after_commit(access.state.refresh)
    return output


def _allowed(access: Access, entry: Entry, call: Call, tx: ReadTransaction) -> IamCall:
    """The call, once it is checked and authorized."""
    check_constraints(load_model("iam"), call.operation, call.arguments, WORDING)
    principal = _principal(call)
    asked = IamCall(
        operation=call.operation,
        arguments=call.arguments,
        account=principal.account,
        now=call.now,
        caller=principal,
        sealer=access.sealer,
    )
    for action, target in _required(entry, asked, tx):
        authorize(call, principal, f"iam:{action}", target.resource, targets.context_of(asked, target))
    return asked


def _required(entry: Entry, asked: IamCall, tx: ReadTransaction) -> Iterator[tuple[str, Target]]:
    """The actions that the caller has to be allowed, and on what: to create something with tags is to tag it
    too."""
    target = entry.target(asked, tx)
    yield asked.operation, target
    if asked.operation.startswith("Create") and asked.argument("Tags"):
        yield asked.operation.replace("Create", "Tag"), target
    renamed = None if entry.renamed is None else entry.renamed(asked, tx)
    if renamed is not None:
        yield asked.operation, renamed


def _principal(call: Call) -> Principal:
    """The caller. Sessions of GetSessionToken (without MFA) and of GetFederationToken cannot call IAM
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html)."""
    principal = call.caller.principal
    if principal is None:
        raise ServiceError("AccessDenied", "The caller has no identity.", 403)
    session = principal.session
    if session is not None and principal.kind != "assumed-role" and not session.mfa_authenticated:
        message = "The security token included in the request is invalid"
        raise ServiceError("InvalidClientTokenId", message, 403)
    return principal
