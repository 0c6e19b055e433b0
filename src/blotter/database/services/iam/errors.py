"""IAM's refusals, each with its code, message and HTTP status.

Source: answers of AWS as recorded in LocalStack's tests (tests/aws/services/iam/*.snapshot.json, 2026-02), and the
errors in the API reference, https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from blotter.database.services.errors import ServiceError


def no_such(kind: str, name: str) -> ServiceError:
    """`kind` is "user", "group", "role", "role policy", …"""
    return no_such_entity(f"The {kind} with name {name} cannot be found.")


def no_such_key(key_id: str) -> ServiceError:
    return no_such_entity(f"The Access Key with id {key_id} cannot be found.")


def no_such_policy(arn: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} was not found.")


def not_attachable(arn: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} does not exist or is not attachable.")


def no_such_version(arn: str, version: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} version {version} does not exist or is not attachable.")


def no_such_entity(message: str) -> ServiceError:
    return ServiceError("NoSuchEntity", message, 404)


def already_exists(kind: str, name: str) -> ServiceError:
    """`kind` is "User", "Group" or "Role"."""
    return ServiceError("EntityAlreadyExists", f"{kind} with name {name} already exists.", 409)


def delete_conflict(message: str) -> ServiceError:
    return ServiceError("DeleteConflict", message, 409)


def must_first(what: str) -> ServiceError:
    return delete_conflict(f"Cannot delete entity, must {what} first.")


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceeded", message, 409)


def quota_exceeded(quota: str, limit: int) -> ServiceError:
    return limit_exceeded(f"Cannot exceed quota for {quota}: {limit}")


def invalid_input(message: str) -> ServiceError:
    return ServiceError("InvalidInput", message)


def validation_error(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)


def malformed_policy(message: str) -> ServiceError:
    return ServiceError("MalformedPolicyDocument", message)
