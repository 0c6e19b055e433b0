"""The one error of the database, in DynamoDB's own shape.

Every error that reaches a client is a `DynamoDBError`: a code, AWS's error message and an HTTP status. Codes that
several modules raise have a constructor below.
Source of codes and statuses: the service model and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blotter.database.model.capacity import ConsumedCapacity

DYNAMODB_NAMESPACE = "com.amazonaws.dynamodb.v20120810#"
CORAL_SERVICE_NAMESPACE = "com.amazon.coral.service#"
CORAL_VALIDATE_NAMESPACE = "com.amazon.coral.validate#"
CORAL_AVAILABILITY_NAMESPACE = "com.amazon.coral.availability#"

THROTTLED = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"})
"""The codes of requests that were throttled as a whole."""

# Codes that AWS's service framework raises, not DynamoDB itself; they carry the framework's namespace.
_NAMESPACES = {
    "ValidationException": CORAL_VALIDATE_NAMESPACE,
    "SerializationException": CORAL_SERVICE_NAMESPACE,
    "UnknownOperationException": CORAL_SERVICE_NAMESPACE,
    "UnrecognizedClientException": CORAL_SERVICE_NAMESPACE,
    "InvalidSignatureException": CORAL_SERVICE_NAMESPACE,
    "IncompleteSignatureException": CORAL_SERVICE_NAMESPACE,
    "MissingAuthenticationTokenException": CORAL_SERVICE_NAMESPACE,
    "AccessDeniedException": CORAL_SERVICE_NAMESPACE,
    "ThrottlingException": CORAL_AVAILABILITY_NAMESPACE,
    "InternalServerError": DYNAMODB_NAMESPACE,
}

_INVALID_PARAMETER = "One or more parameter values were invalid: "


class DynamoDBError(Exception):
    """A refusal as the client sees it.

    `members` are further members of the error's body: `Item` of a failed condition, `CancellationReasons` of a
    canceled transaction. `consumed` is the capacity that the refused request is charged. `current` is the message
    that AWS's new validation layer gives instead, where that is another (`wire.layers`).
    """

    def __init__(self, code: str, message: str, status: int = 400, members: dict[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members
        self.consumed: Sequence[ConsumedCapacity] = ()
        self.current: str | None = None

    def without_trace(self) -> DynamoDBError:
        """The error, without the frames that it came through: they hold items, and with the error they may form a
        cycle that only a collection ends."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    @property
    def type(self) -> str:
        """The `__type` of the body: namespace and code."""
        return _NAMESPACES.get(self.code, DYNAMODB_NAMESPACE) + self.code

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def validation_error(message: str, *, current: str | None = None) -> DynamoDBError:
    """A ValidationException. `current` is the message in AWS's new validation layer, where that is another."""
    error = DynamoDBError("ValidationException", message)
    error.current = current
    return error


def parameter_error(message: str, *, current: str | None = None) -> DynamoDBError:
    """A ValidationException whose message begins with "One or more parameter values were invalid: "."""
    error = DynamoDBError("ValidationException", f"{_INVALID_PARAMETER}{message}")
    error.current = None if current is None else f"{_INVALID_PARAMETER}{current}"
    return error


def item_too_large(*, update: bool = False) -> DynamoDBError:
    """An item over 400 KB; `update` for one that an update would make."""
    return validation_error(f"Item size{' to update' if update else ''} has exceeded the maximum allowed size")


NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)


def nesting_error(message: str = NESTING) -> DynamoDBError:
    """A document deeper than 32 levels."""
    return validation_error(message)


def serialization_error(message: str) -> DynamoDBError:
    return DynamoDBError("SerializationException", message)


def table_not_found(message: str = "Requested resource not found") -> DynamoDBError:
    return DynamoDBError("ResourceNotFoundException", message)


def resource_in_use(message: str) -> DynamoDBError:
    return DynamoDBError("ResourceInUseException", message)


def condition_failed(
    item: dict[str, Any] | None = None, consumed: Sequence[ConsumedCapacity] = ()
) -> DynamoDBError:
    members = {"Item": item} if item is not None else None
    error = DynamoDBError("ConditionalCheckFailedException", "The conditional request failed", members=members)
    error.consumed = consumed
    return error
