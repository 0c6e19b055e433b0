"""The web package's fixtures: the app over a real endpoint (see the conftest above) and results in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from blotter.crimes.item import Group, Risk, Summary
from blotter.crimes.jobs.intake import Intake
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import Claim, ResultsTable
from blotter.crimes.web.app import create_app
from blotter.crimes.web.live import Pace
from blotter.crimes.web.services import Services, WebSettings

PREDICTIONS = b"Date,Primary Type,probability,reason\n2022-01-01,THEFT,0.031,\n"


class Files:
    """Puts files into the table in whatever state a test wants, through the application's own transitions."""

    def __init__(self, results: ResultsTable, objects: ObjectStore, summary: Summary) -> None:
        self.results = results
        self.objects = objects
        self.summary = summary

    def uploaded(self, key: str, name: str = "january.csv", uploaded_at: str = "2026-11-22T10:00:00.000Z") -> str:
        self.results.uploaded(key, file_name=name, object_version="v1", size_bytes=37587, uploaded_at=uploaded_at)
        return key

    def processing(self, key: str, name: str = "january.csv") -> Claim:
        self.uploaded(key, name)
        claim = self.results.claim(
            self.results.find(key),
            key,
            file_name=name,
            object_version="v1",
            size_bytes=37587,
            uploaded_at="2026-11-22T10:00:00.000Z",
            owner="a-worker",
            lease_seconds=60,
        )
        assert claim is not None
        return claim

    def completed(self, key: str, name: str = "january.csv", summary: Summary | None = None) -> str:
        claim = self.processing(key, name)
        self.objects.put_stream(f"{key}.predictions.csv", [PREDICTIONS])
        self.results.completed(claim, summary or self.summary, f"{key}.predictions.csv")
        return key

    def failed(self, key: str, code: str, message: str, name: str = "january.csv") -> str:
        self.results.failed(self.processing(key, name), code, message)
        return key


@pytest.fixture
def summary() -> Summary:
    """A hundred rows, one of them skipped; an area without a number and a primary type that is hostile text."""
    return Summary(
        rows_read=1100,
        rows_scored=1099,
        rows_skipped=1,
        skipped_reasons={"BAD_DATE": 1},
        predicted_arrests=120,
        mean_probability=0.1123,
        risk=Risk(high=80, medium=119, low=900),
        probability_histogram=[600, 200, 50, 30, 15, 5, *[10] * 9, 29, 20, 30, 30, 0],
        by_primary_type={
            "THEFT": Group(700, 0.031, 20),
            "NARCOTICS": Group(99, 0.95, 94),
            "<script>alert(1)</script>": Group(300, 0.02, 6),
        },
        by_hour={str(hour): Group(45, 0.1, 5) for hour in range(24)},
        by_weekday={str(day): Group(157, 0.1, 17) for day in range(6)},
        by_community_area={
            "8": Group(500, 0.2, 60),
            "25": Group(500, 0.1, 50),
            "77": Group(98, 0.05, 10),
            "unknown": Group(1, 0.0, 0),
        },
        model_version="2026-11-22.1",
    )


@pytest.fixture
def files(results: ResultsTable, objects: ObjectStore, summary: Summary) -> Files:
    return Files(results, objects, summary)


@pytest.fixture
def services(results: ResultsTable, objects: ObjectStore, intake: Intake) -> Services:
    settings = WebSettings(max_upload_bytes=3_000_000, pace=Pace(poll=0.02, heartbeat=0.05))
    return Services(results, objects, intake, settings)


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def make_client_of() -> Callable[[Services], TestClient]:
    """A client of an app over other services."""
    return lambda services: TestClient(
        create_app(services), base_url="http://127.0.0.1:8080", raise_server_exceptions=False
    )
