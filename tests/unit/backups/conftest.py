"""An endpoint for the commands: moto's server in a thread, a third party's DynamoDB and S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.moto_server import moto_server


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with moto_server() as server:
        yield server.url


@pytest.fixture
def endpoint(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The endpoint, configured by variables alone, in a folder without a blotter.toml."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "BLOTTER_CONFIG", "BLOTTER_ENV", "BLOTTER_ACCOUNT", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return moto


@pytest.fixture
def dynamodb(endpoint: str) -> Any:
    return boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1")


@pytest.fixture
def table(dynamodb: Any, request: pytest.FixtureRequest) -> str:
    """A table with three items and point-in-time recovery, of the test's own name."""
    name: str = request.node.name.replace("[", "-").replace("]", "")[:200]
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    for number in range(3):
        dynamodb.put_item(TableName=name, Item={"id": {"S": str(number)}})
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return name
