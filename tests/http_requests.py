"""Requests like others."""

from __future__ import annotations

from typing import Any

from blotter.database.http.messages import Request


def changed(request: Request, **members: Any) -> Request:
    """The request with other members."""
    return Request(**{name: getattr(request, name) for name in Request.__slots__} | members)
