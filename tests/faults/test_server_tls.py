"""TLS on real sockets: clients of every kind, what hostile ones may cost, certificates that change."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from blotter.database.http.tls import PLAIN_HTTP
from tests.certificates import Files, sign, write_chain
from tests.conftest import Serve, Serving, serve_command
from tests.waiting import wait_until

_HEALTHY = b"healthy: dynamodb.us-east-1.amazonaws.com "


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(serve: Serve, files: Files) -> Serving:
    return _serve(serve, files)


def _serve(serve: Serve, files: Files, *arguments: str) -> Serving:
    paths = ("--tls-certificate", str(files.certificate), "--tls-key", str(files.key))
    return serve("--workers", "2", *paths, *arguments)


def _client(trusted: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(trusted))


def _connect(serving: Serving, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(serving.address, timeout=30), server_hostname="localhost")


def _receive(client: socket.socket) -> bytes:
    """Everything up to the end."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def _get(client: socket.socket, target: str = "/") -> bytes:
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while not received.endswith((_HEALTHY, b'"ok"}')):
        data = client.recv(65536)
        assert data, received
        received += data
    return received


def _dynamodb(serving: Serving, trusted: str | bool) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=serving.url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        verify=trusted,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def _make_table(client: Any) -> None:
    client.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_clients_of_every_kind(secure: Serving, files: Files, tmp_path: Path) -> None:
    """Both versions of TLS through Python's ssl, boto3 with large bodies both ways, openssl and the AWS CLI."""
    assert secure.url.startswith("https://")
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = _client(files.trusted)
        context.minimum_version = context.maximum_version = version
        with _connect(secure, context) as client:
            assert client.version() == name
            assert b" 200 OK" in _get(client)
            assert b" 200 OK" in _get(client)  # Kept alive.
            cipher = client.cipher()
            assert cipher is not None
            assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]

    dynamodb = _dynamodb(secure, str(files.trusted))
    _make_table(dynamodb)
    items = [{"k": {"S": f"key {n}"}, "text": {"S": "grüße " * 50_000}} for n in range(16)]
    dynamodb.batch_write_item(RequestItems={"table": [{"PutRequest": {"Item": item}} for item in items]})
    found = dynamodb.batch_get_item(RequestItems={"table": {"Keys": [{"k": item["k"]} for item in items]}})
    assert sorted(found["Responses"]["table"], key=lambda item: item["k"]["S"]) == sorted(
        items, key=lambda item: item["k"]["S"]
    )

    host, port = secure.address
    asked = subprocess.run(
        [
            "openssl",
            "s_client",
            "-quiet",
            "-CAfile",
            files.trusted,
            "-verify_return_error",
            "-connect",
            f"{host}:{port}",
        ],
        input=b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b'{"status":"ok"}' in asked.stdout

    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": secure.url,
        "AWS_CA_BUNDLE": str(files.trusted),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    command = [str(Path(sys.executable).with_name("aws")), "dynamodb", "list-tables", "--output", "json"]
    listed = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True)
    assert json.loads(listed.stdout) == {"TableNames": ["table"]}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_what_clients_must_not_accept_or_offer(serve: Serve, files: Files, tmp_path: Path) -> None:
    """A client that does not know the authority, an expired certificate, and TLS 1.1."""
    own = Files(tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "t.pem")
    expired = sign("server", days=-1)
    own.write(expired)
    own.trusted.write_bytes(expired.pem)
    serving = _serve(serve, own)
    assert b"has expired on" in serving.log.read_bytes()
    for trusted, reason in ((files.trusted, "self-signed certificate"), (own.trusted, "certificate has expired")):
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            _connect(serving, _client(trusted))
    with pytest.raises(botocore.exceptions.SSLError):
        _dynamodb(serving, str(files.trusted)).list_tables()

    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        _connect(serving, old)
    weak = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    weak.check_hostname, weak.verify_mode = False, ssl.CERT_NONE
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        _connect(serving, weak)


def test_plain_and_encrypted_taken_for_each_other(secure: Serving, serve: Serve) -> None:
    with socket.create_connection(secure.address, timeout=30) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        answer = _receive(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(f"\r\n\r\n{PLAIN_HTTP}\n".encode())

    plain = serve("--workers", "1")
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError):
        _connect(plain, context)  # At once: its first bytes are no HTTP.


