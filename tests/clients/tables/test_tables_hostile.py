"""An endpoint that answers badly or means harm: bounded time, no false success, no traceback, clean output.

`answering` is an HTTP server whose answers a test writes. What the command shows must be printable lines, whatever
the answers hold.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Blotter = Any  # the fixture class of conftest.py; test modules cannot import it
Respond = Callable[[http.server.BaseHTTPRequestHandler, str, dict[str, Any]], Any]


class Answering:
    """A server that calls `respond(handler, operation, request)` for each request and sends what it returns."""

    def __init__(self) -> None:
        self.respond: Respond = lambda *_: {}
        self.requests: list[str] = []
        self.stopped = threading.Event()
        answering = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                answering.requests.append(operation)
                answer = answering.respond(self, operation, json.loads(body or b"{}"))
                if answer is not None:
                    answering.send(self, answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up here
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @staticmethod
    def send(handler: http.server.BaseHTTPRequestHandler, answer: Any, status: int = 200) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.0")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    server = Answering()
    yield server
    server.stop()


@pytest.fixture
def blotter(blotter_on_moto: Blotter, answering: Answering) -> Blotter:
    blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"] = answering.url
    return blotter_on_moto


def table(name: str, **changes: Any) -> dict[str, Any]:
    described = {
        "TableName": name,
        "TableArn": f"arn:aws:dynamodb:us-east-1:111122223333:table/{name}",
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": "file_key", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "file_key", "AttributeType": "S"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ItemCount": 0,
        "TableSizeBytes": 0,
    }
    return {"Table": {key: value for key, value in (described | changes).items() if value is not None}}


def clean(answer: Any) -> None:
    """Printable lines only, and no traceback."""
    for text in (answer.out, answer.err):
        assert "Traceback" not in text
        assert all(line.isprintable() for line in text.split("\n")), text


def one_line(answer: Any, code: int, says: str = "") -> None:
    clean(answer)
    assert (answer.code, answer.err.count("\n")) == (code, 1), answer
    assert answer.err.startswith("blotter: ")
    assert says in answer.err


# --- time


def drip(answering: Answering) -> Respond:
    """Headers at once, then a blank every 20 ms for as long as the client listens."""

    def respond(handler: http.server.BaseHTTPRequestHandler, _operation: str, _request: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not answering.stopped.wait(0.02):
            handler.wfile.write(b" ")

    return respond


@pytest.mark.parametrize(
    "command", [["apply"], ["plan"], ["status"], ["wait"], ["destroy", "--yes"], ["describe", "results"]]
)
def test_a_dripping_answer_ends_at_the_deadline(
    blotter: Blotter, answering: Answering, command: list[str]
) -> None:
    answering.respond = drip(answering)
    start = time.monotonic()
    one_line(blotter(*command, "--timeout", "1"), 8, "did not answer in full within")
    assert time.monotonic() - start < 20  # botocore's own time-outs never end this


def test_endless_pages_end_at_the_deadline(blotter: Blotter, answering: Answering) -> None:
    blotter.declare(blotter.seed + 'tags = { a = "b" }\n')
    answering.respond = lambda _h, operation, _r: (
        table(blotter.table)
        if operation == "DescribeTable"
        else {"Tags": [], "NextToken": str(len(answering.requests))}
    )
    one_line(blotter("plan", "--timeout", "1"), 8)


def test_the_same_page_for_ever_is_found(blotter: Blotter, answering: Answering) -> None:
    blotter.declare(blotter.seed + 'tags = { a = "b" }\n')
    answering.respond = lambda _h, operation, _r: (
        table(blotter.table) if operation == "DescribeTable" else {"Tags": [], "NextToken": "again"}
    )
    one_line(blotter("plan"), 1, "the same page again and again")
    answering.respond = lambda _h, operation, request: (
        table(request.get("TableName"))
        if operation == "DescribeTable"
        else {"Items": [], "LastEvaluatedKey": {"file_key": {"S": "x"}}}
    )
    notes = ["--notes", str(blotter.folder / "notes")]
    one_line(blotter("copy", "results", "other", *notes), 1, "the same page again and again")


# --- success that was not earned


@pytest.mark.parametrize(
    "command", [["apply"], ["plan"], ["wait"], ["status"], ["describe", "results"], ["destroy", "--yes"]]
)
@pytest.mark.parametrize("changes", [{"TableName": "another"}, {"TableArn": "arn:aws:dynamodb:r:1:table/another"}])
def test_an_answer_for_another_table(
    blotter: Blotter, answering: Answering, command: list[str], changes: dict[str, Any]
) -> None:
    answering.respond = lambda *_: table(blotter.table, **changes)
    one_line(blotter(*command), 7, f"asked for {blotter.table}, it describes another")
    assert set(answering.requests) == {"DescribeTable"}


def test_a_status_nobody_knows_is_no_success(blotter: Blotter, answering: Answering) -> None:
    answering.respond = lambda *_: table(blotter.table, TableStatus="SLEEPING")
    for command in ("apply", "wait"):
        one_line(blotter(command), 9, "is SLEEPING: a state this version of blotter does not know")
    status = blotter("status", "--json")
    assert (status.code, status.json()["tables"][0]["ready"]) == (2, False)


@pytest.mark.parametrize("status", ["CREATION_FAILED", "REGION_DISABLED", "SLEEPING"])
def test_a_replica_that_will_not_come_is_no_success(blotter: Blotter, answering: Answering, status: str) -> None:
    replicas = [{"RegionName": "eu-west-1", "ReplicaStatus": status}]
    answering.respond = lambda *_: table(blotter.table, Replicas=replicas)
    one_line(blotter("apply"), 9, f"in eu-west-1 is {status}")


def test_an_index_of_unknown_status_is_waited_for(blotter: Blotter, answering: Answering) -> None:
    index = {
        "IndexName": "by_x",
        "KeySchema": [{"AttributeName": "file_key", "KeyType": "HASH"}],
        "IndexStatus": "ODD",
    }
    answering.respond = lambda *_: table(blotter.table, GlobalSecondaryIndexes=[index])
    one_line(blotter("wait", "--timeout", "0.3"), 8, "waiting until it is ACTIVE")


# --- answers that are none


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"Table"',
        b"<html>hello</html>",
        b"\xff\xfe\x00",
        b'{"Table": null}',
        b'{"Table": []}',
        b'{"Table": "x"}',
        b'{"Table": {"TableName": 5}}',
        b'{"Table": ' + b"[" * 200_000,
        b'{"Table": {"KeySchema": "x", "ItemCount": "many"}}',
        b'{"Table": {"CreationDateTime": "yesterday"}}',
        b'{"Table": {"CreationDateTime": 1e300}}',
        b'{"Table": {"ItemCount": NaN, "TableSizeBytes": 1e999}}',
    ],
)
@pytest.mark.parametrize("command", ["apply", "status", "destroy"])
def test_a_bad_answer_is_one_line(blotter: Blotter, answering: Answering, command: str, body: bytes) -> None:
    answering.respond = lambda *_: body
    one_line(blotter(command, *(["--yes"] if command == "destroy" else [])), 7)


PARTS = [
    "TableName",
    "TableArn",
    "TableStatus",
    "KeySchema",
    "AttributeDefinitions",
    "BillingModeSummary",
    "ItemCount",
]
WRONG = [None, 5, [], [{}], {"x": 1}]


@pytest.mark.parametrize("part", PARTS)
def test_one_part_of_a_wrong_kind(blotter: Blotter, answering: Answering, part: str) -> None:
    for wrong in WRONG:
        answering.respond = lambda _h, _o, _r, wrong=wrong: table(blotter.table, **{part: wrong})
        answer = blotter("plan", "--check")
        clean(answer)
        assert answer.code in (0, 2, 3, 7, 9), (wrong, answer)


@pytest.mark.parametrize(
    "error",
    [
        {"__type": ["x"], "message": {"a": 1}},
        {"__type": "x#ValidationException", "message": "first\nblotter: second\x1b[2K\u202etxt.exe\x9b31m"},
        {"__type": "x#\x1b]0;title\x07Exception", "message": None},
        ["x"],
        {"__type": "ValidationException", "message": "x" * 100_000},
    ],
)
def test_an_error_answer_is_one_clean_line(blotter: Blotter, answering: Answering, error: Any) -> None:
    answering.respond = lambda handler, *_: answering.send(handler, error, 400)
    answer = blotter("plan")
    clean(answer)
    assert answer.code in (1, 7)
    assert (answer.err.count("\n"), len(answer.err) < 2100) == (1, True)
    machine = blotter("plan", "--json")
    assert json.loads(machine.out)["exit_code"] == answer.code
    clean(machine)


HOSTILE = "x\x1b[1A\x1b[2K\nblotter: as declared\r\u202e\x9b\u2028\x00"


def test_what_a_table_is_called_cannot_fake_output(blotter: Blotter, answering: Answering) -> None:
    schema = [{"AttributeName": "file_key", "KeyType": "HASH"}, {"AttributeName": HOSTILE, "KeyType": "RANGE"}]
    index = {
        "IndexName": HOSTILE,
        "KeySchema": schema,
        "IndexStatus": HOSTILE,
        "Projection": {"ProjectionType": HOSTILE},
    }
    strange = table(blotter.table, KeySchema=schema, GlobalSecondaryIndexes=[index], TableArn=None)
    strange["Table"]["TableArn"] = f"arn:{HOSTILE}:table/{blotter.table}"
    answering.respond = lambda *_: strange
    for command in (["plan"], ["diff"], ["status"], ["describe", "results"], ["describe", "results", "--as-toml"]):
        for machine in ([], ["--json"]):
            clean(blotter(*command, *machine))
    assert "\nblotter: as declared" not in blotter("describe", "results").out


def test_hostile_tags_and_policies_are_written_as_values(blotter: Blotter, answering: Answering) -> None:
    import tomllib

    answers = {
        "DescribeTable": table(blotter.table),
        "ListTagsOfResource": {"Tags": [{"Key": f"k{HOSTILE}", "Value": HOSTILE}, {"Key": "aws:x", "Value": "y"}]},
        "DescribeTimeToLive": {
            "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": '"] $(x) ${y}\x7f'}
        },
        "DescribeContinuousBackups": {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}},
        "GetResourcePolicy": {"Policy": json.dumps({"Statement": [{"Resource": HOSTILE, "Null": None}]})},
    }
    answering.respond = lambda _h, operation, _r: answers[operation]
    answer = blotter("describe", "results", "--as-toml")
    clean(answer)
    assert answer.code == 0
    declared = tomllib.loads(answer.out)["tables"]["results"]
    assert declared["tags"] == {f"k{HOSTILE}": HOSTILE}
    assert declared["time_to_live"] == '"] $(x) ${y}\x7f'
    assert "resource_policy" not in declared  # TOML has no null
    assert "# left out: resource_policy: " in answer.out
    blotter.declare(answer.out)
    assert blotter("plan", "--check").code == 0


def test_an_items_batch_goes_nowhere_else(blotter: Blotter, answering: Answering) -> None:
    """Unprocessed items of tables that were not requested would be written there by the next request."""
    item = {"file_key": {"S": "a"}}

    def respond(_h: Any, operation: str, request: dict[str, Any]) -> Any:
        if operation == "DescribeTable":
            return table(request["TableName"])
        if operation == "Scan":
            return {
                "Items": [item] if request["TableName"] == blotter.table and request.get("Segment") == 0 else []
            }
        return {"UnprocessedItems": {"victims": [{"PutRequest": {"Item": item}}]}}

    answering.respond = respond
    notes = blotter.folder / "notes"
    one_line(
        blotter("copy", "results", "other", "--notes", str(notes)), 7, "the answer names items that were not sent"
    )
    assert answering.requests.count("BatchWriteItem") == 1


# --- secrets


def test_a_password_in_the_endpoint_is_shown_nowhere(blotter: Blotter, answering: Answering) -> None:
    answering.respond = lambda *_: table(blotter.table)
    with_password = answering.url.replace("://", "://me:geheim@")
    commands = [["apply"], ["plan", "--json"], ["destroy"]]
    commands += [["export", "--format", form] for form in ("cli", "terraform")]
    for url in (
        with_password,
        with_password.replace("127.0.0.1", "127.0.0.1:x"),
        f"{with_password}/?token=geheim",
    ):
        for command in commands:
            for how in ("flag", "variable"):
                flag = ["--endpoint-url", url] if how == "flag" else []
                answer = blotter(*command, *flag, **({} if flag else {"AWS_ENDPOINT_URL_DYNAMODB": url}))
                assert "geheim" not in answer.out + answer.err, (url, command)
                clean(answer)
    assert blotter("plan", "--check", "--endpoint-url", with_password).code == 0
    (blotter.folder / "no-config").write_text(f"[default]\nendpoint_url = {with_password}\n")
    for command in commands:
        answer = blotter(*command, AWS_ENDPOINT_URL_DYNAMODB=None)
        assert "geheim" not in answer.out + answer.err, command


def test_a_time_to_live_without_its_attribute_is_no_answer(blotter: Blotter, answering: Answering) -> None:
    blotter.declare(blotter.seed + 'time_to_live = "until"\n')

    def respond(_handler: Any, operation: str, request: dict[str, Any]) -> Any:
        if operation == "DescribeTable":
            return table(request["TableName"])
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}}

    answering.respond = respond
    one_line(blotter("plan"), 7, "names no attribute")
