"""The endpoint as the set-up sees it: one call at a time, every failure a `SetupError`.

Owns the boto3 clients and the table of what each failure means: its exit code, whether to repeat it, and the one
line that explains it. botocore's own retries are off: `apply` repeats whole steps from a fresh describe, visibly
and within its deadline, and two layers of retries would hide each other. Must not know what is being set up.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from blotter import aws
from blotter.tables.errors import Exit, Retry, SetupError

if TYPE_CHECKING:
    from blotter.config import Configuration

Answer = dict[str, Any]


class Caller(Protocol):
    """What plan and apply need of an endpoint; tests give scripted ones."""

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> Answer:
        """The answer to one request, or SetupError. `operation` is the API's name (DescribeTable)."""


class _Rule(NamedTuple):
    exit_code: Exit
    retry: Retry
    says: str  # {message}, {operation}, {region}, {endpoint}


_CREDENTIALS = (
    "the endpoint does not accept these credentials ({message}); check AWS_PROFILE or the AWS_ACCESS_KEY_ID in use"
)
_EXPIRED = "the credentials have expired ({message}); renew them (`aws sso login`, or a new token) and run again"
_CLOCK = "the signature's time is not accepted ({message}); {clock}"
_BUSY = _Rule(Exit.TIMED_OUT, Retry.UNTIL_DEADLINE, "{operation}: {message}")
_SERVER = _Rule(
    Exit.REFUSED, Retry.BRIEFLY, "{operation}: the endpoint failed ({code}: {message}); run again later"
)

# error code → what it means here. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
# Programming.Errors.html and the common errors of the API reference.
_RULES: dict[str, _Rule] = {
    "ThrottlingException": _BUSY,
    "Throttling": _BUSY,
    "TooManyRequestsException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "ProvisionedThroughputExceededException": _BUSY,
    "LimitExceededException": _BUSY,
    "LimitExceeded": _BUSY,
    "ResourceInUseException": _BUSY,
    "ConcurrentUpdateException": _BUSY,
    # What was described a moment ago is gone, or not yet visible everywhere: describe again.
    "ResourceNotFoundException": _BUSY,
    "ContinuousBackupsUnavailableException": _BUSY,
    "InternalServerError": _SERVER,
    "InternalFailure": _SERVER,
    "ServiceUnavailable": _SERVER,
    "ServiceUnavailableException": _SERVER,
    "AccessDeniedException": _Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "AccessDenied": _Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "OptInRequired": _Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "ExpiredTokenException": _Rule(Exit.CREDENTIALS, Retry.NEVER, _EXPIRED),
    "ExpiredToken": _Rule(Exit.CREDENTIALS, Retry.NEVER, _EXPIRED),
    "RequestExpired": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK),
    "RequestTimeTooSkewed": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK),
    "InvalidSignatureException": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "SignatureDoesNotMatch": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "IncompleteSignatureException": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "UnrecognizedClientException": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "InvalidClientTokenId": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "MissingAuthenticationTokenException": _Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "UnknownOperationException": _Rule(
        Exit.REFUSED,
        Retry.NEVER,
        "{endpoint} does not offer {operation}; declare what needs it for other environments",
    ),
}
_OTHER = _Rule(Exit.REFUSED, Retry.NEVER, "{operation}: {code}: {message}")

# (code, part of the message) → a rule that beats the code's own: same code, other meaning.
_BY_MESSAGE: tuple[tuple[str, str, _Rule], ...] = (
    ("InvalidSignatureException", "Signature expired", _Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK)),
    ("InvalidSignatureException", "Signature not yet current", _Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK)),
    # A limit that counts by the day, or that only a quota increase lifts, does not pass while we wait.
    ("ValidationException", "modified multiple times", _OTHER),  # time to live: one change in an hour
    ("LimitExceededException", "in 1 day", _OTHER),
    ("LimitExceededException", "per day", _OTHER),
    ("LimitExceededException", "24 hour", _OTHER),
    ("LimitExceededException", "limit to the number of tables", _OTHER),
)

_NO_CREDENTIALS = (
    "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY{local}; see `aws configure`"
)
_LOCAL = " (for a Blotter on this machine any values do: AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local)"

# botocore exception → what it means; looked up along the exception's ancestry, first match.
_BY_EXCEPTION: dict[str, _Rule] = {
    "NoCredentialsError": _Rule(Exit.CREDENTIALS, Retry.NEVER, _NO_CREDENTIALS),
    "PartialCredentialsError": _Rule(Exit.CREDENTIALS, Retry.NEVER, "incomplete credentials: {message}"),
    "ProfileNotFound": _Rule(
        Exit.CREDENTIALS, Retry.NEVER, "{message}; see `aws configure list-profiles`, or set another AWS_PROFILE"
    ),
    "CredentialRetrievalError": _Rule(Exit.CREDENTIALS, Retry.NEVER, "no credentials: {message}"),
    "SSOError": _Rule(Exit.CREDENTIALS, Retry.NEVER, "the sign-on has ended ({message}); run `aws sso login`"),
    "TokenRetrievalError": _Rule(
        Exit.CREDENTIALS, Retry.NEVER, "the sign-on has ended ({message}); `aws sso login`"
    ),
    "MetadataRetrievalError": _Rule(Exit.CREDENTIALS, Retry.NEVER, "no credentials: {message}"),
    "ConfigParseError": _Rule(Exit.CONFIGURATION, Retry.NEVER, "the AWS configuration file: {message}"),
    "InvalidConfigError": _Rule(Exit.CONFIGURATION, Retry.NEVER, "the AWS configuration file: {message}"),
    "InvalidRegionError": _Rule(Exit.CONFIGURATION, Retry.NEVER, "{message}"),
    "NoRegionError": _Rule(Exit.CONFIGURATION, Retry.NEVER, "{message}"),
    "ParamValidationError": _Rule(Exit.CONFIGURATION, Retry.NEVER, "{operation}: {message}"),
    "SSLError": _Rule(Exit.UNREACHABLE, Retry.NEVER, "cannot reach {endpoint} securely: {message}"),
    "ProxyConnectionError": _Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}: {message}"),
    "EndpointConnectionError": _Rule(
        Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}; is it running, and is the address right?"
    ),
    "ConnectTimeoutError": _Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}: no answer in time"),
    "ReadTimeoutError": _Rule(
        Exit.UNREACHABLE, Retry.BRIEFLY, "{endpoint} took the request and did not answer in time"
    ),
    "HTTPClientError": _Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot talk to {endpoint}: {message}"),
    "ResponseParserError": _Rule(
        Exit.UNREACHABLE, Retry.NEVER, "{endpoint} does not answer like DynamoDB; is another program on that port?"
    ),
    "BotoCoreError": _Rule(Exit.REFUSED, Retry.NEVER, "{operation}: {message}"),
}


