"""A call of an operation of Application Auto Scaling, its errors and its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.records import Place
from blotter.database.services.errors import ServiceError
from blotter.database.services.paging import marker_of, place_of, take
from blotter.database.services.service_call import ServiceCall

NAMESPACE = "dynamodb"
UNSUPPORTED = "Unsupported service namespace, resource type or scalable dimension"

T = TypeVar("T")


class ScalingCall(ServiceCall, frozen=True, kw_only=True):
    """`region` is the caller's too."""

    region: str

    @property
    def place(self) -> Place:
        """The target that the call names. Raises ValidationException for what cannot be one."""
        resource, dimension = self.arguments["ResourceId"], self.arguments["ScalableDimension"]
        parts = resource.split("/")
        kind = {2: "table", 4: "index"}.get(len(parts), "")
        fits = parts[0] == "table" and all(parts) and (kind == "table" or (kind and parts[2] == "index"))
        if self.arguments["ServiceNamespace"] != NAMESPACE or not fits:
            raise invalid(UNSUPPORTED)
        if dimension not in (f"dynamodb:{kind}:ReadCapacityUnits", f"dynamodb:{kind}:WriteCapacityUnits"):
            raise invalid(UNSUPPORTED)
        return Place(self.account, self.region, resource, dimension)

    def wants(self, place: Place) -> bool:
        """Whether a list with this call's filters has what belongs to a target."""
        resource, dimension = self.argument("ResourceId"), self.argument("ScalableDimension")
        return (
            self.arguments["ServiceNamespace"] == NAMESPACE
            and resource in (None, place.resource)
            and dimension in (None, place.dimension)
        )


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def not_found(what: str, place: Place, more: str = "") -> ServiceError:
    """`what`: "scalable target registered", "scaling policy found"…"""
    return ServiceError(
        "ObjectNotFoundException",
        f"No {what} for service namespace: {NAMESPACE}, resource ID: {place.resource}, "
        f"scalable dimension: {place.dimension}{more}",
    )


def page(
    call: ScalingCall,
    elements: Iterable[T],
    key: Callable[[T], str],
    view: Callable[[T], dict[str, Any]],
    member: str,
    most: int = 50,
) -> Output:
    """The page that was asked for, of elements in an order that is ascending by key. Raises
    InvalidNextTokenException for a token that was not given out for this list."""
    limit = call.argument("MaxResults")
    limit = most if limit is None else limit
    if not 1 <= limit <= most:
        raise invalid(f"MaxResults must be between 1 and {most}")
    after = place_of(call.operation, call.argument("NextToken"))
    if after is None:
        raise ServiceError("InvalidNextTokenException", "The next token supplied was invalid.")
    chosen, more = take(elements, key, after, limit)
    output: Output = {member: list(map(view, chosen))}
    if more:
        output["NextToken"] = marker_of(call.operation, key(chosen[-1]))
    return output
