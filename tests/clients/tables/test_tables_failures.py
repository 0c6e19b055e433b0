"""What goes wrong around `blotter tables`: always one line on stderr, the documented exit code, no traceback.

FaultyEndpoint comes from an endpoint in front of a real one; interruptions are real signals to a real process, at
every request it makes.
"""

from __future__ import annotations

import http.server
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

Blotter = Any  # fixture classes of conftest.py; test modules cannot import them
FaultyEndpoint = Any
Answer = Any


def one_line(answer: Answer, code: int, *says: str) -> None:
    assert answer.code == code, answer
    assert answer.err.startswith("blotter: ")
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err + answer.out
    for words in says:
        assert words in answer.err


def refuse(code: str, message: str, status: int = 400) -> Any:
    return type("Refusal", (), {"code": code, "message": message, "status": status})()


# --- credentials, configuration, network


def test_no_credentials_on_a_local_endpoint_says_that_any_will_do(blotter_on_moto: Blotter) -> None:
    answer = blotter_on_moto("apply", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    one_line(answer, 5, "no credentials: set AWS_PROFILE", "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local")


def test_no_credentials_for_aws_does_not_say_so(blotter_on_moto: Blotter) -> None:
    answer = blotter_on_moto(
        "apply",
        "--endpoint-url",
        "aws",
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
    )
    one_line(answer, 5, "no credentials: set AWS_PROFILE")
    assert "local" not in answer.err


def test_half_a_key(blotter_on_moto: Blotter) -> None:
    one_line(blotter_on_moto("apply", AWS_SECRET_ACCESS_KEY=None), 5, "incomplete credentials")


def test_an_unknown_profile(blotter_on_moto: Blotter) -> None:
    one_line(blotter_on_moto("apply", "--profile", "nope"), 5, "The config profile (nope) could not be found")


def test_an_empty_profile_is_none(blotter_on_moto: Blotter) -> None:
    process = blotter_on_moto.start("status", AWS_PROFILE="")  # its own process: moto reads this variable too
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (2, f"{blotter_on_moto.table}  does not exist\n", "")


def test_the_profiles_keys_are_used(blotter_on_moto: Blotter) -> None:
    """With AWS_PROFILE, as the seed's scripts are called."""
    (blotter_on_moto.folder / "no-config").write_text("[profile set-up]\nregion = us-east-1\n")
    keys = "[set-up]\naws_access_key_id = a\naws_secret_access_key = b\n"
    (blotter_on_moto.folder / "no-credentials").write_text(keys)
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    answer = blotter_on_moto("apply", AWS_PROFILE="set-up", **no_keys)
    assert (answer.code, "profile set-up (AWS_PROFILE)" in answer.out) == (0, True)


def test_an_address_that_cannot_be_one(blotter_on_moto: Blotter) -> None:
    for address in ("http://a b:8000", "localhost:8000", "http://", "http://host:99999999"):
        one_line(blotter_on_moto("apply", "--endpoint-url", address), 4, "endpoint")


def test_nobody_listens(blotter_on_moto: Blotter) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    one_line(blotter_on_moto("apply", "--endpoint-url", address), 7, f"cannot reach {address}; is it running")
    machine = blotter_on_moto("plan", "--json", "--endpoint-url", address)
    assert (machine.code, machine.json()["exit_code"]) == (7, 7)


class SaysYesToAll(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome!</html>")


@pytest.fixture(params=[http.server.SimpleHTTPRequestHandler, SaysYesToAll])
def another_program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An HTTP server that is not DynamoDB."""
    monkeypatch.setattr(request.param, "log_message", lambda *_: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_another_program_listens(blotter_on_moto: Blotter, another_program: str) -> None:
    answer = blotter_on_moto("apply", "--endpoint-url", another_program)
    one_line(answer, 7, "does not answer like DynamoDB; is another program on that port?")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("partition_key = 5", "line 7 (tables.results.partition_key): expected object, got int"),
        (
            'partition_key = { name = "k", type = "T" }',
            "(tables.results.partition_key.type): invalid enum value 'T'",
        ),
        (
            'partition_key = { name = "k", type = "S" }\nbiling_mode = 1',
            "line 8 (tables.results.biling_mode): unknown",
        ),
        ('billing_mode = "PROVISIONED"', "partition_key"),
        ("nonsense", "not valid TOML"),
    ],
)
def test_a_bad_declaration_is_found_before_any_request(
    blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint, text: str, says: str
) -> None:
    blotter_on_moto.declare(f"[tables.results]\n{text}\n")
    one_line(blotter_on_moto("apply", "--endpoint-url", faults_on_moto.url), 4, says)
    assert faults_on_moto.operations == []


def test_no_configuration_at_all(blotter_on_moto: Blotter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    one_line(blotter_on_moto("apply", BLOTTER_CONFIG=None), 4, "no blotter.toml in / or any folder above", "init")


# --- faults


@pytest.mark.parametrize(
    ("code", "status", "times"),
    [
        ("ThrottlingException", 400, 4),
        ("LimitExceededException", 400, 3),
        ("InternalServerError", 500, 3),
        ("ServiceUnavailable", 503, 3),
        ("ResourceInUseException", 400, 2),
    ],
)
def test_passing_failures_are_waited_out(
    blotter: Blotter, faults: FaultyEndpoint, code: str, status: int, times: int
) -> None:
    faults.refusals = {n: refuse(code, "later", status) for n in range(2, 2 + times)}
    answer = blotter("apply", "--endpoint-url", faults.url)
    assert (answer.code, answer.err) == (0, "")
    assert "created, ACTIVE, verified" in answer.out
    assert f"trying again after: CreateTable: {'the endpoint failed' if status >= 500 else 'later'}" in answer.out


@pytest.mark.parametrize(
    ("code", "message", "exit_code", "says"),
    [
        ("AccessDeniedException", "User: arn:x is not authorized", 6, "access denied: DescribeTable: User: arn:x"),
        ("ExpiredTokenException", "The security token has expired", 5, "have expired"),
        ("UnrecognizedClientException", "The security token is invalid.", 5, "does not accept these credentials"),
        ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2", 5, "this machine's clock is"),
        ("UnknownOperationException", "", 1, "does not offer DescribeTable"),
        (
            "ValidationException",
            "Something\nis wrong",
            1,
            "DescribeTable: ValidationException: Something is wrong",
        ),
    ],
)
def test_failures_that_do_not_pass_are_explained(
    blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint, code: str, message: str, exit_code: int, says: str
) -> None:
    faults_on_moto.refusals = {1: refuse(code, message)}
    one_line(blotter_on_moto("apply", "--endpoint-url", faults_on_moto.url), exit_code, says)
    assert len(faults_on_moto.operations) == 1


def test_a_daily_limit_is_not_waited_for(blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint) -> None:
    words = "Subscriber limit exceeded: Update to PayPerRequest mode are limited to once in 1 day(s)."
    faults_on_moto.refusals = {2: refuse("LimitExceededException", words)}
    one_line(blotter_on_moto("apply", "--endpoint-url", faults_on_moto.url), 1, words)


def test_throttling_until_the_deadline(blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint) -> None:
    faults_on_moto.refusals = {n: refuse("ThrottlingException", "Rate exceeded") for n in range(1, 999)}
    answer = blotter_on_moto("apply", "--endpoint-url", faults_on_moto.url, "--timeout", "2")
    one_line(answer, 8, "after 2 s (DescribeTable: Rate exceeded); run again to continue")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_connection_lost_after_the_request_took_effect(
    blotter: Blotter, faults: FaultyEndpoint, number: int
) -> None:
    """Partial failure: the endpoint did it and the answer never came."""
    faults.hang_up_after = {number}
    answer = blotter("apply", "--endpoint-url", faults.url)
    assert (answer.code, answer.err) == (0, "")
    assert faults.operations.count("CreateTable") == 1
    assert "exists, ACTIVE" in blotter("apply").out


# --- interruption


def interrupted(
    blotter: Blotter, faults: FaultyEndpoint, number: int, how: Callable[[Any], None], when: str
) -> Any:
    """A real run that is stopped at its n-th request, before the endpoint got it or after that."""
    reached, ended = threading.Event(), threading.Event()
    getattr(faults, when)[number] = lambda: (reached.set(), ended.wait(60))
    if when == "before":
        faults.hang_up_before = {number}
    process = blotter.start("apply", AWS_ENDPOINT_URL_DYNAMODB=faults.url)
    assert reached.wait(60)
    how(process)
    out, err = process.communicate(timeout=60)
    ended.set()
    return process.returncode, out, err


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_at_any_request_the_next_run_finishes(
    blotter: Blotter, faults: FaultyEndpoint, number: int, when: str
) -> None:
    """SIGKILL at the describe, at the create and at the first describe after it."""
    code, _, _ = interrupted(blotter, faults, number, lambda process: process.kill(), when)
    assert code == -signal.SIGKILL
    answer = blotter("apply")
    assert (answer.code, answer.err) == (0, "")
    assert "exists, ACTIVE, nothing to do" in blotter("apply").out


@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_ctrl_c_and_sigterm_say_one_line(
    blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint, sent: signal.Signals, code: int, word: str
) -> None:
    ended, out, err = interrupted(
        blotter_on_moto, faults_on_moto, 2, lambda process: process.send_signal(sent), "before"
    )
    assert (ended, err) == (code, f"blotter: {word}; run again to continue where it stopped\n")
    assert "Traceback" not in out


def test_two_processes_at_once(blotter: Blotter) -> None:
    processes = [blotter.start("apply", "--json") for _ in range(3)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert sum('"result": "created"' in out for out, _ in answers) == 1


def test_json_on_failure_is_still_one_document(blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint) -> None:
    faults_on_moto.refusals = {1: refuse("AccessDeniedException", "no")}
    answer = blotter_on_moto("apply", "--json", "--endpoint-url", faults_on_moto.url)
    one_line(answer, 6, "access denied")
    assert answer.json()["errors"]["results"] == {
        "message": "access denied: DescribeTable: no",
        "exit_code": 6,
        "code": "AccessDeniedException",
    }


# --- the account, with the other services an endpoint may have


def test_credentials_of_another_account_are_found_before_anything_is_made(
    blotter_on_moto: Blotter, faults_on_moto: FaultyEndpoint
) -> None:
    """On AWS, STS is called first. The SDK's own configuration file lets moto play AWS."""
    del blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    (blotter_on_moto.folder / "no-config").write_text(f"[default]\nendpoint_url = {faults_on_moto.url}\n")
    wrong = blotter_on_moto("apply", "--account", "999988887777")
    one_line(wrong, 4, "the credentials are for account 123456789012, but --account says 999988887777")
    assert faults_on_moto.operations == [""]  # STS alone; it has no X-Amz-Target
    assert blotter_on_moto("apply", BLOTTER_ACCOUNT="123456789012").code == 0


def test_a_table_of_another_account_is_not_touched(blotter: Blotter) -> None:
    blotter("apply")
    one_line(blotter("apply", "--account", "999988887777"), 4, "account 999988887777")


def test_alarms_are_where_the_tables_are(blotter: Blotter) -> None:
    """Without a variable that names their endpoint."""
    alarm = '[tables.results.alarms.throttled]\nmetric = "ThrottledRequests"\nthreshold = '
    for threshold, changed in ((1, ["table", "alarms"]), (2, ["alarms"])):
        blotter.declare(f"{blotter.seed}{alarm}{threshold}\n")
        assert blotter("apply", "--json").json()["tables"][0]["changed"] == changed
        assert blotter("plan", "--check").code == 0
    blotter.declare(f"{blotter.seed}[tables.results.alarms]\nthrottled = false\n")
    assert blotter("apply", "--json").json()["tables"][0]["changed"] == ["alarms"]
    assert blotter("plan", "--check").code == 0


def test_a_key_that_aws_manages_is_any_key_where_there_is_no_kms(blotter: Blotter) -> None:
    blotter.declare(blotter.seed + 'encryption = "AWS_MANAGED"\n')
    assert blotter("apply").code == 0
    assert blotter("plan", "--check").code == 0
    blotter.declare(blotter.seed + 'encryption = "AWS_OWNED"\n')
    assert blotter("plan", "--check").code == 2


def test_alarms_and_autoscaling_are_set_where_their_services_are(blotter_on_moto: Blotter) -> None:
    moto = blotter_on_moto.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    blotter_on_moto.environ["AWS_ENDPOINT_URL"] = moto
    bounds = "{ min_capacity = 2, max_capacity = 20 }"
    blotter_on_moto.declare(
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\nbilling_mode = "PROVISIONED"\n'
        f"autoscaling = {{ read = {bounds}, write = {bounds} }}\n"
        '[tables.results.alarms.throttled]\nmetric = "ThrottledRequests"\nthreshold = 1\n'
    )
    first, second = blotter_on_moto("apply", "--json"), blotter_on_moto("apply", "--json")
    assert first.json()["tables"][0]["changed"] == ["table", "autoscaling", "alarms"]
    assert second.json()["tables"][0]["result"] == "unchanged"
    alarms = boto3.client(
        "cloudwatch",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    ).describe_alarms(AlarmNamePrefix=blotter_on_moto.table)
    assert alarms["MetricAlarms"][0]["AlarmName"] == f"{blotter_on_moto.table}-throttled"


SCALED = (
    '[tables.results]\npartition_key = { name = "file_key", type = "S" }\nbilling_mode = "PROVISIONED"\n'
    "provisioned_throughput = { read_capacity_units = 8, write_capacity_units = 5 }\n"
)


def test_autoscaling_is_where_the_tables_are(blotter: Blotter) -> None:
    """Without a variable that names its endpoint."""
    bounds = "read = { min_capacity = 8, max_capacity = 20, target_utilization = 50 }"
    blotter.declare(f"{SCALED}autoscaling = {{ {bounds} }}\n")
    assert blotter("apply", "--json").json()["tables"][0]["changed"] == ["table", "autoscaling"]
    assert blotter("plan", "--check").code == 0
    blotter.declare(f"{SCALED}autoscaling = {{ {bounds.replace('50', '60')} }}\n")
    assert blotter("apply", "--json").json()["tables"][0]["changed"] == ["autoscaling"]
    assert blotter("plan", "--check").code == 0
    blotter.declare(f"{SCALED}autoscaling = false\n")
    assert blotter("apply", "--json").json()["tables"][0]["changed"] == ["autoscaling"]
    assert blotter("plan", "--check").code == 0
