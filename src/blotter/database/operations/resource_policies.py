"""PutResourcePolicy, GetResourcePolicy and DeleteResourcePolicy of tables and streams.

The policy is an access record (`security.access_records`) under the ARN of its table or stream, so that every
worker's authorization knows it within a second. It goes with its table. A revision is the time of the change in
milliseconds; a document that says the same as the one that is there changes nothing. Sources: the AWS controllers'
notes of October 2026 (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-205 to -214, -233, -236,
-356) and moto's tests recorded from the service (tests/test_dynamodb/test_dynamodb_resource_policies.py).
"""

from __future__ import annotations

from typing import NamedTuple

from blotter.database.http.messages import Request
from blotter.database.model.arns import Arn, parse_arn
from blotter.database.model.errors import DynamoDBError, parameter_error, table_not_found, validation_error
from blotter.database.model.streams import is_trimmed
from blotter.database.model.table import Table
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, find_table
from blotter.database.operations.streams.registry import find_stream
from blotter.database.operations.tables.under_way import check_settled
from blotter.database.security.access_records import ResourcePolicy, delete, every, find, save
from blotter.database.security.named_principals import missing_principal
from blotter.database.security.policy import Policy, PolicySet
from blotter.database.security.policy.canonical import canonical, shown
from blotter.database.security.policy.evaluation import narrow
from blotter.database.security.principal import Principal
from blotter.database.security.request_context import RequestFacts, caller_of, global_context
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.resource_policies import parse_resource_policy
from blotter.database.wire import requests as wire

_NO_POLICY = "NO_POLICY"
"""The ExpectedRevisionId of a policy that must not be there."""
_PREFIX = "Resource-based policy not found for the provided ResourceArn: "
_LOCKED_OUT = "The new resource policy will not allow you to update the resource policy in the future."


class _Target(NamedTuple):
    arn: str
    parts: Arn

    @property
    def described(self) -> str:
        kind = "table" if self.parts.stream is None else "stream"
        return f"{kind} {self.parts.stream or self.parts.table}"


def put_resource_policy(request: wire.PutResourcePolicyInput, tx: WriteTransaction, context: Context) -> bytes:
    """Raises, in this order: ValidationException for the ARN, then for the document; ResourceNotFoundException;
    PolicyNotFoundException for another revision; AccessDeniedException when the caller could not change the policy
    again; ValidationException for a principal that does not exist; ResourceInUseException for a table that is
    being deleted."""
    target = _target(request.ResourceArn, context)
    policy = parse_resource_policy(request.Policy, stream=target.parts.stream is not None)
    table = _find(target, tx, context)
    found = find(tx, context.account, ResourcePolicy, target.arn)
    _check_revision(request.ExpectedRevisionId, found, target)
    if not request.ConfirmRemoveSelfResourceAccess:
        _refuse_lockout(policy, target.arn, context)
    revision = attach(tx, context, target.arn, policy, found, table)
    return answer((b"RevisionId", encoded(revision)))


def attach(
    tx: WriteTransaction,
    context: Context,
    arn: str,
    policy: Policy,
    found: ResourcePolicy | None = None,
    table: Table | None = None,
) -> str:
    """Makes a parsed policy that of a table or stream in place of the one found; returns the revision. Raises
    ValidationException for a principal of an account of this server that does not exist."""
    document = canonical(policy.text)
    if found is not None and found.document == document:
        return found.revision
    if missing_principal(tx, policy) is not None:
        raise parameter_error("Invalid principal in policy document.")
    if table is not None and table.deleting_until is not None:
        check_settled(table, context)
    revision = max(int(context.now * 1000), 0 if found is None else int(found.revision) + 1)
    save(tx, context.account, ResourcePolicy(arn, document, str(revision), context.now))
    return str(revision)


def get_resource_policy(request: wire.GetResourcePolicyInput, tx: ReadTransaction, context: Context) -> bytes:
    target = _target(request.ResourceArn, context)
    _find(target, tx, context)
    found = find(tx, context.account, ResourcePolicy, target.arn)
    if found is None:
        raise _not_found(target.arn)
    return answer((b"Policy", encoded(shown(found.document))), (b"RevisionId", encoded(found.revision)))


