"""What each failure of an endpoint means: its exit code, whether to repeat it, and the one line that explains it.

Tables instead of branches: `RULES` for the error codes of AWS's APIs, `BY_EXCEPTION` for botocore's exceptions.
Uses no client and no configuration; `endpoint.py` calls it.
"""

from __future__ import annotations

import email.utils
import time
from typing import Any, NamedTuple

from blotter.tables.errors import Exit, Retry, SetupError


class Rule(NamedTuple):
    exit_code: Exit
    retry: Retry
    text: str  # {message}, {operation}, {endpoint}, {code}, {clock} or {local}


_CREDENTIALS = (
    "the endpoint does not accept these credentials ({message}); check AWS_PROFILE or the AWS_ACCESS_KEY_ID in use"
)
_EXPIRED = "the credentials have expired ({message}); renew them (`aws sso login`, or a new token) and run again"
_CLOCK = "the signature's time is not accepted ({message}); {clock}"
_BUSY = Rule(Exit.TIMED_OUT, Retry.UNTIL_DEADLINE, "{operation}: {message}")
SERVER = Rule(Exit.REFUSED, Retry.BRIEFLY, "{operation}: the endpoint failed ({code}: {message}); run again later")

# error code → what it means here. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
# Programming.Errors.html and the common errors of the API reference.
RULES: dict[str, Rule] = {
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
    "InternalServerError": SERVER,
    "InternalFailure": SERVER,
    "ServiceUnavailable": SERVER,
    "ServiceUnavailableException": SERVER,
    "AccessDeniedException": Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "AccessDenied": Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "OptInRequired": Rule(Exit.DENIED, Retry.NEVER, "access denied: {operation}: {message}"),
    "ExpiredTokenException": Rule(Exit.CREDENTIALS, Retry.NEVER, _EXPIRED),
    "ExpiredToken": Rule(Exit.CREDENTIALS, Retry.NEVER, _EXPIRED),
    "RequestExpired": Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK),
    "RequestTimeTooSkewed": Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK),
    "InvalidSignatureException": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "SignatureDoesNotMatch": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "IncompleteSignatureException": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "UnrecognizedClientException": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "InvalidClientTokenId": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "MissingAuthenticationTokenException": Rule(Exit.CREDENTIALS, Retry.NEVER, _CREDENTIALS),
    "UnknownOperationException": Rule(
        Exit.REFUSED,
        Retry.NEVER,
        "{endpoint} does not offer {operation} ({message}); declare what needs it for other environments",
    ),
}
OTHER = Rule(Exit.REFUSED, Retry.NEVER, "{operation}: {code}: {message}")

# (code, part of the message) → a rule that beats the code's own: same code, other meaning.
_BY_MESSAGE: tuple[tuple[str, str, Rule], ...] = (
    ("InvalidSignatureException", "Signature expired", Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK)),
    ("InvalidSignatureException", "Signature not yet current", Rule(Exit.CREDENTIALS, Retry.NEVER, _CLOCK)),
    # A limit that counts by the day, or that only a quota increase lifts, does not pass while we wait.
    ("ValidationException", "modified multiple times", OTHER),  # time to live: one change in an hour
    ("LimitExceededException", "in 1 day", OTHER),
    ("LimitExceededException", "per day", OTHER),
    ("LimitExceededException", "24 hour", OTHER),
    ("LimitExceededException", "limit to the number of tables", OTHER),
)

_NO_CREDENTIALS = (
    "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY{local}; see `aws configure`"
)
_LOCAL = " (for a Blotter on this machine any values do: AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local)"

# botocore exception → what it means; looked up along the exception's ancestry, first match.
BY_EXCEPTION: dict[str, Rule] = {
    "NoCredentialsError": Rule(Exit.CREDENTIALS, Retry.NEVER, _NO_CREDENTIALS),
    "PartialCredentialsError": Rule(Exit.CREDENTIALS, Retry.NEVER, "incomplete credentials: {message}"),
    "ProfileNotFound": Rule(
        Exit.CREDENTIALS, Retry.NEVER, "{message}; see `aws configure list-profiles`, or set another AWS_PROFILE"
    ),
    "CredentialRetrievalError": Rule(Exit.CREDENTIALS, Retry.NEVER, "no credentials: {message}"),
    "SSOError": Rule(Exit.CREDENTIALS, Retry.NEVER, "the sign-on has ended ({message}); run `aws sso login`"),
    "TokenRetrievalError": Rule(
        Exit.CREDENTIALS, Retry.NEVER, "the sign-on has ended ({message}); `aws sso login`"
    ),
    "MetadataRetrievalError": Rule(Exit.CREDENTIALS, Retry.NEVER, "no credentials: {message}"),
    "ConfigParseError": Rule(Exit.CONFIGURATION, Retry.NEVER, "the AWS configuration file: {message}"),
    "InvalidConfigError": Rule(Exit.CONFIGURATION, Retry.NEVER, "the AWS configuration file: {message}"),
    "InvalidRegionError": Rule(Exit.CONFIGURATION, Retry.NEVER, "{message}"),
    "NoRegionError": Rule(Exit.CONFIGURATION, Retry.NEVER, "{message}"),
    "ParamValidationError": Rule(Exit.CONFIGURATION, Retry.NEVER, "{operation}: {message}"),
    "SSLError": Rule(Exit.UNREACHABLE, Retry.NEVER, "cannot reach {endpoint} securely: {message}"),
    "ProxyConnectionError": Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}: {message}"),
    "EndpointConnectionError": Rule(
        Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}; is it running, and is the address right?"
    ),
    "ConnectTimeoutError": Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot reach {endpoint}: no answer in time"),
    "ReadTimeoutError": Rule(
        Exit.UNREACHABLE, Retry.BRIEFLY, "{endpoint} took the request and did not answer in time"
    ),
    "HTTPClientError": Rule(Exit.UNREACHABLE, Retry.BRIEFLY, "cannot talk to {endpoint}: {message}"),
    "ResponseParserError": Rule(
        Exit.UNREACHABLE, Retry.NEVER, "{endpoint} does not answer like DynamoDB; is another program on that port?"
    ),
    "BotoCoreError": Rule(Exit.REFUSED, Retry.NEVER, "{operation}: {message}"),
}


