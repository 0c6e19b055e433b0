"""The one error of the services other than DynamoDB, before a protocol has put it into bytes.

`code` is spelled as the JSON protocols spell it; protocols/query.py replaces what the older protocol calls
otherwise. Sources: the common errors in the API references of STS, IAM, CloudWatch and CloudTrail, e.g.
https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations


class ServiceError(Exception):
    """A refusal as the client sees it: code, message and HTTP status. From 500 on it is the server's fault."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status


def serialization_error(message: str) -> ServiceError:
    """The body cannot be read at all."""
    return ServiceError("SerializationException", message)


def unknown_operation(title: str, name: str, *, known: bool) -> ServiceError:
    """An operation that the service has but this server does not (`known`), or that does not exist."""
    if known:
        return ServiceError("UnknownOperationException", f"Blotter does not implement {name} of {title} yet.")
    return ServiceError("UnknownOperationException", f"{title} has no operation named '{shortened(name)}'.")


def shortened(text: str) -> str:
    """Text from a request, cut to what fits into a message."""
    return text if len(text) <= 200 else f"{text[:200]}…"
