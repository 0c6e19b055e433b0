"""What of the benchmarks can be right or wrong by itself: signatures, reading answers, writing figures.

What they measure is not tested here. botocore's own signer checks ours.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import front_ends, load, report, signing, workloads, wrk

DOCUMENT = Path(__file__).parents[2] / "docs/performance.md"


@pytest.mark.parametrize("operation", workloads.OPERATIONS)
def test_signatures_are_those_that_botocore_makes(operation: str) -> None:
    name, body = workloads.OPERATIONS[operation]()[0]
    head, _, content = signing.request("127.0.0.1:8000", name, body, moment=1_800_000_000).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["X-Amz-Date"] == "20270115T080000Z"
    assert headers["Content-Length"] == str(len(content))

    signed = {name: headers[name] for name in ("Content-Type", "X-Amz-Target", "X-Amz-Date")}
    request = AWSRequest("POST", "http://127.0.0.1:8000/", data=content, headers=signed)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(signing.ACCESS_KEY, signing.SECRET), "dynamodb", signing.REGION)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(
        f"Credential={signing.ACCESS_KEY}/20270115/us-east-1/dynamodb/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={signature}"
    )


def test_no_two_requests_have_the_same_head() -> None:
    first, second = signing.requests([workloads.get(1), workloads.get(1)], "127.0.0.1:8000")
    assert first.partition(b"\r\n\r\n")[0] != second.partition(b"\r\n\r\n")[0]


def test_an_answer_is_whole_when_its_last_byte_is_there() -> None:
    for header in (b"Content-Length", b"content-length", b"Content-length"):
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: a\r\n" + header + b": 12\r\n\r\n" + b"x" * 12
        assert [load.is_whole(answer[:end]) for end in range(len(answer) + 1)] == [False] * len(answer) + [True]


@pytest.mark.parametrize(
    "client", [load, pytest.param(wrk, marks=pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk here"))]
)
def test_clients_count_every_answer_and_every_error(client: object) -> None:
    """A server that refuses each third request and answers each twentieth late: after 60 ms of its own work."""
    answered: list[int] = []

    def work(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                answered.append(400 if len(answered) % 3 == 0 else 200)
                work(0.06 if len(answered) % 20 == 0 else 0)
                connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % answered[-1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,)).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept).start()
        requests = signing.requests([workloads.get(number) for number in range(10)], "127.0.0.1")
        result = client.run(listener.getsockname(), requests, 1, 1.0)  # type: ignore[attr-defined]
        listener.shutdown(socket.SHUT_RDWR)
    # One may be under way at the end.
    assert len(answered) - 1 <= result.answers <= len(answered)
    assert result.errors in (answered.count(400), answered[:-1].count(400))
    assert result.slow >= result.answers // 20 >= 1
    assert result.p50 < 50
    assert result.slowest > 60


def test_figures_of_another_wrk_are_not_believed() -> None:
    line = "prepared 0.5\nreplayed 100 {} 3 1 2000000 250 900 0 950 940\n"
    result = wrk.parse(line.format(100), 1.5)
    assert result == load.Result(100, 4, 2.0, 0.25, 0.9, (0.95, 0.94), 0, 1.0)
    with pytest.raises(RuntimeError, match="99 latencies of 100"):
        wrk.parse(line.format(99), 1.5)
    with pytest.raises(load.NoAnswer):
        wrk.parse("prepared 0.5\nreplayed 0 0 0 0 1000000\n", 1.5)


def test_a_part_is_written_and_the_others_stay(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "words\n<!-- measured: a -->\nold\n<!-- end -->\n<!-- measured: b -->\nold\n<!-- end -->\n"
    )
    report.write(document, {"b": "new \\1"})
    text = "words\n<!-- measured: a -->\nold\n<!-- end -->\n<!-- measured: b -->\nnew \\1\n<!-- end -->\n"
    assert document.read_text() == text
    with pytest.raises(ValueError, match="no part 'c'"):
        report.write(document, {"a": "new", "c": "new"})
    assert document.read_text() == text


def test_the_document_has_a_place_for_every_part() -> None:
    compared = ["machine", "throughput", "connections", "latency", "servers", "floors"]
    others = ["client", "signatures", "tls", "encryption", "scaling", "stalls", "growth", "imports", "vectors"]
    others += ["keeping", "hostile", "soak", "growthpostgres"]
    found = re.findall(r"<!-- measured: (\w+) -->", DOCUMENT.read_text())
    assert sorted(found) == sorted([*compared, *others])


def test_simulated_front_ends_add_up_until_the_server_is_busy() -> None:
    def rate(front_end_count: int, **other: float | bool) -> float:
        costs = {"request": 1e-4, "batch": 0.0, "server_batch": 0.0, "server_item": 0.0, **other}
        return front_ends.Simulation(front_ends.Cost(**costs), front_end_count).run(10)  # type: ignore[arg-type]

    alone = rate(1)
    assert alone == pytest.approx(front_ends.WORKERS * 1e4, rel=0.1)
    assert rate(4) == pytest.approx(4 * alone, rel=0.01)
    bound = front_ends.CORES / 1e-3
    assert rate(4, server_item=1e-3) == pytest.approx(bound, rel=0.2)
    assert rate(8, server_item=1e-3) == pytest.approx(bound, rel=0.2)
    logged = rate(4, sync=0.01, logged=True)
    assert rate(8, sync=0.01, logged=True) == pytest.approx(logged, rel=0.1)
