"""The endpoint as the set-up sees it: one call at a time, every failure a `SetupError`.

Owns the boto3 clients, the credentials and the deadline of a call. botocore's own retries are off: `apply` repeats
whole steps from a fresh describe, visibly and within its deadline, and two layers of retries would hide each
other. What a failure means is in `failures.py`, whether an answer can be believed in `answers.py`. Must not depend
on what is being set up.
"""

from __future__ import annotations

import getpass
import queue
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from blotter import aws
from blotter.printable import without_secrets
from blotter.tables.calls.answers import Answer, fault
from blotter.tables.calls.failures import (
    NOT_AS_PROMISED,
    NOT_DYNAMODB,
    error_of,
    failed,
    no_configuration,
    no_credentials,
    refused,
)
from blotter.tables.calls.wait import Deadline
from blotter.tables.errors import NOT_OFFERED, Exit, Retry, SetupError

if TYPE_CHECKING:
    import boto3

    from blotter.config import Configuration

Result = TypeVar("Result")

# What a call gets even when the deadline is nearer, so that the error is about the deadline and not the call.
LEAST_CALL_S = 2.0


class Caller(Protocol):
    """What plan and apply need of an endpoint; tests give scripted ones."""

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> Answer:
        """The answer to one request, or SetupError. `operation` is the API's name (DescribeTable)."""


class Endpoint:
    """The configured endpoint through boto3. Clients are made on first use and kept.

    `deadline`: no call outlasts it, however slowly an answer arrives; without one only botocore's time-outs hold.
    """

    def __init__(
        self, configuration: Configuration, connections: int = 10, deadline: Deadline | None = None
    ) -> None:
        self._configuration, self._connections, self._deadline = configuration, connections, deadline
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._credentials: Any = None
        self._late = False

    @property
    def address(self) -> str:
        """The URL requests really go to, without secrets; "AWS" for Amazon's own. Raises SetupError."""
        url = without_secrets(self.url())
        default = f"https://dynamodb.{self._configuration.region}."
        return "AWS" if aws.is_aws(url) and url.startswith(default) else url

    def url(self, service: str = "dynamodb") -> str:
        """Where requests to `service` go. Raises SetupError when no client can be made."""
        return str(self._client(service).meta.endpoint_url)

    @property
    def is_aws(self) -> bool:
        """Whether the tables are on Amazon DynamoDB."""
        return aws.is_aws(self.url())

    @property
    def origin(self) -> str:
        """Where the address comes from when the configuration does not set it: the SDK's own file. Else empty."""
        unsaid = self._configuration.endpoint is None and self.address != "AWS"
        return "the AWS configuration file" if unsaid else ""

    def offers(self, service: str) -> bool:
        """Whether AWS's `service` may be called: tables that are elsewhere do not concern the one on AWS."""
        return service == "dynamodb" or self.is_aws or not aws.is_aws(self.url(service))

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> Answer:
        client = self._client(service)
        if not self.offers(service):
            raise SetupError(
                f"{service} is AWS's, and the tables are at {self.address}; declare what needs it only for an"
                f" environment on AWS, or name an endpoint for it in {aws.endpoint_variable(service)}",
                Exit.CONFIGURATION,
                code=NOT_OFFERED,
            )
        place = self.address if service == "dynamodb" else without_secrets(client.meta.endpoint_url)

        def work() -> Answer:
            self._renew_credentials()
            return _request(client, operation, parameters, place)

        return self._in_time(f"{operation}: {place}", work)

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                try:
                    if self._session is None:
                        self._session = aws.session(self._configuration)
                        self._find_credentials(self._session)
                    self._clients[service] = aws.client_of(
                        self._session,
                        self._configuration,
                        service,
                        attempts=1,
                        max_pool_connections=self._connections,
                    )
                except SetupError:
                    raise
                except Exception as error:  # the SDK reads files, variables and plug-ins of the user's
                    raise no_configuration(error, self._configured()) from None
            return self._clients[service]

    def _find_credentials(self, session: boto3.Session) -> None:
        """A provider may run a program, read files, ask another service or a person."""

        def find() -> Any:
            with warnings.catch_warnings():
                # Without a terminal getpass would echo the code that is typed; it is a failure instead.
                warnings.simplefilter("error", getpass.GetPassWarning)
                return self._from_provider(session.get_credentials)

        # A person at a terminal has to type a code, and can end the wait.
        interactive = sys.stdin is not None and sys.stdin.isatty()
        self._credentials = find() if interactive else self._in_time("the source of the credentials", find)

    def _renew_credentials(self) -> None:
        """Those that ran out are fetched again here rather than within the request, so that a failure is reported
        as one of the credentials."""
        if self._credentials is not None:  # None: a client that a test put there
            self._from_provider(lambda: self._credentials)

    def _from_provider(self, find: Callable[[], Any]) -> Any:
        """Credentials that are there and valid. Whatever a provider raises is a failure of the credentials."""
        from botocore.exceptions import NoCredentialsError

        try:
            found = find()
            if found is None:
                raise NoCredentialsError
            frozen = found.get_frozen_credentials()
            # Such a character cannot be sent, and the HTTP client's own message would show the secret.
            if not all(text.isprintable() for text in frozen[:3] if text):
                raise ValueError("a key or token holds a line break or another control character")
        except Exception as error:
            local = aws.is_local(self._configuration.endpoint or "")
            raise no_credentials(error, self._configured(), local=local) from None
        return found

    def _configured(self) -> str:
        return self._configuration.endpoint or "AWS"

    def _in_time(self, doing: str, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises, if it ends before the deadline. What does not end is left to a thread
        that does not keep the process alive: a socket that drips has no time-out of its own."""
        if self._deadline is None:
            return work()
        if self._late:
            raise SetupError(f"{doing} was not asked, the time is up", Exit.TIMED_OUT, Retry.UNTIL_DEADLINE)
        self._late = self._deadline.left() <= 0  # one call may begin late: it shows what the wait is for
        answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answers.put((work(), None))
            except BaseException as error:
                answers.put((None, error))

        threading.Thread(target=run, name="blotter-call", daemon=True).start()
        try:
            result, error = answers.get(timeout=max(self._deadline.left(), LEAST_CALL_S))
        except queue.Empty:
            passed = f"{self._deadline.elapsed():.0f} s"
            raise SetupError(
                f"{doing} did not answer in full within {passed}", Exit.TIMED_OUT, Retry.UNTIL_DEADLINE
            ) from None
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def _request(client: Any, operation: str, parameters: Answer, place: str) -> Answer:
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: Answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        raise refused(error.response, operation, place) from None
    except BotoCoreError as error:
        raise failed(error, operation, place) from None
    except Exception as error:  # botocore's parsers on what is not an answer: ValueError, AttributeError, …
        raise failed(error, operation, place) from None
    shape = client.meta.service_model.operation_model(operation).output_shape
    if operation.startswith("Describe") and answer.keys() <= {"ResponseMetadata"}:  # a 200 of something else
        raise error_of(NOT_DYNAMODB, operation, place)
    if wrong := fault(operation, parameters, answer, shape):
        raise error_of(NOT_AS_PROMISED, operation, place, message=wrong)
    return answer
