"""Sessions and clients for what the configuration names: the one place that turns it into boto3.

Everything that talks to a table (set-up, application) comes through here, so that profile, region and endpoint
mean the same everywhere. Which endpoint a client really uses is decided by botocore (a profile may name one) and
is read from the client: `client.meta.endpoint_url`; `is_aws` tells whether that is Amazon's. boto3 takes long to
import (0.3 s), so it is imported when a client is made. Must not import the database: a Blotter is an endpoint
like any other.
"""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from blotter.hosts import is_loopback

if TYPE_CHECKING:
    import boto3

    from blotter.config import Configuration

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30

# The domains of AWS's partitions (botocore/data/partitions.json: dnsSuffix and dualStackDnsSuffix).
_AWS_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "api.aws.ic.gov",
    "sc2s.sgov.gov",
    "api.aws.scloud",
    "cloud.adc-e.uk",
    "api.cloud-aws.adc-e.uk",
    "csp.hci.ic.gov",
    "api.aws.hci.ic.gov",
)


# Services that are where the tables are: Blotter, LocalStack and moto answer them at the same address.
_BESIDE_TABLES = ("application-autoscaling", "cloudwatch")


def session(configuration: Configuration) -> boto3.Session:
    """A boto3 session with the configured profile and region. Raises botocore's ProfileNotFound."""
    import boto3
    import botocore.session

    # To botocore an empty AWS_PROFILE is a profile without a name; here an empty variable is one that is not set.
    empty = configuration.environ.get("AWS_PROFILE") == ""
    variables = {"profile": (None, ["AWS_DEFAULT_PROFILE"], None, None)} if empty else None
    return boto3.Session(
        profile_name=_explicit_profile(configuration),
        region_name=configuration.region,
        botocore_session=botocore.session.Session(session_vars=variables),
    )


def client(configuration: Configuration, service: str = "dynamodb", *, attempts: int = 5, **config: Any) -> Any:
    """A boto3 client for `service`. DynamoDB's clients get the configured endpoint; so do those of services beside
    it (`_BESIDE_TABLES`), unless that is AWS or they have one of their own.

    `attempts` counts tries in all, botocore's standard retries included; `config` goes to botocore's Config.
    """
    return client_of(session(configuration), configuration, service, attempts=attempts, **config)


def client_of(
    made: boto3.Session, configuration: Configuration, service: str, *, attempts: int = 5, **config: Any
) -> Any:
    """The same from a session that was made before, so that clients share its credentials."""
    from botocore.config import Config

    own_endpoint = service in ("dynamodb", "dynamodbstreams")
    settings: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
    }
    if _ignores_configured_endpoints(configuration, service, own_endpoint):
        settings["ignore_configured_endpoint_urls"] = True
    endpoint = configuration.endpoint if own_endpoint else None

    def make(**more: Any) -> Any:
        wanted = Config(**(settings | config | more))
        return made.client(service, endpoint_url=endpoint, config=wanted)  # type: ignore[call-overload]

    found = make()
    beside = endpoint_beside_tables(configuration, service)
    if beside is not None and is_aws(found.meta.endpoint_url):
        endpoint = beside
        found = make()
    # A proxy is for other machines. botocore asks NO_PROXY alone, which few people set for 127.0.0.1.
    if is_local(found.meta.endpoint_url) and urllib.request.getproxies():
        found = make(proxies={})
    return found


def _ignores_configured_endpoints(configuration: Configuration, service: str, own_endpoint: bool) -> bool:
    """Whether the endpoints that the SDK's own settings name must not count; where not, botocore decides.

    A settled endpoint must not be contradicted ("aws" over a variable, for one). With the tables at AWS by name,
    the services around them are AWS's too, unless a variable names one of them.
    """
    if own_endpoint:
        return configuration.sources["endpoint"] != "default"
    return configuration.at_aws and not configuration.environ.get(endpoint_variable(service))


def endpoint_beside_tables(configuration: Configuration, service: str) -> str | None:
    """Where a service is that is not given an endpoint of its own: with the tables, unless they are at AWS."""
    endpoint = configuration.endpoint
    elsewhere = endpoint is not None and not configuration.at_aws and not is_aws(endpoint)
    return endpoint if elsewhere and service in _BESIDE_TABLES else None


def endpoint_variable(service: str) -> str:
    """The environment variable in which the SDKs look for `service`'s endpoint, after AWS_ENDPOINT_URL's own."""
    name = {"application-autoscaling": "application-auto-scaling", "dynamodbstreams": "dynamodb-streams"}.get(
        service, service
    )
    return f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}"


def is_aws(url: str) -> bool:
    """Whether the host is one of Amazon's."""
    host = urlsplit(url).hostname or ""
    return any(host.endswith(f".{domain}") for domain in _AWS_DOMAINS)


def is_local(url: str) -> bool:
    """Whether the URL's host is this machine: localhost or a name below it, 127.0.0.0/8 or ::1."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host.endswith(".localhost") or is_loopback(host)


def _explicit_profile(configuration: Configuration) -> str | None:
    """A profile of the file yields to keys in the environment; botocore would let an explicit profile win."""
    if configuration.sources.get("profile", "").startswith("--"):
        return configuration.profile
    keys_given = bool(configuration.environ.get("AWS_ACCESS_KEY_ID"))
    return None if keys_given else configuration.profile
