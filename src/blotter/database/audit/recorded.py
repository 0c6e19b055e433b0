"""How requests end that are recorded: as others do, and then their answers wait for the record.

Compiled, because `Ends` is; what a record says is `recorder`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from blotter.database.execution.job import Ends
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan

Record = Callable[
    [Response, Request, "Context | None", "Plan | None", "Result | tuple[str, str]"], "Response | Pending"
]
"""Records a request with its result or its error (code, message), and returns the answer that its client gets."""


class Recorded(Ends):
    """The requests of one operation, which end as with `ends` and are recorded with `record`."""

    __slots__ = ("_ends", "_record")

    def __init__(self, ends: Ends, record: Record) -> None:
        self._ends = ends
        self._record = record

    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response | Pending:
        answer = self._ends.succeeded(result, request, context, plan)
        return answer if isinstance(answer, Pending) else self._record(answer, request, context, plan, result)

    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response | Pending:
        answer = self._ends.failed(error, request, context, plan)
        refused = ("InternalServerError", "Internal server error")
        if isinstance(error, DynamoDBError):
            refused = (error.code, error.message)
        return answer if isinstance(answer, Pending) else self._record(answer, request, context, plan, refused)
