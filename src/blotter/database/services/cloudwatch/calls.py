"""A call of a CloudWatch operation, as the modules of this package see it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from blotter.database.metrics.series import MetricReader
from blotter.database.services.errors import serialization_error

T = TypeVar("T")


class CloudWatchCall(msgspec.Struct, frozen=True):
    """`account` and `region` are those in which the operation works: the caller's. `now` is in seconds since the
    epoch."""

    operation: str
    arguments: dict[str, Any]
    account: str
    region: str
    now: float
    reader: MetricReader

    def argument(self, name: str) -> Any:
        """A member of the input, None if it was not given."""
        return self.arguments.get(name)


def converted(value: Any, kind: type[T]) -> T:
    """A part of the input as a typed value. Raises SerializationException, which the check of the input against
    the model leaves no cause for."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise serialization_error(str(error)) from None
