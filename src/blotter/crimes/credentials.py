"""Checks at the start of a command that AWS credentials can be obtained.

Without them every request would fail later, in the middle of the work and with the SDK's message. Any exception of
a credential provider (a missing token file, a broken `credential_process`, an expired sign-on) becomes one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blotter.config import Configuration
from blotter.user_files import ConfigurationError

if TYPE_CHECKING:
    import boto3

_MISSING = (
    "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY{local}; see `aws configure`"
)
_LOCAL = " (for a Blotter on this machine any values do: AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local)"


def require_credentials(session: boto3.Session, configuration: Configuration) -> None:
    """Raises ConfigurationError when the session finds no credentials, or cannot get them."""
    try:
        credentials = session.get_credentials()
        found = credentials is not None and credentials.get_frozen_credentials().access_key is not None
    except Exception as error:  # providers run other programs and read any file: they may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"no credentials: {reason[:300]}") from error
    if not found:
        local = _LOCAL if configuration.endpoint else ""
        raise ConfigurationError(_MISSING.format(local=local))
