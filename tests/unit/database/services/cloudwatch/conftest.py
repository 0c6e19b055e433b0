"""CloudWatch in process, in every protocol where a test asks for `each`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloudwatch_in_process import PROTOCOLS, CloudWatchInProcess


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatchInProcess]:
    service = CloudWatchInProcess()
    yield service
    service.close()


@pytest.fixture(params=PROTOCOLS)
def each(request: pytest.FixtureRequest) -> Iterator[CloudWatchInProcess]:
    service = CloudWatchInProcess(request.param)
    yield service
    service.close()
