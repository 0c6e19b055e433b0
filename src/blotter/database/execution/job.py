"""A plan to execute and how its request ends: what the executor is given for each request."""

from __future__ import annotations

from abc import ABC, abstractmethod

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan

CLIENT_GONE = DynamoDBError("InternalServerError", "The client closed the connection.", 500)
"""What ends work that nobody waits for any more."""


class Ends(ABC):
    """How a request ends: its response to a result or an error, which may have to wait until it is recorded. A
    base class and not a protocol, so that compiled code calls it directly: once for every request."""

    @abstractmethod
    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response | Pending: ...

    @abstractmethod
    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response | Pending: ...


class Job:
    """A plan to execute, for whom, and how its request ends."""

    __slots__ = ("context", "ends", "plan", "request")

    def __init__(self, plan: Plan, context: Context, request: Request, ends: Ends) -> None:
        self.plan = plan
        self.context = context
        self.request = request
        self.ends = ends

    def succeeded(self, result: Result) -> Response | Pending:
        return self.ends.succeeded(result, self.request, self.context, self.plan)

    def failed(self, error: BaseException) -> Response | Pending:
        if isinstance(error, DynamoDBError):
            error.without_trace()
        return self.ends.failed(error, self.request, self.context, self.plan)