def test_hostile_clients(serve: Serve, files: Files) -> None:
    """Half a handshake, bytes that are none, a record that is forged, an end without notice: each ends its own
    connection only, those that wait in time."""
    serving = _serve(serve, files, "--header-timeout", "0.5")
    context = _client(files.trusted)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    first = outgoing.read()

    silent = socket.create_connection(serving.address, timeout=30)
    half = socket.create_connection(serving.address, timeout=30)
    half.sendall(first[:-5])
    with socket.create_connection(serving.address, timeout=30) as nonsense:
        nonsense.sendall(b"\x16\x03\x01\x00\x05hello" * 100)
        _receive_or_reset(nonsense)
    with _served(serving, context) as forging:
        raw = socket.socket(fileno=os.dup(forging.fileno()))
        raw.settimeout(30)
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        _receive_or_reset(raw)
        raw.close()
    os.close(_served(serving, context).detach())
    for client in (silent, half):
        _receive_or_reset(client)  # Both end by the time-out for a head.
        client.close()
    _served(serving, context).close()
    assert len(serving.workers()) == 2


def _served(serving: Serving, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection that has been served once within the short time for a head; on a busy machine not the first."""
    connections: list[ssl.SSLSocket] = []

    def is_served() -> bool:
        try:
            connections.append(_connect(serving, context))
            return b" 200 OK" in _get(connections[-1])
        except (OSError, AssertionError):
            return False

    wait_until(is_served)
    for late in connections[:-1]:
        late.close()
    return connections[-1]


def _receive_or_reset(client: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        _receive(client)


def test_bytes_one_by_one_and_half_closed(secure: Serving, files: Files) -> None:
    """A handshake in single bytes; requests sent at once, then the client's "close notify": all are answered, and
    the server says that it ends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = _client(files.trusted).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(secure.address, timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(step: int) -> None:
            data = outgoing.read()
            for at in range(0, len(data), step):
                client.sendall(data[at : at + step])

        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                send(1)
                incoming.write(client.recv(65536))
        session.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        with pytest.raises(ssl.SSLWantReadError):
            session.unwrap()
        send(7)
        client.shutdown(socket.SHUT_WR)
        incoming.write(_receive(client))
    received = b""
    with contextlib.suppress(ssl.SSLZeroReturnError):  # A missing "close notify" would be another error.
        while True:
            received += session.read(65536)
    assert received.count(b'{"status":"ok"}') == 50


class _Records:
    """A client that decides how its records are sent."""

    def __init__(self, serving: Serving, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.socket = socket.create_connection(serving.address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                self._session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._receive()
        self.socket.sendall(self._outgoing.read())

    def records(self, *contents: bytes) -> bytes:
        for content in contents:
            self._session.write(content)
        return self._outgoing.read()

    def expect(self, answers: int) -> None:
        received = b""
        while received.count(b'{"status":"ok"}') < answers:
            try:
                received += self._session.read(65536)
            except ssl.SSLWantReadError:
                self._receive()
        assert received.count(b"HTTP/1.1 200 ") == answers

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        assert data
        self._incoming.write(data)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_in_records_of_every_shape(secure: Serving, files: Files, version: ssl.TLSVersion) -> None:
    """One in a record, in several, several records in one piece, a record in single bytes, one and a half."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    context = _client(files.trusted)
    context.minimum_version = context.maximum_version = version
    client = _Records(secure, context)
    with client.socket:
        for contents in ([request], [request], [request[:9], request[9:]], [request] * 5, [request]):
            client.socket.sendall(client.records(*contents))
            client.expect(b"".join(contents).count(b"GET"))
        record = client.records(request)
        for at in range(len(record)):
            client.socket.sendall(record[at : at + 1])
        client.expect(1)
        both = client.records(request, request)
        half = len(both) // 2 + 3
        for part in (both[:half], both[half:], client.records(request)):
            client.socket.sendall(part)
            client.expect(1)


def test_a_client_may_change_its_keys(secure: Serving, files: Files) -> None:
    """Twice, with OpenSSL's own client, whose command "K" asks the server to change its own too."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    host, port = secure.address
    command = ["openssl", "s_client", "-CAfile", files.trusted, "-connect", f"{host}:{port}", "-tls1_3"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        assert asking.stderr is not None
        too_long = threading.Timer(60, asking.kill)
        too_long.start()
        for _ in range(2):
            asking.stdin.write(request)
            _read_until(asking.stdout, b'{"status":"ok"}')
            asking.stdin.write(b"K\n")
            _read_until(asking.stderr, b"KEYUPDATE")
        asking.stdin.write(request)
        _read_until(asking.stdout, b'{"status":"ok"}')
        asking.stdin.close()
        too_long.cancel()


def _read_until(pipe: IO[bytes], text: bytes) -> None:
    received = b""
    while text not in received:
        data = os.read(pipe.fileno(), 65536)
        assert data, received
        received += data


def test_sighup_changes_the_certificate_and_keeps_connections(serve: Serve, tmp_path: Path) -> None:
    own = write_chain(tmp_path)
    serving = _serve(serve, own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def shown() -> set[bytes | None]:
        clients = [_connect(serving, context) for _ in range(6)]  # Workers take turns at connections.
        found = {client.getpeercert(binary_form=True) for client in clients}
        for client in clients:
            client.close()
        return found

    kept = [_connect(serving, context) for _ in range(4)]
    before = shown()
    assert len(before) == 1

    own.key.write_bytes(b"broken")
    serving.process.send_signal(signal.SIGHUP)
    wait_until(lambda: serving.log.read_text().count("the certificate in use is kept") == 1)
    assert shown() == before

    own.write(sign("server"))
    serving.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not shown() & before)
    for client in kept:
        assert b" 200 OK" in _get(client)
        client.close()
    assert serving.log.read_text().count("the certificate in use is kept") == 1


def test_drain_ends_handshakes_and_answers_requests(serve: Serve, files: Files) -> None:
    serving = _serve(serve, files)
    waiting = socket.create_connection(serving.address, timeout=30)
    with _connect(serving, _client(files.trusted)) as client:
        _get(client)
        assert serving.stop() == 0
        assert client.recv(100) == b""
    _receive_or_reset(waiting)
    waiting.close()
    assert "cut off" not in serving.log.read_text()


@pytest.fixture
def environment() -> dict[str, str]:
    return serve_command()[1]


def test_a_certificate_of_its_own(serve: Serve, environment: dict[str, str]) -> None:
    """`--tls-self-signed`: the printed line, `blotter env`, `blotter healthcheck`, and the same authority after a
    restart."""
    serving = serve("--workers", "1", "--tls-self-signed")
    authority = serving.data_dir.resolve() / "tls" / "ca.pem"
    assert f"clients trust it with AWS_CA_BUNDLE={authority}\n" in serving.log.read_text()
    with _connect(serving, _client(authority)) as client:
        assert b" 200 OK" in _get(client)
    settings = {
        "BLOTTER_TLS_SELF_SIGNED": "yes",
        "BLOTTER_DATA_DIR": str(serving.data_dir),
        "BLOTTER_PORT": str(serving.address[1]),
    }
    blotter = [sys.executable, "-m", "blotter"]
    printed = subprocess.run(
        [*blotter, "env"],
        env=environment | settings,
        cwd=serving.data_dir.parent,
        capture_output=True,
        check=True,
        text=True,
    )
    assert f"export AWS_ENDPOINT_URL={serving.url}\n" in printed.stdout
    assert f"export AWS_CA_BUNDLE={serving.data_dir}/tls/ca.pem\n" in printed.stdout
    asked = subprocess.run(
        [*blotter, "healthcheck"],
        env=environment | settings,
        cwd=serving.data_dir.parent,
        capture_output=True,
        check=False,
    )
    assert (asked.returncode, asked.stderr) == (0, b"")
    assert serving.stop() == 0
    again = serve("--workers", "1", "--tls-self-signed", data_dir=serving.data_dir)
    with _connect(again, _client(authority)) as client:
        assert b" 200 OK" in _get(client)


def test_a_start_that_cannot_work_is_one_line(files: Files, tmp_path: Path) -> None:
    command, environment = serve_command("--port", "0", "--data-dir", str(tmp_path / "data"))
    for arguments, status, said in (
        (["--tls-certificate", str(files.certificate)], 2, "--tls-certificate needs --tls-key as well"),
        (
            ["--tls-certificate", str(files.key), "--tls-key", str(files.key)],
            1,
            "holds no certificate in PEM format",
        ),
    ):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, check=False, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (status, 1)
        assert said in done.stderr
