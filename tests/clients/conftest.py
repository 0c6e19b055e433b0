"""Real clients against a real server: what they need to find it.

`server` (tests/conftest.py) is a running `blotter serve`; `aws_environment` points the AWS CLI and the SDKs at it
the way the documentation tells users to, with a profile and nothing of the developer's own configuration;
`signed_environment` does so for a server whose access is enforced.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.service_models import share_service_models

share_service_models()


@pytest.fixture
def aws_environment(server: object, tmp_path: Path) -> dict[str, str]:
    """Environment for a client program: profile `blotter`, region us-east-1, the server as endpoint."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[blotter]\naws_access_key_id = local\naws_secret_access_key = local\n")
    return _environment(server.url, tmp_path, credentials)  # type: ignore[attr-defined]


@pytest.fixture
def signed_environment(enforced_server: object, tmp_path: Path) -> dict[str, str]:
    """The same for a server whose access is enforced, with its root key: every signature is verified."""
    root = (enforced_server.data_dir / "root-credentials").read_text()  # type: ignore[attr-defined]
    credentials = tmp_path / "credentials"
    credentials.write_text(root.replace("[default]", "[blotter]"))
    return _environment(enforced_server.url, tmp_path, credentials)  # type: ignore[attr-defined]


def _environment(url: str, folder: Path, credentials: Path) -> dict[str, str]:
    config = folder / "config"
    config.write_text("[profile blotter]\nregion = us-east-1\noutput = json\ncli_pager =\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_PROFILE": "blotter",
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