# What a proxy or load balancer answers while the DynamoDB it forwards to is away for a moment.
_GATEWAY = (500, 502, 503, 504)
NOT_DYNAMODB = BY_EXCEPTION["ResponseParserError"]
NOT_AS_PROMISED = Rule(
    Exit.UNREACHABLE, Retry.NEVER, "{endpoint}: the answer to {operation} is not valid: {message}"
)


def error_of(rule: Rule, operation: str, endpoint: str, code: str = "", **details: str) -> SetupError:
    """The rule's sentence with its places filled in."""
    text = rule.text.format(operation=operation, endpoint=endpoint, code=code, **details)
    return SetupError(text, rule.exit_code, rule.retry, code)


def refused(response: Any, operation: str, endpoint: str) -> SetupError:
    """What an error answer means. `response` is a ClientError's: parsed, yet with whatever the endpoint sent."""
    details, metadata = _dictionary(response, "Error"), _dictionary(response, "ResponseMetadata")
    code, message = str(details.get("Code", "Unknown")), str(details.get("Message") or "no message")
    status = metadata.get("HTTPStatusCode", 0)
    rule = _rule_of(code, message, status)
    if code.isdigit():  # botocore puts the status where DynamoDB would have put its code
        message = "not an answer of DynamoDB's"
        rule = SERVER if status in _GATEWAY else NOT_DYNAMODB
    clock = _clock_advice(_dictionary(metadata, "HTTPHeaders").get("date"))
    return error_of(rule, operation, endpoint, code, message=message, clock=clock)


def failed(error: Exception, operation: str, endpoint: str) -> SetupError:
    """What an exception of botocore's means that is no answer. Others mean an answer it cannot read."""
    return error_of(_rule_for(error) or NOT_DYNAMODB, operation, endpoint, message=str(error))


def no_configuration(error: Exception, endpoint: str) -> SetupError:
    """The SDK cannot be set up: its own configuration, the profile, or an address it makes no host of."""
    rule = _rule_for(error)
    if rule is None or rule.exit_code is Exit.REFUSED:  # of requests; none was made
        return SetupError(f"the AWS configuration: {_told(error)}", Exit.CONFIGURATION)
    return error_of(rule, "the AWS configuration", endpoint, message=str(error), local="")


def no_credentials(error: Exception, endpoint: str, *, local: bool) -> SetupError:
    """Whatever a provider of credentials raised: a missing file, a failed process, a refused role, no answer."""
    rule = _rule_for(error)
    if rule is None or rule.exit_code is not Exit.CREDENTIALS:
        return SetupError(f"no credentials: {_told(error)}", Exit.CREDENTIALS)
    return error_of(rule, "the credentials", endpoint, message=_told(error), local=_LOCAL if local else "")


def _rule_for(error: Exception) -> Rule | None:
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((BY_EXCEPTION[name] for name in names if name in BY_EXCEPTION), None)


def _told(error: Exception) -> str:
    """The exception's message; with its type where the message alone is unclear (`'token'`)."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error)
    return text if " " in text.strip() else f"{type(error).__name__} {text}".strip()


def _dictionary(within: Any, key: str) -> dict[str, Any]:
    found = within.get(key) if isinstance(within, dict) else None
    return found if isinstance(found, dict) else {}


def _rule_of(code: str, message: str, status: int) -> Rule:
    for known, part, rule in _BY_MESSAGE:
        if known == code and part in message:
            return rule
    return RULES.get(code) or (SERVER if status >= 500 else OTHER)


def _clock_advice(date: object) -> str:
    """How far this machine's clock is from the endpoint's, from the answer's Date header."""
    try:
        theirs = email.utils.parsedate_to_datetime(str(date)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return "check this machine's clock"
    seconds = round(time.time() - theirs)
    direction = "ahead of" if seconds > 0 else "behind"
    return f"this machine's clock is {abs(seconds)} s {direction} the endpoint's; set it"
