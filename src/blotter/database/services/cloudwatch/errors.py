"""CloudWatch's errors. Named as their shapes; the protocols know what the older one calls them."""

from __future__ import annotations

from collections.abc import Sequence

from blotter.database.services.errors import ServiceError


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message)


def combination(message: str) -> ServiceError:
    return ServiceError("InvalidParameterCombinationException", message)


def missing(message: str) -> ServiceError:
    return ServiceError("MissingRequiredParameterException", message)


def validation(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def joined(problems: Sequence[str]) -> str:
    """Several problems in one message, each on a line; one that ends a line by itself keeps its end."""
    return "\n".join(problems)


def no_such_alarm() -> ServiceError:
    """AWS says no more (LocalStack's recordings, 2025-09)."""
    return ServiceError("ResourceNotFound", "", 404)


def invalid_token() -> ServiceError:
    return ServiceError("InvalidNextToken", "The value for parameter NextToken is invalid.")


def unsupported(what: str) -> ServiceError:
    """What AWS does and this server does not."""
    return validation(f"Blotter does not implement {what} yet.")
