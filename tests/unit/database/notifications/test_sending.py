"""Messages as they arrive: at a web hook, at a mail server, at SNS."""

from __future__ import annotations

import base64
import email
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from blotter.database.alarms.records import Notification
from blotter.database.notifications import sending
from blotter.database.notifications.sending import send
from blotter.database.notifications.targets import DeliveryError, Topic, parse_targets
from tests.certificates import sign
from tests.postgres_server import free_port

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops"
MESSAGE = {
    "AlarmName": "büsy\n",
    "AlarmDescription": None,
    "AWSAccountId": "123456789012",
    "NewStateValue": "ALARM",
    "OldStateValue": "OK",
    "NewStateReason": "Threshold Crossed",
    "StateChangeTime": "2026-11-30T12:00:00.000+0000",
    "Region": "US East (N. Virginia)",
    "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:büsy",
}
NOTIFICATION = Notification(
    account="123456789012",
    region="us-east-1",
    alarm="büsy",
    state="ALARM",
    action=TOPIC,
    subject='ALARM: "büsy\n" in US East (N. Virginia)',
    message=json.dumps(MESSAGE),
    at=1_796_040_000.0,
)


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _http(status: int = 200, **headers: str) -> Iterator[tuple[int, list[Received]]]:
    received: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(Received(self.path, {}, b""))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"SECRET of the answer")

        def log_message(self, *_: Any) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, received


@contextmanager
def _smtp(
    refusal: bytes = b"", tls: ssl.SSLContext | None = None, *, from_the_start: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """A mail server; what it received: logins that came encrypted, and mails. `refusal` answers the sender."""
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # The client may not like the certificate.
                if from_the_start and tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                self.talk(self.request, b"220 here\r\n")

        def talk(self, connection: socket.socket, greeting: bytes) -> None:
            connection.sendall(greeting)
            with connection.makefile("rb") as lines:
                for line in lines:
                    verb = line[:4].upper()
                    answer = b"250 fine\r\n" if verb != b"QUIT" else b"221 bye\r\n"
                    if verb == b"EHLO" and tls is not None:
                        more = b"AUTH PLAIN" if isinstance(connection, ssl.SSLSocket) else b"STARTTLS"
                        answer = b"250-here\r\n250 " + more + b"\r\n"
                    elif verb == b"STAR" and tls is not None:
                        connection.sendall(b"220 go on\r\n")
                        self.request = tls.wrap_socket(connection, server_side=True)
                        return self.talk(self.request, b"")
                    elif verb == b"AUTH":
                        received.append(base64.b64decode(line.split()[-1]))
                        answer = b"235 welcome\r\n"
                    elif verb == b"MAIL" and refusal:
                        answer = refusal + b"\r\n"
                    elif verb == b"DATA":
                        connection.sendall(b"354 go on\r\n")
                        received.append(b"".join(iter(lines.readline, b".\r\n")))
                    connection.sendall(answer)
            return None

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, received


def deliver(url: str) -> None:
    target = parse_targets(f"*={url}").find(TOPIC)
    assert target is not None
    send(target, NOTIFICATION)


def refusal(url: str) -> str:
    with pytest.raises(DeliveryError) as error:
        deliver(url)
    assert "SECRET" not in str(error.value).replace("AWS_SECRET_ACCESS_KEY", "")
    assert error.value.__cause__ is None
    return str(error.value)


def test_a_web_hook_gets_what_sns_posts() -> None:
    with _http() as (port, received):
        deliver(f"http://user:pass@127.0.0.1:{port}/path?token=SECRET")
    (request,) = received
    assert request.path == "/path?token=SECRET"
    assert request.headers["authorization"] == "Basic dXNlcjpwYXNz"
    assert request.headers["host"] == f"127.0.0.1:{port}"
    assert request.headers["x-amz-sns-message-type"] == "Notification"
    assert request.headers["x-amz-sns-topic-arn"] == TOPIC
    body = json.loads(request.body)
    assert len(body.pop("MessageId")) == 36
    assert json.loads(body.pop("Message")) == MESSAGE
    assert body == {
        "Type": "Notification",
        "TopicArn": TOPIC,
        "Subject": 'ALARM: "büsy\n" in US East (N. Virginia)',
        "Timestamp": "2026-11-30T12:00:00.000Z",
    }


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500, 503])
def test_what_is_no_success_is_tried_again_later(status: int) -> None:
    with _http() as (elsewhere, others), _http(status, Location=f"http://127.0.0.1:{elsewhere}/") as (port, _):
        assert refusal(f"http://127.0.0.1:{port}/SECRET") == f"status {status}"
    assert others == []


