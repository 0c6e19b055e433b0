"""moto's server keeps nobody waiting for a client that was killed while it sent a request."""

from __future__ import annotations

import http.client
import socket

from tests.moto_server import moto_server

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 2\r\n\r\n{"


def test_half_a_request_is_in_nobodys_way() -> None:
    with moto_server() as moto, socket.create_connection(("127.0.0.1", moto.port)) as half:
        half.sendall(REQUEST)
        other = http.client.HTTPConnection("127.0.0.1", moto.port, timeout=20)
        other.request("POST", "/", "{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables"})
        assert other.getresponse().status == 200
        half.sendall(b"}")
        assert half.recv(12) == b"HTTP/1.0 200"
