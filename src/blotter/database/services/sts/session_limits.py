"""What the caller limits and labels a session with: its duration, session policies, session tags.

Sources: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html; messages as recorded in LocalStack's tests
(tests/aws/services/sts/test_sts.snapshot.json, 2025-04).
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from blotter.database.security.access_records import ManagedPolicy, find
from blotter.database.security.policy import MalformedPolicy, parse_policy
from blotter.database.security.session_tokens import IssuedCredentials
from blotter.database.services.api import Call, Output
from blotter.database.services.errors import ServiceError
from blotter.database.services.iam.aws_policies import find_aws_policy
from blotter.database.storage.protocol import ReadTransaction

MOST_POLICY_ARNS = 10
PACKED_BYTES = 4096
"""What session policies and tags may take together, compressed; AWS's own limit is not published."""
LONGEST_DOCUMENT = 16384
"""Characters of a session policy, however well it can be compressed."""


class SessionPolicies(msgspec.Struct, frozen=True):
    """Documents and ARNs; `given` is whether the request has any."""

    documents: tuple[str, ...] = ()
    arns: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        return bool(self.documents or self.arns)


def read_session_policies(call: Call, tx: ReadTransaction, account: str) -> SessionPolicies:
    """The session policies of a request. Raises MalformedPolicyDocument, also for an ARN of no policy of the
    account or of AWS."""
    document = call.arguments.get("Policy")
    if document is not None:
        if len(document) > LONGEST_DOCUMENT:
            raise _too_large(len(document), LONGEST_DOCUMENT)
        try:
            parse_policy(document, "identity")
        except MalformedPolicy as error:
            raise ServiceError("MalformedPolicyDocument", error.message) from None
    arns = tuple(descriptor.get("arn", "") for descriptor in call.arguments.get("PolicyArns") or ())
    if len(arns) > MOST_POLICY_ARNS:
        raise invalid("The number of policy ARNs exceeds the limit of 10.")
    for arn in arns:
        if not _policy_exists(tx, account, arn):
            raise ServiceError("MalformedPolicyDocument", f"Policy {arn} does not exist or is not attachable.")
    return SessionPolicies((document,) if document is not None else (), arns)


def _policy_exists(tx: ReadTransaction, account: str, arn: str) -> bool:
    if find_aws_policy(arn) is not None:
        return True
    name = arn.rpartition("/")[2]
    policy = find(tx, account, ManagedPolicy, name) if name else None
    return policy is not None and arn == f"arn:aws:iam::{account}:policy{policy.path}{policy.name}"


def read_tags(call: Call) -> dict[str, str]:
    """The session tags of a request. Raises InvalidParameterValue for a key that is given twice in any case."""
    tags = {tag["Key"]: tag["Value"] for tag in call.arguments.get("Tags") or ()}
    if len({key.lower() for key in tags}) < len(call.arguments.get("Tags") or ()):
        raise invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return tags


def packed_size(policies: SessionPolicies, tags: dict[str, str]) -> Output:
    """PackedPolicySize, in percent of what is allowed; nothing without policies and tags. Raises
    PackedPolicyTooLarge."""
    if not policies.given and not tags:
        return {}
    packed = len(zlib.compress(msgspec.json.encode([policies.documents, policies.arns, tags])))
    if packed > PACKED_BYTES:
        raise _too_large(packed, PACKED_BYTES)
    return {"PackedPolicySize": _percent(packed, PACKED_BYTES)}


def _too_large(size: int, limit: int) -> ServiceError:
    return ServiceError(
        "PackedPolicyTooLarge",
        f"Packed policy consumes {_percent(size, limit)}% of allotted space, please use smaller policy.",
    )


def _percent(size: int, limit: int) -> int:
    return -(-100 * size // limit)


def refuse_mfa(call: Call) -> None:
    """There are no MFA devices, so no code of one is right."""
    if "SerialNumber" in call.arguments or "TokenCode" in call.arguments:
        message = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial "
        raise ServiceError("AccessDenied", f"{message}number is valid and associated with this user.", 403)


def credentials_view(issued: IssuedCredentials, expires_at: float) -> dict[str, Any]:
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.token,
        "Expiration": expires_at,
    }


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message)
