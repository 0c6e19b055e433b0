"""What a finished request becomes: its record, on the way to the trail.

`Recorder` is asked once for each operation whether its requests are recorded (`ends`), so that an operation that
is not pays nothing. A management event's answer is held back until its record is synced; a data event's is not.
Requests that did not authenticate are recorded without their parameters, and only some of them in a second: they
cost their sender nothing, and must not fill the disk or keep the trail busy.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import orjson

from blotter.database.audit.events import Event, Resource, is_reading, lost_record, record_of
from blotter.database.audit.finished import Finished
from blotter.database.audit.parameters import data_parameters, elements
from blotter.database.audit.recorded import Recorded
from blotter.database.audit.trail import Trail
from blotter.database.execution.job import Ends
from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.arns import parse_arn, table_arn
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import EVERYTHING, Plan
from blotter.database.storage.at_hand import NotAtHand
from blotter.database.storage.protocol import ReadTransaction, Settled
from blotter.database.wire.encode import encode_error

log = logging.getLogger(__name__)

DATA_EVENTS = frozenset(
    {
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "ExecuteStatement",
        "ExecuteTransaction",
        "GetItem",
        "GetRecords",
        "GetShardIterator",
        "PutItem",
        "Query",
        "Scan",
        "SearchVectors",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    }
)
"""Operations on items and stream records; all others are management events. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"""
_SERVICE_DATA_EVENTS = frozenset({"GetMetricData", "GetMetricWidgetImage", "PutMetricData"})

_DYNAMODB = "dynamodb.amazonaws.com"
_DYNAMODB_VERSION = "2012-08-10"
_GLOBAL = frozenset({"iam"})
"""Services whose events belong to us-east-1, wherever they were called."""

_LARGEST_BODY = 1024 * 1024
"""Parameters of larger requests are not recorded: reading them would keep others waiting."""
_UNKNOWN_A_SECOND = 10
"""Recorded requests that did not authenticate."""
_CREDENTIAL = re.compile(r"Credential=([A-Za-z0-9]{1,128})/[0-9]{8}/([a-z0-9-]{1,32})/", re.ASCII)

# Members of requests that name a resource when there is no plan to ask: an ARN, or the name of a table.
_NAMING = (
    "TableName",
    "TableArn",
    "ResourceArn",
    "StreamArn",
    "BackupArn",
    "SourceTableName",
    "SourceTableArn",
    "TargetTableName",
)
# Messages of these errors may repeat values of items.
_TELLING = frozenset({"ValidationException", "SerializationException"})


SubmitRead = Callable[[Callable[[ReadTransaction], Any], Settled], object]


def _unrecorded() -> DynamoDBError:
    """The refusal of what cannot be recorded: a new one each time, because an error keeps the frames it passed."""
    return DynamoDBError("InternalServerError", "Internal server error", 500)


class Recorder:
    """Records the requests of one process. `account` and `region` are the server's, for requests of which it
    is not known whose they are; `key_names(account, region, table)` gives the names of a table's key, or raises
    NotAtHand: then the record is made after a read with `submit_read`, that of `Storage`."""

    def __init__(
        self,
        trail: Trail,
        account: str,
        region: str,
        key_names: Callable[[str, str, str], tuple[str, ...]],
        *,
        data_events: bool,
        clock: Callable[[], float] = time.time,
        submit_read: SubmitRead | None = None,
    ) -> None:
        self._trail = trail
        self._submit_read = submit_read
        self._account = account
        self._region = region
        self._key_names = key_names
        self._data_events = data_events
        self._clock = clock
        self._unknown_second = 0
        self._unknown = 0
        self._unknown_left_out = 0

    # The pipeline's

    def ends(self, operation: str, ends: Ends) -> Ends | None:
        management = operation not in DATA_EVENTS
        if not (management or self._data_events):
            return None

        def record(
            answer: Response,
            request: Request,
            context: Context | None,
            plan: Plan | None,
            outcome: Result | tuple[str, str],
        ) -> Response | Pending:
            try:
                event = self._dynamodb_event(operation, management, request, context, plan, outcome)
                return self.write(event, answer, _REFUSAL)
            except NotAtHand as needed:
                return self._record_later(needed, lambda: record(answer, request, context, plan, outcome))
            except Exception:
                log.exception("request %s could not be recorded", request.id)
                return _REFUSAL if management else answer

        return Recorded(ends, record)

    def _record_later(self, needed: NotAtHand, record: Callable[[], Response | Pending]) -> Pending:
        """The answer of `record`, once the store was read. Without what it holds, the record has fewer values."""
        if self._submit_read is None:
            raise needed
        pending = Pending()

        def read(found: Any, error: BaseException | None) -> None:
            if error is not None:
                log.warning("the names of a table's key are not known to the audit trail: %s", error)
            needed.use(found, lambda: pending.settle_with(record()))

        self._submit_read(needed.read, read)
        return pending

    def check(self) -> None:
        if self._trail.failing:
            raise _unrecorded()

    # The services'

    @property
    def failing(self) -> bool:
        return self._trail.failing

    def finished(self, finished: Finished, answer: Response, refusal: Response) -> Response | Pending:
        """The answer of a request to a service, once it is recorded; `refusal` if it cannot be."""
        try:
            event = self._service_event(finished)
            return self.write(event, answer, refusal) if event.management or self._data_events else answer
        except Exception:
            log.exception("request %s could not be recorded", finished.request.id)
            return refusal

    def _service_event(self, finished: Finished) -> Event:
        caller, operation = finished.caller, finished.operation
        output = None if finished.output is None or is_reading_output(operation) else elements(finished.output)
        return Event(
            request=finished.request,
            source=f"{finished.service}.amazonaws.com",
            name=operation,
            api_version=finished.version,
            account=self._account if caller is None else caller.account,
            region=self._service_region(finished),
            at=finished.at,
            caller=caller,
            parameters=elements(finished.arguments) or None,
            elements=output,
            error=finished.error,
            management=operation not in _SERVICE_DATA_EVENTS,
        )

    def _service_region(self, finished: Finished) -> str:
        if finished.service in _GLOBAL:
            return "us-east-1"
        return self._region if finished.caller is None else finished.caller.region

    # Both

    def write(self, event: Event, answer: Response, refusal: Response) -> Response | Pending:
        if event.caller is None:
            self._note_unknown(event)
            return answer
        record = record_of(event)
        if event.management:
            changed = event.error is None and not is_reading(event.name)
            return self._trail.record(record, answer, refusal, changed=changed)
        self._trail.note(record)
        return answer

    def _note_unknown(self, event: Event) -> None:
        second = int(event.at)
        if second != self._unknown_second:
            self._unknown_second, self._unknown = second, 0
        self._unknown += 1
        if self._unknown > _UNKNOWN_A_SECOND:
            self._unknown_left_out += 1
            return
        left_out, self._unknown_left_out = self._unknown_left_out, 0
        key, region = _claimed(event.request)
        event = msgspec.structs.replace(
            event,
            access_key=key,
            region=region or self._region,
            parameters=None,
            additional={"requestsLeftOut": left_out} if left_out else None,
        )
        self._trail.note(record_of(event))

    def lost(self, count: int) -> bytes:
        """The record of events that were lost."""
        return lost_record(count, self._account, self._region, self._clock())

    def _dynamodb_event(
        self,
        operation: str,
        management: bool,
        request: Request,
        context: Context | None,
        plan: Plan | None,
        outcome: Result | tuple[str, str],
    ) -> Event:
        caller = None if context is None else context.caller
        account = self._account if context is None else context.account
        region = self._region if context is None else context.region
        body = _body(request) if caller is not None else {}
        error = outcome if isinstance(outcome, tuple) else None
        changed = None
        if isinstance(outcome, Result) and management and not is_reading(operation):
            changed = elements(orjson.loads(outcome.body)) if outcome.body else None
        if management:
            parameters = elements(body) or None
        else:
            parameters = data_parameters(operation, body, lambda table: self._key_names(account, region, table))
            if error is not None and error[0] in _TELLING:
                error = error[0], _without_values(error[1])
        return Event(
            request=request,
            source=_DYNAMODB,
            name=operation,
            api_version=_DYNAMODB_VERSION,
            account=account,
            region=region,
            at=self._clock() if context is None else context.now,
            caller=caller,
            parameters=parameters,
            elements=changed,
            resources=tuple(_resources(plan, body, account, region)),
            error=error,
            management=management,
        )


_REFUSAL = Response(500, encode_error(_unrecorded()))


def is_reading_output(operation: str) -> bool:
    """Whether what an operation returns is left out: what it read. Credentials that were handed out are not."""
    return is_reading(operation) and not operation.startswith(
        ("AssumeRole", "GetSessionToken", "GetFederationToken")
    )


def _body(request: Request) -> dict[str, Any]:
    """The request as it was sent; {} for what is no JSON object, and for what is too large to look at."""
    try:
        body = request.body
        if "content-encoding" in request.headers:
            body = unpack(body, request.headers["content-encoding"], _LARGEST_BODY)
        found = orjson.loads(body) if 0 < len(body) <= _LARGEST_BODY else {}
    except (orjson.JSONDecodeError, ContentEncodingError):
        return {}
    return found if isinstance(found, dict) else {}


def _resources(plan: Plan | None, body: dict[str, Any], account: str, region: str) -> Iterable[Resource]:
    """The tables and streams of a request, each once."""
    if plan is not None:
        names = [touch.resource for touch in plan.touches() if touch.resource != EVERYTHING]
    else:
        names = [name for member in _NAMING if isinstance(name := body.get(member), str)]
    for name in dict.fromkeys(names):
        arn = parse_arn(name)
        if arn is None and (name.startswith("arn:") or len(name) > 255):
            continue
        if arn is None:
            yield Resource("AWS::DynamoDB::Table", table_arn(region, account, name), account)
        else:
            kind = "AWS::DynamoDB::Stream" if arn.stream is not None else "AWS::DynamoDB::Table"
            yield Resource(kind, name, arn.account)


def _claimed(request: Request) -> tuple[str, str]:
    """Access key and region that a request claims."""
    text = request.headers.get("authorization", "")[:4096]
    if not text and "X-Amz-Credential=" in request.target:
        text = request.target.replace("%2F", "/").replace("X-Amz-Credential=", "Credential=")[:4096]
    match = _CREDENTIAL.search(text)
    return ("", "") if match is None else (match[1], match[2])


def _without_values(message: str) -> str:
    """The beginning of a message, up to where it may repeat a value."""
    start, colon, _ = message.partition(":")
    return f"{start}: ***(Redacted)" if colon else message
