"""Sessions and clients for what the configuration names: the one place that turns it into boto3.

Everything that talks to a table (set-up, application) comes through here, so that profile, region and endpoint
mean the same everywhere. boto3 takes long to import (0.3 s), so it is imported when a client is asked for.
Must not know the database: a Blotter is an endpoint like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3

    from blotter.config import Configuration

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30


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
    """A boto3 client for `service`. Only DynamoDB's clients get the configured endpoint.

    `attempts` counts tries in all, botocore's standard retries included; `config` goes to botocore's Config.
    """
    from botocore.config import Config

    own_endpoint = service in ("dynamodb", "dynamodbstreams")
    settings: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        # A settled endpoint must not be contradicted by the SDK's own settings ("aws" over a variable, for one).
        "ignore_configured_endpoint_urls": own_endpoint and configuration.sources["endpoint"] != "default",
    }
    return session(configuration).client(
        service,  # type: ignore[call-overload]
        endpoint_url=configuration.endpoint if own_endpoint else None,
        config=Config(**(settings | config)),
    )


def _explicit_profile(configuration: Configuration) -> str | None:
    """A profile of the file yields to keys in the environment; botocore would let an explicit profile win."""
    if configuration.sources.get("profile", "").startswith("--"):
        return configuration.profile
    keys_given = bool(configuration.environ.get("AWS_ACCESS_KEY_ID"))
    return None if keys_given else configuration.profile
