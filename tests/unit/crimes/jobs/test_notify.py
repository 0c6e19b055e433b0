"""Notifications: one message per outcome reaches a real HTTP and a real SMTP receiver; broken ones harm
nothing."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from blotter.crimes.cli import crimes
from blotter.crimes.jobs.notify import Notifier, Outcome
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.settings import CrimesSettings
from blotter.crimes.storage.objects import ObjectStore


class Webhook(HTTPServer):
    """Keeps what was posted; answers with the statuses it was given, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _WebhookHandler)
        self.posted: list[dict[str, object]] = []
        self.authorizations: list[str | None] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _WebhookHandler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.server.authorizations.append(self.headers["Authorization"])
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
        return


class Mailbox(socketserver.TCPServer):
    """As much SMTP as a client needs; keeps the messages."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.messages: list[str] = []


class _MailHandler(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            command = line[:4].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.messages.append(body.decode())
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
            if command == b"QUIT":
                return


def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    for _ in serving(server):
        yield server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    server = Mailbox()
    for _ in serving(server):
        yield server


def test_a_webhook_for_each_outcome_once(webhook: Webhook, processor: Processor, objects: ObjectStore) -> None:
    processor._notifier = Notifier(CrimesSettings(webhook_url=webhook.url, public_url="http://pages.example/"))
    objects.put_stream("k/a b.csv", [b"Date,Primary Type\n2022-01-01,THEFT\n"])
    objects.put_stream("k/empty.csv", [b""])
    for key in ("k/a b.csv", "k/a b.csv", "k/empty.csv", "k/empty.csv"):
        processor.process(key)
    completed, failed = webhook.posted
    assert (completed["status"], completed["file_key"], completed["rows_scored"]) == ("COMPLETED", "k/a b.csv", 1)
    assert completed["url"] == "http://pages.example/results/k/a%20b.csv"
    assert (failed["status"], failed["error_code"]) == ("FAILED", "EMPTY_FILE")


def test_an_e_mail_with_a_name_that_tries_to_add_headers(mailbox: Mailbox) -> None:
    host, port = mailbox.server_address[:2]
    settings = CrimesSettings(email_to="a@example.org", smtp_host=str(host), smtp_port=int(port))
    key = "k/x\r\nBcc: everyone@example.org"
    Notifier(settings).send(Outcome(key, "FAILED", None, "NO_ROWS", "the file has a header but no rows"))
    (message,) = mailbox.messages
    headers = message.partition("\r\n\r\n")[0]
    assert "To: a@example.org" in headers
    assert "\nBcc:" not in headers
    assert "NO_ROWS" in message


def test_a_receiver_that_fails_once_is_tried_again(webhook: Webhook) -> None:
    webhook.statuses = [500]
    Notifier(CrimesSettings(webhook_url=webhook.url)).send(Outcome("k", "FAILED", None, "X", "y"))
    assert len(webhook.posted) == 2


def test_broken_receivers_do_not_stop_the_work(processor: Processor, objects: ObjectStore) -> None:
    closed = "http://127.0.0.1:9/"
    settings = CrimesSettings(webhook_url=closed, email_to="a@example.org", smtp_host="127.0.0.1", smtp_port=9)
    processor._notifier = Notifier(settings)
    objects.put_stream("k/a.csv", [b"Date,Primary Type\n2022-01-01,THEFT\n"])
    assert processor.process("k/a.csv").what == "COMPLETED"


SECRET = "T0KEN"
BAD_ADDRESSES = [
    f"file:///etc/{SECRET}",
    f"{SECRET}",
    f"http://[{SECRET}/x",
    f"http://host:{SECRET}/x",
    f"http:///{SECRET}",
    f"https://host/{SECRET} x",
    f"https://host/{SECRET}\r\nX: y",
    f"https://host/{SECRET}\u00fc",
]


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_a_bad_address_never_stops_the_work_nor_is_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """One such address crash-looped every worker, and its secret stood in the log each time."""
    Notifier(CrimesSettings(webhook_url=url)).send(Outcome("k", "FAILED", None, "X", "y"))
    assert "webhook" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_a_bad_address_is_one_line_at_the_start_of_a_command(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLOTTER_CRIMES_WEBHOOK_URL", url)
    (tmp_path / "blotter.toml").write_text(
        'app = "x"\n[environments.dev]\nregion = "us-east-1"\n[tables.results]\n'
        'partition_key = { name = "file_key", type = "S" }\n'
    )
    result = CliRunner().invoke(crimes, ["worker"])
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert "webhook_url" in result.stderr
    assert SECRET not in result.stderr


def test_a_refusing_receiver_is_told_without_its_address(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.statuses = [404, 500]
    settings = CrimesSettings(webhook_url=f"{webhook.url}/{SECRET}?key={SECRET}")
    Notifier(settings).send(Outcome("k", "FAILED", None, "X", "y"))
    assert "status 500" in caplog.text
    assert SECRET not in caplog.text


def test_a_user_in_the_address_becomes_a_header(webhook: Webhook) -> None:
    url = webhook.url.replace("http://", f"http://me:{SECRET}%21@")
    Notifier(CrimesSettings(webhook_url=url)).send(Outcome("k", "FAILED", None, "X", "y"))
    assert webhook.authorizations == ["Basic " + base64.b64encode(f"me:{SECRET}!".encode()).decode()]
