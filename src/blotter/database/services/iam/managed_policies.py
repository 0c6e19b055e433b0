"""Managed policies: those of the account, which are records, and AWS's own (`aws_policies`), which never
change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from blotter.database.security.access_records import (
    Group,
    ManagedPolicy,
    PolicyHolder,
    PolicyVersion,
    Role,
    User,
    count,
    delete,
    every,
    find,
    save,
)
from blotter.database.security.identifiers import new_principal_id
from blotter.database.services.api import Output
from blotter.database.services.errors import ServiceError
from blotter.database.services.iam.aws_policies import aws_policies, find_aws_policy
from blotter.database.services.iam.calls import IamCall, policy_arn
from blotter.database.services.iam.documents import check_managed_policy
from blotter.database.services.iam.errors import (
    delete_conflict,
    no_such_policy,
    quota_exceeded,
    validation_error,
)
from blotter.database.services.iam.limits import POLICIES
from blotter.database.services.iam.paging import page, start_after
from blotter.database.services.iam.request_tags import new_tags
from blotter.database.services.iam.views import policy_view, tags_view
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

_ARN = re.compile(r"arn:aws:iam::([0-9]{12}|aws):policy(/(?:[\x21-\x7e]*/)?)([\w+=,.@-]{1,128})", re.ASCII)

AWS = "aws"
"""The account in the ARNs of AWS's own policies."""


class Policy(msgspec.Struct, frozen=True):
    """A managed policy with the account of its ARN, AWS for one of AWS's own."""

    account: str
    record: ManagedPolicy

    @property
    def arn(self) -> str:
        return policy_arn(self.account, self.record)


def find_policy(tx: ReadTransaction, account: str, arn: str) -> Policy | None:
    """The account's or AWS's policy of that ARN. Raises ValidationError for what is no policy's ARN."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise validation_error(f"ARN {arn} is not valid.")
    owner, path, name = match.groups()
    if owner == AWS:
        shipped = find_aws_policy(arn)
        return None if shipped is None else Policy(AWS, shipped)
    if owner != account:
        return None
    record = find(tx, account, ManagedPolicy, name)
    return None if record is None or (record.path, record.name) != (path, name) else Policy(account, record)


def get_policy(call: IamCall, tx: ReadTransaction) -> Policy:
    """The policy that a request names."""
    arn = call.arguments["PolicyArn"]
    policy = find_policy(tx, call.account, arn)
    if policy is None:
        raise no_such_policy(arn)
    return policy


def get_own_policy(call: IamCall, tx: ReadTransaction) -> ManagedPolicy:
    """The account's policy that a request names. Raises AccessDenied for AWS's, which nobody may change."""
    policy = get_policy(call, tx)
    check_own(call, policy)
    return policy.record


def check_own(call: IamCall, policy: Policy) -> None:
    if policy.account == AWS:
        raise ServiceError(
            "AccessDenied",
            f"User: {call.caller.arn} is not authorized to perform: iam:{call.operation} on resource: "
            f"policy {policy.arn}",
            403,
        )


def create_policy(call: IamCall, tx: WriteTransaction) -> Output:
    name, document = call.arguments["PolicyName"], call.arguments["PolicyDocument"]
    tags = new_tags(call, ignore_case=False)
    check_managed_policy(document)
    if find(tx, call.account, ManagedPolicy, name) is not None:
        message = f"A policy called {name} already exists. Duplicate names are not allowed."
        raise ServiceError("EntityAlreadyExists", message, 409)
    if count(tx, call.account, ManagedPolicy) >= POLICIES:
        raise quota_exceeded("PoliciesPerAccount", POLICIES)
    policy = ManagedPolicy(
        name,
        call.argument("Path") or "/",
        new_principal_id("ANPA"),
        call.now,
        call.now,
        (PolicyVersion("v1", document, call.now),),
        description=call.argument("Description") or "",
        tags=tags,
    )
    save(tx, call.account, policy)
    return {"Policy": policy_view(call.account, policy) | ({"Tags": tags_view(tags)} if tags else {})}


def get_policy_operation(call: IamCall, tx: ReadTransaction) -> Output:
    policy = get_policy(call, tx)
    attached, boundaries = Usage(tx, call.account).of(policy.arn)
    view = policy_view(policy.account, policy.record, attached, boundaries)
    if policy.record.description:
        view["Description"] = policy.record.description
    return {"Policy": view | {"Tags": tags_view(policy.record.tags)}}


def list_policies(call: IamCall, tx: ReadTransaction) -> Output:
    usage = Usage(tx, call.account)
    prefix = call.argument("PathPrefix") or "/"
    use = call.argument("PolicyUsageFilter")

    def wanted(policy: Policy) -> bool:
        attached, boundaries = usage.of(policy.arn)
        if not policy.record.path.startswith(prefix):
            return False
        if call.argument("OnlyAttached") and not attached and not boundaries:
            return False
        return use is None or bool(boundaries if use == "PermissionsBoundary" else attached)

    def view(policy: Policy) -> object:
        return policy_view(policy.account, policy.record, *usage.of(policy.arn))

    policies = filter(wanted, _policies(call, tx, start_after(call)))
    return page(call, policies, _key, view, "Policies")


def delete_policy(call: IamCall, tx: WriteTransaction) -> Output:
    policy = get_own_policy(call, tx)
    if any(Usage(tx, call.account).of(call.arguments["PolicyArn"])):
        raise delete_conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
    delete(tx, call.account, policy)
    return {}


class Usage:
    """How often the policies of an account are attached, and are boundaries."""

    def __init__(self, tx: ReadTransaction, account: str) -> None:
        self._attached: dict[str, int] = {}
        self._boundaries: dict[str, int] = {}
        for holder in holders(tx, account):
            for arn in holder.attached:
                self._attached[arn] = self._attached.get(arn, 0) + 1
            if isinstance(holder, User | Role) and holder.boundary:
                self._boundaries[holder.boundary] = self._boundaries.get(holder.boundary, 0) + 1

    def of(self, arn: str) -> tuple[int, int]:
        return self._attached.get(arn, 0), self._boundaries.get(arn, 0)


def holders(tx: ReadTransaction, account: str) -> Iterator[PolicyHolder]:
    """Everything that policies can be attached to: users, groups, roles."""
    yield from every(tx, account, User)
    yield from every(tx, account, Group)
    yield from every(tx, account, Role)


def _policies(call: IamCall, tx: ReadTransaction, after: str) -> Iterator[Policy]:
    """The account's policies by name, then AWS's."""
    scope = call.argument("Scope") or "All"
    if scope != "AWS" and not after.startswith(f"{AWS} "):
        for record in every(tx, call.account, ManagedPolicy, after.partition(" ")[2]):
            yield Policy(call.account, record)
    if scope != "Local":
        for record in aws_policies():
            yield Policy(AWS, record)


def _key(policy: Policy) -> str:
    """Account numbers are before "aws"."""
    return f"{policy.account} {policy.record.name.lower()}"
