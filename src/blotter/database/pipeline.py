"""START HERE: the path of a request, one call per stage.

    parse → authenticate → decode → validate → prepare → authorize → admit → execute (in a storage transaction)
        → account → response

`Pipeline.answer` is this line. The order of these calls, and nothing else, decides which of two errors a request
with two faults gets. `authorize` works on what the plan touches; under open access there is none. `admit` looks
whether the tables have the capacity, and what the request consumed is settled when it ends; none where nothing is
throttled. `executor` executes: a point read is answered at once, a write or a long read with a `Pending` that is
settled later. At the end of every request, `counters` (metrics) and `account` (the request log) get what it was,
what its plan touches, and its result with the capacity it consumed, or its error. Nothing here depends on sockets,
SQL or a single operation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from blotter.database.admission.stage import Admission
from blotter.database.checking.body_check import CheckResult, not_implemented
from blotter.database.execution.executor import Executor
from blotter.database.execution.job import CLIENT_GONE, Ends
from blotter.database.heavy_requests import HeavyBody, HeavyRequests, Work
from blotter.database.http.budget import is_heavy
from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.metrics.counting import Counters
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.operation import Operation
from blotter.database.operations.registry import OPERATIONS
from blotter.database.operations.touches import Plan
from blotter.database.security.identity import Identity
from blotter.database.storage.at_hand import NotAtHand
from blotter.database.storage.protocol import Storage, StorageUnavailable
from blotter.database.validation import CHECKS
from blotter.database.wire.decode import OPERATIONS as KNOWN
from blotter.database.wire.decode import decode_request
from blotter.database.wire.encode import encode_error
from blotter.database.wire.layers import layer_of, worded
from blotter.database.wire.slices import decode_in_slices
from blotter.database.wire.target import find_target, parse_error, parse_target
from blotter.database.work_thread import WorkThread, give_way

log = logging.getLogger(__name__)

# An unpacked body may be as large as a plain one.
_MAX_BODY = Limits().body

Account = Callable[[Request, "Context | None", "Plan | None", "Result | DynamoDBError"], None]
"""Called once for every request that ends, before its response leaves. There is no context when the request failed
before or in authentication, and no plan when it failed before it had one."""

Authorize = Callable[[Request, Context, Plan], None]
"""Raises DynamoDBError unless the caller may do what the plan touches. Called on the event loop."""


class BodyChecker(Protocol):
    """Checks heavy bodies, on a thread (`checking.client.Checker`)."""

    def check(self, target: str | None, body: bytes) -> CheckResult | None:
        """What `checking.body_check.check_body` returns; None when it cannot any more."""


class Audit(Protocol):
    """Records requests. It is asked once for each operation, so that others pay nothing for it."""

    def ends(self, operation: str, ends: Ends) -> Ends | None:
        """What ends the requests of an operation, on top of `ends`; None if they are not recorded."""

    def check(self) -> None:
        """Raises DynamoDBError when requests could not be recorded."""


class Prepared:
    """A request that may be executed, and what ends it."""

    __slots__ = ("context", "ends", "operation", "plan")

    def __init__(self, operation: Operation[Any, Any], plan: Any, context: Context, ends: Ends) -> None:
        self.operation = operation
        self.plan = plan
        self.context = context
        self.ends = ends


class _Served:
    """What an operation needs: its check of a request without the table, if there is one, and what ends its
    requests. `may_refuse` may raise DynamoDBError; its preparation begins with it."""

    __slots__ = ("check", "ends", "may_refuse", "operation")

    def __init__(
        self, operation: Operation[Any, Any], ends: Ends, may_refuse: Callable[[], None] | None = None
    ) -> None:
        self.operation = operation
        self.ends = ends
        self.may_refuse = may_refuse
        self.check = CHECKS.get(operation.name)


class Failed:
    """A request that may not be executed. Without a context, it failed before or in authentication."""

    __slots__ = ("context", "error")

    def __init__(self, error: Exception, context: Context | None) -> None:
        self.error = error
        self.context = context


LARGE_BODY = 256 * 1024
"""Bodies of more bytes are decoded and checked on a thread."""
SMALL_BODY = 8 * 1024
"""Bodies of more bytes are decoded and checked on a thread too, if they are compressed or may hold many
expressions: these take some 5 µs a byte."""


class Pipeline(Ends):
    """Answers requests over one store. `clock` gives seconds since the epoch. `checker` has heavy bodies checked;
    without it they are prepared like others."""

    def __init__(
        self,
        storage: Storage,
        authenticate: Callable[[Request], Identity],
        *,
        table_delay: float = 0.0,
        clock: Callable[[], float] = time.time,
        account: Account | None = None,
        counters: Counters | None = None,
        authorize: Authorize | None = None,
        admission: Admission | None = None,
        audit: Audit | None = None,
        checker: BodyChecker | None = None,
    ) -> None:
        self._checker = checker
        self._heavy = HeavyRequests(Work(self._prepare_heavy, self._execute_heavy, self._give_up))
        self._authenticate = authenticate
        self._authorize = authorize
        self._admission = admission
        self._table_delay = table_delay
        self._clock = clock
        self._account = account
        self._counters = counters
        self._executor = Executor(storage)
        self.submit_read = storage.submit_read
        self._audit = audit
        self._served = {name: self._serve(operation) for name, operation in OPERATIONS.items()}
        self._threads: dict[str, WorkThread] = {}

    def account_with(self, account: Account | None) -> None:
        """Calls another `account`, or none, from now on: so that what is counted only now and then costs nothing
        meanwhile."""
        self._account = account

    def answer(self, request: Request) -> Response | Pending:
        """The response, or a `Pending` that is settled with it later. Raises nothing: every failure is a response
        too."""
        size = len(request.body)
        if size > SMALL_BODY and (
            size > LARGE_BODY or "content-encoding" in request.headers or _has_many_expressions(request)
        ):
            return _LargeRequest(self, request)
        return self.execute(request, self.prepare(request))

    def prepare(self, request: Request, unless_heavy: bool = False) -> Prepared | Failed:
        """The stages before execution. They need no store. With `unless_heavy` a request with a heavy body fails
        with `HeavyBody`."""
        context: Context | None = None
        identity: Identity | None = None
        try:
            body = request.body
            compressed = "content-encoding" in request.headers
            if self._authorize is not None and (compressed or len(body) > SMALL_BODY):
                # A caller who is not who he says causes no work on a large body, not even to find its error first.
                identity = self._authenticate(request)
            if compressed:
                body = unpack(body, request.headers["content-encoding"], _MAX_BODY)
            if unless_heavy and is_heavy(body):
                raise HeavyBody(request, body, identity)
            name = parse_target(request.headers.get("x-amz-target"), body)
            if identity is None:
                identity = self._authenticate(request)
            context = self._context(request, name, identity)
            return self._prepared(name, decode_request(name, body), body, context)
        except Exception as error:
            return Failed(error, context)

    def _prepare_heavy(self, heavy: HeavyBody, pieces: list[Any]) -> Prepared | Failed:
        """`prepare` for a heavy body: what refuses it is found by the checker, and what is right is decoded in
        slices, whose parts are added to `pieces`. On a thread."""
        request, body, identity = heavy.request, heavy.body, heavy.identity
        context: Context | None = None
        try:
            target = request.headers.get("x-amz-target")
            checked = None if self._checker is None else self._checker.check(target, body)
            refusal = None if checked is None else checked.refusal
            name = find_target(target)
            if name is None:
                raise parse_error(body) if refusal is None else refusal.error()
            if identity is None:
                identity = self._authenticate(request)
            context = self._context(request, name, identity)
            if refusal is not None:
                may_refuse = self._served[name].may_refuse if refusal.while_preparing else None
                if may_refuse is not None:
                    may_refuse()
                raise refusal.error()
            if checked is None:
                arguments = decode_request(name, body)
            else:
                body = body if checked.body is None else checked.body
                arguments = decode_in_slices(name, body, pieces, give_way)
            return self._prepared(name, arguments, body, context)
        except Exception as error:
            return Failed(error, context)

    def _context(self, request: Request, name: str, identity: Identity) -> Context:
        return Context(
            identity.account,
            identity.region,
            self._clock(),
            self._table_delay,
            "user",
            request.headers.get("host", ""),
            name,
            identity,
        )

    def _prepared(self, name: str, arguments: Any, body: bytes, context: Context) -> Prepared:
        """The stages after decoding."""
        try:
            served = self._served.get(name)
            if served is None:
                raise not_implemented(name)
            if served.check is not None:
                served.check(arguments)
            operation = served.operation
            return Prepared(operation, operation.prepare(arguments), context, served.ends)
        except DynamoDBError as error:
            raise worded(error, layer_of(name, body)) from None

    def execute(self, request: Request, prepared: Prepared | Failed, heavy: bool = False) -> Response | Pending:
        """The rest of the way. `heavy`: the request holds so much that it is executed neither on the event loop
        nor in the write lock."""
        if isinstance(prepared, Failed):
            if isinstance(prepared.error, NotAtHand):
                return _WaitingRequest(self, request, prepared, prepared.error)
            return self._ends_of(request).failed(prepared.error, request, prepared.context, None)
        plan, context, ends = prepared.plan, prepared.context, prepared.ends
        try:
            if self._authorize is not None:
                self._authorize(request, context, plan)
            if self._admission is not None:
                ends = self._admission.admit(context, plan, ends)
            execution = prepared.operation.execution(plan)
            return self._executor.execute(execution, plan, context, request, ends, heavy)
        except NotAtHand as needed:
            return _WaitingRequest(self, request, prepared, needed)
        except Exception as error:
            return ends.failed(error, request, context, plan)

    def on_thread(
        self, name: str, work: Callable[[], object], done: Callable[[BaseException | None], None]
    ) -> None:
        """Does work on the pipeline's thread of that name, which is started for the first of it; then calls `done`
        on the loop."""
        if name not in self._threads:
            self._threads[name] = WorkThread(name)
        self._threads[name].run(asyncio.get_running_loop(), work, done)

    def add_heavy(self, heavy: HeavyBody, answer: Pending) -> None:
        """Settles the answer to a request with a heavy body, after those that came before."""
        self._heavy.add(heavy, answer)

    def _execute_heavy(self, request: Request, prepared: Prepared | Failed) -> Response | Pending:
        return self.execute(request, prepared, True)

    def _give_up(self, request: Request, error: BaseException | None) -> Response | Pending:
        """Ends a heavy request that failed on its thread, or whose client is gone."""
        return self.execute(request, Failed(CLIENT_GONE if error is None else RuntimeError(repr(error)), None))

    def _serve(self, operation: Operation[Any, Any]) -> _Served:
        """An operation with what ends its requests: this, unless they are recorded."""
        ends = None if self._audit is None else self._audit.ends(operation.name, self)
        if self._audit is None or ends is None:
            return _Served(operation, self)
        return _Served(operation.after(self._audit.check), ends, self._audit.check)

    def _ends_of(self, request: Request) -> Ends:
        """What ends a request that failed before its operation was looked up."""
        if self._audit is None:
            return self
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        served = self._served.get(name)
        if served is not None:
            return served.ends
        return (self._audit.ends(name, self) if name in KNOWN else None) or self

    # How requests end

    def succeeded(self, result: Result, request: Request, context: Context, plan: Plan) -> Response:
        if self._counters is not None:
            self._counters.ended(request, context, plan, result)
        if self._account is not None:
            self._account(request, context, plan, result)
        return Response(200, result.body)

    def failed(
        self, error: BaseException, request: Request, context: Context | None, plan: Plan | None
    ) -> Response:
        """The response to an error. One that is no DynamoDBError is logged and becomes InternalServerError."""
        refusal = _refusal(error, request)
        if self._counters is not None:
            self._counters.ended(request, context, plan, refusal)
        if self._account is not None:
            self._account(request, context, plan, refusal)
        return Response(refusal.status, encode_error(refusal) if _has_body(error) else b"")


class _LargeRequest(Pending):
    """A request that may take long to prepare. It is prepared on a thread; the event loop goes on with others.
    Bodies of megabytes have a thread of their own, and so have heavy ones: smaller ones need not wait for them."""

    __slots__ = ("_pipeline", "_prepared", "_request")

    def __init__(self, pipeline: Pipeline, request: Request) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._request = request
        self._prepared: Prepared | Failed = Failed(RuntimeError("not prepared"), None)
        large = len(request.body) > LARGE_BODY or "content-encoding" in request.headers
        pipeline.on_thread("large-bodies" if large else "expressions", self._prepare, self._execute)

    def _prepare(self) -> None:
        self._prepared = self._pipeline.prepare(self._request, True)

    def _execute(self, error: BaseException | None) -> None:
        prepared = self._prepared if error is None else Failed(RuntimeError(repr(error)), None)
        if isinstance(prepared, Failed) and isinstance(prepared.error, HeavyBody):
            self._pipeline.add_heavy(prepared.error, self)
        else:
            self.settle_with(self._pipeline.execute(self._request, prepared))


class _WaitingRequest(Pending):
    """A request for which the store is read first, because a stage needs what it holds; then it begins again."""

    __slots__ = ("_needed", "_pipeline", "_prepared", "_request")

    def __init__(
        self, pipeline: Pipeline, request: Request, prepared: Prepared | Failed, needed: NotAtHand
    ) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._request = request
        self._prepared = prepared
        self._needed = needed
        pipeline.submit_read(needed.read, self._read)

    def _read(self, found: Any, error: BaseException | None) -> None:
        if error is None:
            self._needed.use(found, self._go_on)
            return
        context = self._prepared.context
        failed = Failed(error if isinstance(error, Exception) else RuntimeError(repr(error)), context)
        self.settle_with(self._pipeline.execute(self._request, failed))

    def _go_on(self) -> None:
        prepared = self._prepared
        if isinstance(prepared, Failed):
            self.settle_with(self._pipeline.answer(self._request))
        else:
            self.settle_with(self._pipeline.execute(self._request, prepared))


def _has_many_expressions(request: Request) -> bool:
    operation = OPERATIONS.get(request.headers.get("x-amz-target", "").rpartition(".")[2])
    return operation is not None and operation.many_expressions


def _has_body(error: BaseException) -> bool:
    return not isinstance(error, ContentEncodingError) or error.status == 500


def _refusal(error: BaseException, request: Request) -> DynamoDBError:
    if isinstance(error, DynamoDBError):
        return error
    if isinstance(error, ContentEncodingError):
        log.warning("request %s: %s", request.id, error)
        return DynamoDBError("InternalServerError", "Internal server error", error.status)
    if isinstance(error, StorageUnavailable):
        log.warning("request %s: storage unavailable: %s", request.id, error)
    else:
        log.error("request %s failed", request.id, exc_info=error)
    return DynamoDBError("InternalServerError", "Internal server error", 500)
