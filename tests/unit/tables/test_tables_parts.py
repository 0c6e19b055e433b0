"""The small parts of the set-up: backoff, deadline, progress, wording, and what AWS alone has (stubbed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import botocore.parsers
import pytest
from botocore.stub import Stubber

from blotter.config import load_configuration
from blotter.tables.applying.apply import shown
from blotter.tables.applying.progress import News, PlainReporter
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.calls.failures import BY_EXCEPTION, RULES
from blotter.tables.calls.wait import Backoff, Deadline
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.tables.planning.observed import Observed, with_settings
from tests.simulated_dynamodb import FakeClock

# --- waiting


def test_ceilings_double_up_to_the_last_and_delays_are_chosen_below_them() -> None:
    full, half = (Backoff(FakeClock().clock(chance), first=0.1, last=10) for chance in (1.0, 0.5))
    assert [round(full.next(), 3) for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert [round(half.next(), 3) for _ in range(3)] == [0.05, 0.1, 0.2]
    full.reset()
    assert full.next() == pytest.approx(0.1)
    assert all(Backoff(FakeClock().clock(0.0)).next() == 0 for _ in range(5))  # full jitter reaches zero


def test_a_deadline_counts_from_its_beginning() -> None:
    time = FakeClock()
    time.time = 100.0
    deadline = Deadline(time.clock(), 30)
    time.time = 120.0
    assert (deadline.elapsed(), deadline.left()) == (20, 10)


# --- progress


def test_plain_progress_says_what_is_new_and_reminds_every_half_minute() -> None:
    time = FakeClock()
    lines: list[str] = []
    notify = PlainReporter(lines.append, lambda: time.time)
    for second in range(70):
        time.time = float(second)
        notify(News("t", "waiting", {"": "UPDATING", "index a": "CREATING, backfilling"}))
    notify(News("t", "done", over=True))
    assert lines == [
        "t: waiting (UPDATING; index a CREATING, backfilling)",
        "t: waiting (UPDATING; index a CREATING, backfilling), 30 s",
        "t: waiting (UPDATING; index a CREATING, backfilling), 60 s",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "on"), (False, "off"), (3, "3"), (["a", "b"], "a, b"), ({"a": 1, "b": True}, "a 1, b on"), ("x", "x")],
)
def test_values_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


# --- errors


def test_an_error_is_always_one_line() -> None:
    assert str(SetupError("a\n  b\tc", Exit.REFUSED)) == "a b c"


def test_every_exception_named_is_botocores() -> None:
    for name in BY_EXCEPTION:
        module = botocore.parsers if name == "ResponseParserError" else botocore.exceptions
        assert issubclass(getattr(module, name), Exception), name


def test_what_passes_is_retried_and_what_does_not_is_not() -> None:
    retried = {code for code, rule in RULES.items() if rule.retry is not Retry.NEVER}
    assert {
        "ThrottlingException",
        "LimitExceededException",
        "InternalServerError",
        "ResourceInUseException",
    } <= retried
    assert not retried & {"AccessDeniedException", "ExpiredTokenException", "UnknownOperationException"}


# --- AWS only


@pytest.fixture
def configuration(tmp_path: Path) -> Any:
    file = tmp_path / "blotter.toml"
    file.write_text('app = "a"\n[environments.dev]\nregion = "us-east-1"\n[tables.t]\n')
    return load_configuration(file, environ={})


def stubbed(configuration: Any, service: str) -> tuple[Endpoint, Stubber]:
    endpoint = Endpoint(configuration)
    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    endpoint._clients["dynamodb"] = boto3.client("dynamodb", region_name="us-east-1", **keys)  # type: ignore[call-overload]
    endpoint._clients[service] = client
    return endpoint, Stubber(client)


KMS = {"SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:r:a:key/k1"}}


@pytest.mark.parametrize(("manager", "found"), [("AWS", "AWS_MANAGED"), ("CUSTOMER", "arn:aws:kms:r:a:key/k1")])
def test_whose_key_encrypts_a_table_is_asked_of_kms(configuration: Any, manager: str, found: str) -> None:
    endpoint, stubber = stubbed(configuration, "kms")
    answer = {"KeyMetadata": {"KeyId": "k1", "KeyManager": manager}}
    stubber.add_response("describe_key", answer, {"KeyId": "arn:aws:kms:r:a:key/k1"})
    with stubber:
        observed = with_settings(endpoint, Observed({"TableName": "t", **KMS}), ["encryption"])
    assert observed.settings["encryption"] == found


def test_the_clock_is_explained_with_the_distance(configuration: Any) -> None:
    endpoint, stubber = stubbed(configuration, "dynamodb")
    stubber.add_client_error(
        "describe_table",
        "InvalidSignatureException",
        "Signature not yet current: later",
        response_meta={"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}},
    )
    with (
        stubber,
        pytest.raises(SetupError, match=r"this machine's clock is \d+ s ahead of the endpoint's") as error,
    ):
        endpoint.call("DescribeTable", TableName="abc")
    assert (error.value.exit_code, error.value.retry) == (Exit.CREDENTIALS, Retry.NEVER)


def test_a_policy_that_is_not_there_is_none(configuration: Any) -> None:
    endpoint, stubber = stubbed(configuration, "dynamodb")
    stubber.add_client_error("get_resource_policy", "PolicyNotFoundException", "no policy")
    with stubber:
        observed = with_settings(endpoint, Observed({"TableName": "t", "TableArn": "arn:t"}), ["resource_policy"])
    assert observed.settings == {"resource_policy": None}


def test_replicas_are_added_one_region_at_a_time() -> None:
    from blotter.tables.declaring.declaration import Key, TableDeclaration
    from blotter.tables.planning.aspects import ASPECTS, Gap

    replicas = next(aspect for aspect in ASPECTS if aspect.key == "replicas")
    arn = "arn:aws:dynamodb:us-east-1:111122223333:table/t"
    regions = [{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}]
    table = Observed({"TableName": "t", "TableArn": arn, "Replicas": regions})
    assert replicas.found(table) == ["eu-west-1"]
    declared = TableDeclaration(partition_key=Key("k", "S"), replicas=["eu-west-1", "ap-south-1", "eu-north-1"])
    (request,) = replicas.requests(Gap(table, declared, ["eu-west-1"], declared.replicas))
    assert request.parameters == {"TableName": "t", "ReplicaUpdates": [{"Create": {"RegionName": "ap-south-1"}}]}


def test_policies_that_say_the_same_are_the_same() -> None:
    from blotter.tables.planning.aspects import same_policy

    one = {"Statement": [{"Action": "dynamodb:GetItem", "Principal": {"AWS": ["a", "b"]}}]}
    other = {"Statement": {"Action": ["dynamodb:GetItem"], "Principal": {"AWS": ["b", "a"]}}}
    assert same_policy(one, other)
    assert not same_policy(one, {"Statement": {"Action": "dynamodb:PutItem", "Principal": {"AWS": ["b", "a"]}}})
    account, root = "123456789012", "arn:aws:iam::123456789012:root"
    sent = {"Statement": {"Effect": "allow", "Principal": {"AWS": [account, root]}, "Sid": account}}
    shown = {
        "Version": "2008-10-17",
        "Statement": [{"Sid": account, "Effect": "Allow", "Principal": {"AWS": root}}],
    }
    assert same_policy(shown, sent)
    assert not same_policy(shown, sent | {"Version": "2012-10-17"})
