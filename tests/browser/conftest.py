"""Real Chromium on the real application: `blotter crimes serve` with a worker, over a real `blotter serve`.

Everything runs as a user starts it, on free ports and in a fresh folder. A Chromium comes from the PATH; without
one the tests are skipped on a developer's machine and fail in CI. Whatever a page writes to the console as an
error, a violation of the content policy included, fails the test that caused it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

import blotter

ROOT = Path(__file__).parents[2]
TABLE = "browser-results"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
_STOP_SECONDS = 30


class Running(NamedTuple):
    """The application's address, and a client of its table."""

    url: str
    dynamodb: Any
    table: str
    log: Path

    def item(self, file_key: str) -> dict[str, Any]:
        """The result item as the table holds it."""
        answer = self.dynamodb.get_item(
            TableName=self.table, Key={"file_key": {"S": file_key}}, ConsistentRead=True
        )
        return answer["Item"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def application(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`blotter tables apply`, then `blotter crimes serve` with one worker, on the running database."""
    folder = tmp_path_factory.mktemp("application")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BLOTTER_"))}
    environment |= {
        "PYTHONPATH": str(Path(blotter.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_DYNAMODB": server.url,
        "BLOTTER_DATA_DIR": str(folder / "data"),
        "RESULTS_TABLE": TABLE,
    }
    command = [sys.executable, "-m", "blotter"]
    config = ["--config", str(ROOT / "blotter.toml")]
    subprocess.run([*command, "tables", "apply", *config], env=environment, cwd=folder, check=True, timeout=60)
    log = folder / "application.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "crimes", "serve", *config, "--port", "0", "--workers", "1"],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    told = process.stdout.readline()
    if "http://" not in told:
        process.kill()
        pytest.fail(f"the application did not start: {told}\n{log.read_text()}")
    url = next(word.rstrip(",") for word in told.split() if word.startswith("http://"))
    client = boto3.client(
        "dynamodb",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    yield Running(url, client, TABLE, log)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"the application did not stop:\n{log.read_text()}")
    finally:
        process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        message = f"no browser on the PATH (looked for {', '.join(_BROWSERS)})"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, application: Running) -> Iterator[Callable[..., Page]]:
    """Opens pages in contexts of their own: `open_page("/", timezone_id=…, viewport=…)`."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def open_one(path: str = "/", quiet: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", "timezone_id": "America/Chicago", **options})
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        if quiet:  # a request that is answered 404 counts as an error too
            page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # The driver starts to catch file choosers with the first listener, and does not wait until it has.
        page.on("filechooser", lambda _: None)
        page.goto(application.url + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The first page of the application."""
    return open_page()


@pytest.fixture(scope="session")
def sample() -> Path:
    """The committed hundred incidents of 1 January 2025."""
    return ROOT / "examples" / "chicago-crimes-2025-first-100.csv"
