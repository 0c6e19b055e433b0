"""A call of a CloudWatch operation, as the modules of this package see it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from blotter.database.metrics.series import MetricReader
from blotter.database.services.errors import serialization_error
from blotter.database.services.service_call import ServiceCall

T = TypeVar("T")


class CloudWatchCall(ServiceCall, frozen=True, kw_only=True):
    """`region` is the caller's too."""

    region: str
    reader: MetricReader


def converted(value: Any, kind: type[T]) -> T:
    """A part of the input as a typed value. Raises SerializationException, which the check of the input against
    the model leaves no cause for."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise serialization_error(str(error)) from None
