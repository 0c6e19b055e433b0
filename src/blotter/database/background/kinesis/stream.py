"""One Kinesis data stream, through botocore: does it exist, and put records into it.

Credentials, and another endpoint (`AWS_ENDPOINT_URL_KINESIS`), come from where boto3 takes them. Calls block; they
run on a thread of their delivery. None is repeated here: the delivery does that, and shows that it fails.
Operators see the errors, so they hold no credentials: of errors about signatures only the code, because Kinesis
repeats the request's headers in them. botocore is loaded only where a table has a destination.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol

from blotter.database.background.kinesis.records import Record

NOT_PERMITTED: Final = "User does not have a permission to use kinesis stream"
OTHER_REGION: Final = (
    "The kinesis Arn used to enable kinesis replication belongs to a stream which is not in the current region"
)
NOT_ACTIVE: Final = (
    "The kinesis Arn used to enable kinesis replication belongs to a stream which is not in Active state"
)

_ARN = re.compile(
    r"arn:aws[a-z-]*:kinesis:(?P<region>[a-z0-9-]+):[0-9]{12}:stream/(?P<name>[a-zA-Z0-9_.-]{1,128})", re.ASCII
)
_CONNECT_SECONDS = 5
_READ_SECONDS = 15
_LONGEST_PROBLEM = 300
_USER_IN_URL = re.compile(r"://[^/@\s\"]*@")
# Errors of the caller that no repetition helps.
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "InvalidArgumentException",
        "ResourceNotFoundException",
        "ValidationException",
        "KMSAccessDeniedException",
    }
)


class Undelivered(Exception):
    """Kinesis could not be called, or refused. The text is for operators."""


class Stream(Protocol):
    def refusal(self) -> str | None:
        """Why records cannot be put into the stream, with AWS's wording; None if they can. Raises Undelivered when
        that cannot be found out now."""

    def put(self, records: Sequence[Record]) -> list[str | None]:
        """Puts up to 500 records of up to 5 MB; what became of each: None, or why it was not stored. Raises
        Undelivered for what became of the request."""


class KinesisStream:
    """See `Stream`."""

    def __init__(self, arn: str, region: str) -> None:
        self._arn = arn
        self._region = region
        match = _ARN.fullmatch(arn)
        self._stream_region, self._name = ("", "") if match is None else match.group("region", "name")

    def refusal(self) -> str | None:
        if not self._name:
            return NOT_PERMITTED
        if self._stream_region != self._region:
            return OTHER_REGION
        import botocore.exceptions

        try:
            answer = self._call("describe_stream_summary")
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _REFUSALS:
                return NOT_PERMITTED
            raise Undelivered(problem_of(error)) from None
        status = answer["StreamDescriptionSummary"]["StreamStatus"]
        if status in ("ACTIVE", "UPDATING"):
            return None
        return NOT_PERMITTED if status == "CREATING" else NOT_ACTIVE

    def put(self, records: Sequence[Record]) -> list[str | None]:
        import botocore.exceptions

        entries = [{"Data": record.data, "PartitionKey": record.partition_key} for record in records]
        try:
            answer = self._call("put_records", Records=entries)
        except botocore.exceptions.ClientError as error:
            raise Undelivered(problem_of(error)) from None
        results = answer["Records"]
        if len(results) != len(records):
            raise Undelivered(f"Kinesis answered for {len(results)} of {len(records)} records")
        return [_failure(result) for result in results]

    def _call(self, operation: str, **arguments: Any) -> Any:
        """Raises ClientError for what Kinesis answered, Undelivered for everything else."""
        import botocore.exceptions

        try:
            client = _clients.client(self._region)
            return getattr(client, operation)(StreamARN=self._arn, StreamName=self._name, **arguments)
        except botocore.exceptions.BotoCoreError as error:
            raise Undelivered(problem_of(error)) from None


class _Clients:
    """One client for each region, shared by all threads. A session makes clients for one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def client(self, region: str) -> Any:
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._connect(region)
            return self._clients[region]

    def _connect(self, region: str) -> Any:
        import botocore.config
        import botocore.session

        if self._session is None:
            self._session = botocore.session.get_session()
        config = botocore.config.Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
        )
        return self._session.create_client("kinesis", region_name=region, config=config)


_clients = _Clients()


def problem_of(error: Exception) -> str:
    """An error of botocore in one line, without what may be secret."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        details = response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        text = code if "Signature" in code or not message else f"{code}: {message}"
    else:
        text = str(error)
    line = _USER_IN_URL.sub("://", " ".join(text.split()))
    return line if len(line) <= _LONGEST_PROBLEM else f"{line[:_LONGEST_PROBLEM]}…"


def _failure(result: dict[str, Any]) -> str | None:
    code = result.get("ErrorCode")
    if not code:
        return None
    return " ".join(f"{code}: {result.get('ErrorMessage') or ''}".split())[:_LONGEST_PROBLEM]
