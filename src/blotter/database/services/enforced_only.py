"""What services answer that need enforced access, while access is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from blotter.database.services.api import Call, Direct, Operation, Output
from blotter.database.services.errors import ServiceError


def refused_under_open_access(title: str, operations: Iterable[str]) -> Mapping[str, Operation]:
    """A registry that refuses each of the operations of a service.

    Under open access nobody's policies are evaluated, so users and roles would promise what nothing keeps; and
    whoever could make them could leave himself a way in for the time after.
    """
    return dict.fromkeys(operations, Direct(lambda call: _refuse(title, call)))


def _refuse(title: str, call: Call) -> Output:
    raise ServiceError(
        "AccessDenied",
        f"{call.operation} of {title} needs access control, and this server has none: start it with "
        "`blotter serve --access enforced`.",
        403,
    )
