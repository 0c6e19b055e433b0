"""What the application's tests share: a table on a real endpoint, a folder of objects, a queue.

The endpoint is moto's server in a thread on a port of its own: a third party's DynamoDB and S3, so that these
tests are about the application alone; the fault tests run it on Blotter's own database.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from blotter.crimes.jobs.intake import Intake
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.jobs.notify import Notifier
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.learning.model import Model, load_model
from blotter.crimes.settings import Application, CrimesSettings
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable
from tests.moto_server import moto_server
from tests.service_models import share_service_models

share_service_models()


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    with moto_server() as server:
        yield server.url


@pytest.fixture
def make_client(aws_endpoint: str) -> Callable[[str], Any]:
    """Makes a boto3 client of a service by name."""

    def make(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=aws_endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


@pytest.fixture
def results(make_client: Callable[[str], Any]) -> ResultsTable:
    client = make_client("dynamodb")
    name = f"results-{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "file_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "file_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return ResultsTable(client, name)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(tmp_path / "objects")


@pytest.fixture
def queue(tmp_path: Path) -> LocalQueue:
    return LocalQueue(tmp_path / "queue")


@pytest.fixture
def intake(objects: ObjectStore, results: ResultsTable, queue: LocalQueue) -> Intake:
    return Intake(objects, results, queue, max_bytes=10_000_000)


@pytest.fixture(scope="session")
def model() -> Model:
    """The model that is shipped."""
    return load_model(threads=1)


@pytest.fixture
def settings() -> CrimesSettings:
    return CrimesSettings(max_upload_bytes=10_000_000, grace_seconds=0.0, lease_seconds=20.0, threads=1)


@pytest.fixture
def application(
    settings: CrimesSettings, objects: ObjectStore, results: ResultsTable, queue: LocalQueue, intake: Intake
) -> Application:
    return Application(settings, objects, results, queue, intake)


@pytest.fixture
def processor(application: Application, model: Model) -> Processor:
    settings = application.settings
    return Processor(settings, application.objects, application.results, lambda: model, Notifier(settings))