@pytest.mark.parametrize("scheme", ["http", "smtp", "smtps", "sns:http"])
def test_nobody_there(scheme: str) -> None:
    entry = f"{scheme}://a:SECRET@127.0.0.1:{free_port()}"
    assert refusal(entry if "http" in scheme else f"{entry}/?from=a@b&to=c@d") == "Connection refused"


def test_mail() -> None:
    with _smtp() as (port, received):
        deliver(f"smtp://127.0.0.1:{port}?from=db@example.com&to=a@example.com,b@example.com")
    mail = email.message_from_bytes(received[0], policy=default)
    assert (mail["From"], mail["To"]) == ("db@example.com", "a@example.com, b@example.com")
    assert mail["Subject"] == 'ALARM: "büsy " in US East (N. Virginia)'
    text = mail.get_content()  # type: ignore[attr-defined]
    assert "has entered the state ALARM: Threshold Crossed" in text
    assert "State change:  OK -> ALARM" in text
    assert "Account:       123456789012" in text


def test_no_password_is_sent_in_the_clear() -> None:
    with _smtp() as (port, received):
        problem = refusal(f"smtp://db:SECRET@127.0.0.1:{port}?from=db@example.com&to=a@example.com")
    assert problem == "the server offers no TLS, and the password is not sent without"
    assert received == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_with_a_password_over_tls(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = sign("authority", authority=True)
    server = sign("localhost", authority)
    trusted, chain = tmp_path / "authority.pem", tmp_path / "server.pem"
    trusted.write_bytes(authority.pem)
    chain.write_bytes(server.pem + server.key_pem())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    with _smtp(tls=tls, from_the_start=scheme == "smtps") as (port, received):
        url = f"{scheme}://db:pa%2Fss@127.0.0.1:{port}?from=db@example.com&to=a@example.com"
        assert "certificate verify failed" in refusal(url)
        assert received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        deliver(url)
    login, mail = received
    assert login == b"\0db\0pa/ss"
    assert email.message_from_bytes(mail, policy=default)["To"] == "a@example.com"


def test_a_mail_server_that_refuses() -> None:
    with _smtp(b"451 SECRET later") as (port, _):
        assert refusal(f"smtp://127.0.0.1:{port}?from=db@example.com&to=a@example.com") == "status 451"


@pytest.mark.parametrize("token", ["", "SESSION"])
def test_sns_gets_a_signed_publish(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": token}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    with _http() as (port, received):
        deliver(f"sns:http://127.0.0.1:{port}")
    (request,) = received
    assert {name: values[0] for name, values in parse_qs(request.body.decode()).items()} == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "TopicArn": TOPIC,
        "Subject": 'ALARM: "b?sy?" in US East (N. Virginia)',
        "Message": json.dumps(MESSAGE),
    }
    assert request.headers.get("x-amz-security-token", "") == token
    assert request.headers["authorization"] == _by_botocore(request, port, token)


def _by_botocore(request: Received, port: int, token: str) -> str:
    """The authorization that botocore computes for the same request."""
    headers = {"Content-Type": request.headers["content-type"], "Host": f"127.0.0.1:{port}"}
    again = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers, request.body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIA", "SECRET", token or None), "sns", "eu-west-1")
    again.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    if token:
        again.headers["X-Amz-Security-Token"] = token
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    signed = auth.signed_headers(auth.headers_to_sign(again))
    scope = auth.scope(again)
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://sns.eu-west-1.amazonaws.com/"),
        ("cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn/"),
        ("us-gov-east-1", "https://sns.us-gov-east-1.amazonaws.com/"),
        ("evil.example.com/#", None),
        ("user@evil", None),
        ("Evil", None),
        ("a" * 30, None),
    ],
)
def test_no_arn_leads_away_from_aws(region: str, host: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region of the ARN is part of the host name, and whoever sets an alarm chooses it."""
    asked: list[str] = []
    monkeypatch.setattr(sending, "_post", lambda url, *_: asked.append(url))
    monkeypatch.setattr(sending, "_credentials", lambda _: ("AKIA", "SECRET", ""))
    elsewhere = msgspec.structs.replace(NOTIFICATION, action=f"arn:aws:sns:{region}:123456789012:ops")
    if host is None:
        with pytest.raises(DeliveryError, match="the ARN names no region"):
            send(Topic(""), elsewhere)
    else:
        send(Topic(""), elsewhere)
    assert asked == ([] if host is None else [host])


def test_sns_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    assert refusal("sns:http://127.0.0.1:1") == "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