def delete_resource_policy(
    request: wire.DeleteResourcePolicyInput, tx: WriteTransaction, context: Context
) -> bytes:
    """Nothing to delete is no error; the response has the revision of what was deleted."""
    target = _target(request.ResourceArn, context)
    table = _find(target, tx, context)
    if table.deleting_until is not None:
        check_settled(table, context)
    found = find(tx, context.account, ResourcePolicy, target.arn)
    _check_revision(request.ExpectedRevisionId, found, target)
    if found is None:
        return answer()
    delete(tx, context.account, found)
    return answer((b"RevisionId", encoded(found.revision)))


def remove_policies(tx: WriteTransaction, table: Table) -> None:
    """Removes the policies of a table that is gone, and those of its streams."""
    streams = f"{table.arn}/stream/"
    for record in list(every(tx, table.account, ResourcePolicy)):
        if record.arn == table.arn or record.arn.startswith(streams):
            delete(tx, table.account, record)


def _target(arn: str, context: Context) -> _Target:
    """Raises ValidationException for what is no table or stream of the caller's account and region."""
    if not arn.startswith("arn:"):
        raise parameter_error(f"ARNs must start with 'arn:': {arn}")
    parts = parse_arn(arn)
    if parts is None:
        raise parameter_error(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    if parts.account != context.account:
        raise validation_error(
            "This action is only supported by accounts that match the resource owner’s account."
        )
    if parts.region != context.region or parts.partition != "aws":
        raise parameter_error(f"Invalid resource Arn: {arn}")
    if parts.index_name is not None:
        raise parameter_error(
            f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        )
    return _Target(arn, parts)


def _find(target: _Target, tx: ReadTransaction, context: Context) -> Table:
    """The table of the target. Raises ResourceNotFoundException for a table or a stream that is not there."""
    name, label = target.parts.table, target.parts.stream
    table = find_table(tx, context, name)
    if label is not None:
        stream = find_stream(tx, context.account, context.region, name, label)
        if stream is None or is_trimmed(stream.settings, context.now):
            raise table_not_found(f"Requested resource not found: Stream: {label} not found for Table: {name}")
    if table is None or table.restore is not None:
        raise table_not_found(f"Requested resource not found: Table: {name} not found")
    return table


def _check_revision(expected: str | None, found: ResourcePolicy | None, target: _Target) -> None:
    if expected is None or (found is None and expected == _NO_POLICY):
        return
    if found is None:
        raise _not_found(
            f"Requested update for policy with revision id {expected}, "
            f"but {target.described} has no associated policy."
        )
    if expected == _NO_POLICY:
        raise _not_found(
            f"Requested policy update expecting none to be present for {target.described}, "
            f"but a policy exists with revision id {found.revision}."
        )
    if expected != found.revision:
        raise _not_found(
            f"Requested update for policy with revision id {expected}, but the policy associated to target "
            f"{target.described} has revision id {found.revision}."
        )


def _not_found(what: str) -> DynamoDBError:
    return DynamoDBError("PolicyNotFoundException", f"{_PREFIX}{what}")


def _refuse_lockout(policy: Policy, arn: str, context: Context) -> None:
    """Raises AccessDeniedException if the caller could not put a policy again. Under open access, the caller is
    the account's root."""
    account = context.account
    principal = None if context.caller is None else context.caller.principal
    principal = principal or Principal("root", account, f"arn:aws:iam::{account}:root", account, "")
    policies = PolicySet(principal.policies, principal.boundary, principal.session_policies, policy, account)
    applicable = narrow(caller_of(principal), "dynamodb:PutResourcePolicy", arn, policies)
    facts = RequestFacts(principal, Request("POST", "/", {}, b""), context.region, context.now, account)
    if not applicable.decide(global_context(facts, applicable.context_keys)).allowed:
        raise DynamoDBError("AccessDeniedException", _LOCKED_OUT)