# service → how the SDKs' endpoint variables call it
_SERVICE_VARIABLES = {
    "application-autoscaling": "APPLICATION_AUTO_SCALING",
    "cloudwatch": "CLOUDWATCH",
    "kms": "KMS",
    "sts": "STS",
}


# What a proxy or load balancer answers for a DynamoDB behind it that is away for a moment.
_GATEWAY = (500, 502, 503, 504)


class Endpoint:
    """The configured endpoint through boto3. Clients are made on first use and kept."""

    def __init__(self, configuration: Configuration, connections: int = 10) -> None:
        self._configuration, self._connections = configuration, connections
        self._clients: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """The URL requests go to, as far as it is known before the first one."""
        made = self._clients.get("dynamodb")
        return made.meta.endpoint_url if made else self._configuration.endpoint or "AWS"

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            answer: Answer = _method(self._client(service), operation)(**parameters)
        except ClientError as error:
            raise self._refused(operation, error) from None
        except (BotoCoreError, ResponseParserError) as error:
            raise self._failed(operation, error) from None
        except ValueError as error:  # botocore's for an endpoint it cannot make a host of
            raise SetupError(str(error), Exit.CONFIGURATION) from None
        if operation.startswith("Describe") and answer.keys() <= {"ResponseMetadata"}:  # a 200 of something else
            raise self._error(_BY_EXCEPTION["ResponseParserError"], operation)
        return answer

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._check_reachable(service)
            self._clients[service] = aws.client(
                self._configuration, service, attempts=1, max_pool_connections=self._connections
            )
        return self._clients[service]

    def _check_reachable(self, service: str) -> None:
        """With the tables elsewhere than on AWS, AWS's other services are not asked."""
        variables = ("AWS_ENDPOINT_URL", f"AWS_ENDPOINT_URL_{_SERVICE_VARIABLES.get(service, '')}")
        environ = self._configuration.environ
        if service == "dynamodb" or self._configuration.endpoint is None or any(map(environ.get, variables)):
            return
        raise SetupError(
            f"{service} is AWS's, and the tables are at {self._configuration.endpoint}; declare what needs it only"
            f" for an environment on AWS, or name an endpoint for it in {variables[1]}",
            Exit.CONFIGURATION,
        )

    def _refused(self, operation: str, error: Any) -> SetupError:
        details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        code, message = details.get("Code", "Unknown"), details.get("Message", "") or "no message"
        status = metadata.get("HTTPStatusCode", 0)
        rule = _rule(code, message, status)
        if code.isdigit():  # botocore puts the status where DynamoDB would have put its code
            message = "not an answer of DynamoDB's"
            rule = _SERVER if status in _GATEWAY else _BY_EXCEPTION["ResponseParserError"]
        clock = _clock_advice(metadata.get("HTTPHeaders", {}).get("date"))
        return self._error(rule, operation, code=code, message=message, clock=clock)

    def _failed(self, operation: str, error: Exception) -> SetupError:
        names = [kind.__name__ for kind in type(error).__mro__]
        rule = next(_BY_EXCEPTION[name] for name in names if name in _BY_EXCEPTION)
        local = _LOCAL if self._configuration.endpoint else ""
        return self._error(rule, operation, message=str(error), local=local)

    def _error(self, rule: _Rule, operation: str, code: str = "", **words: str) -> SetupError:
        text = rule.says.format(operation=operation, endpoint=self.address, code=code, **words)
        return SetupError(text, rule.exit_code, rule.retry, code)


def _method(client: Any, operation: str) -> Any:
    from botocore import xform_name

    return getattr(client, xform_name(operation))


def _rule(code: str, message: str, status: int) -> _Rule:
    for known, part, rule in _BY_MESSAGE:
        if known == code and part in message:
            return rule
    return _RULES.get(code) or (_SERVER if status >= 500 else _OTHER)


def _clock_advice(date: str | None) -> str:
    """How far this machine's clock is from the endpoint's, from the answer's Date header."""
    if not date:
        return "check this machine's clock"
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return "check this machine's clock"
    seconds = round(time.time() - theirs)
    direction = "ahead of" if seconds > 0 else "behind"
    return f"this machine's clock is {abs(seconds)} s {direction} the endpoint's; set it"
