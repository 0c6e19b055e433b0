"""What can be said of a request without the store: its error, or that its body may be decoded. Pure.

The stages are those of `pipeline.Pipeline.prepare`, in its order, and the functions are the same.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.registry import OPERATIONS
from blotter.database.validation import CHECKS
from blotter.database.wire.decode import NOT_DECODED, decode_exactly, decode_quickly
from blotter.database.wire.layers import layer_of, worded
from blotter.database.wire.substitution import check_substitution_variables
from blotter.database.wire.target import parse_target


class Refusal(msgspec.Struct, frozen=True):
    """An error of a request, as `DynamoDBError` has it. `while_preparing`: it was found by the operation's
    preparation and not before."""

    code: str
    message: str
    status: int
    members: dict[str, Any] | None
    while_preparing: bool

    def error(self) -> DynamoDBError:
        return DynamoDBError(self.code, self.message, self.status, self.members)


class CheckResult(msgspec.Struct, frozen=True):
    """The error of a request; None for one that may be executed. Such a body can be decoded by the quick way; one
    that cannot is replaced by `body`, which is the same request."""

    refusal: Refusal | None = None
    body: bytes | None = None


def check_body(target: str | None, body: bytes) -> CheckResult:
    """Checks a request with this `X-Amz-Target` header. Raises what no request should raise."""
    preparing, replaced = False, None
    try:
        name = parse_target(target, body)
        try:
            arguments = decode_quickly(name, body)
        except NOT_DECODED:
            arguments = decode_exactly(name, body)
            replaced = msgspec.json.encode(arguments)
        check_substitution_variables(arguments)
        try:
            operation = OPERATIONS.get(name)
            if operation is None:
                raise not_implemented(name)
            check = CHECKS.get(name)
            if check is not None:
                check(arguments)
            preparing = True
            operation.prepare(arguments)
        except DynamoDBError as error:
            raise worded(error, layer_of(name, body)) from None
    except DynamoDBError as error:
        return CheckResult(Refusal(error.code, error.message, error.status, error.members, preparing))
    return CheckResult(body=replaced)


def not_implemented(operation: str) -> DynamoDBError:
    """The error of an operation of the service model that is not served."""
    return DynamoDBError("UnknownOperationException", f"Blotter does not implement {operation} yet.")
