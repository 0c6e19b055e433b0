"""The commands of `blotter tables` against Blotter and against moto: what they do, print and return."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pytest

Blotter = Any  # the fixture class of conftest.py; test modules cannot import it


def client(blotter: Blotter) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=blotter.environ["AWS_ENDPOINT_URL_DYNAMODB"],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


REST_OF_TABLE = """
stream = "NEW_AND_OLD_IMAGES"
time_to_live = "expires_at"
tags = { app = "crimes", team = "data" }
point_in_time_recovery = true
deletion_protection = true

[tables.results.indexes.by_status]
partition_key = { name = "status", type = "S" }
sort_key = { name = "updated_at", type = "N" }
projection = ["rows"]

[tables.results.indexes.by_day]
partition_key = { name = "day", type = "S" }
projection = "KEYS_ONLY"
"""


def test_first_run_creates_second_says_nothing_to_do(blotter: Blotter) -> None:
    first = blotter("apply")
    assert (first.code, first.err) == (0, "")
    assert f"{blotter.table}: creating it" in first.out
    assert f"{blotter.table} created, ACTIVE, verified" in first.out
    second = blotter("apply")
    assert (second.code, second.err) == (0, "")
    assert f"{blotter.table} exists, ACTIVE, nothing to do" in second.out
    table = client(blotter).describe_table(TableName=blotter.table)["Table"]
    assert table["KeySchema"] == [{"AttributeName": "file_key", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "file_key", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_report_says_what_the_seed_reports(blotter: Blotter) -> None:
    report = blotter("apply").out
    arn = client(blotter).describe_table(TableName=blotter.table)["Table"]["TableArn"]
    for title, value in {
        "table": blotter.table,
        "key": "file_key (S) HASH",
        "billing mode": "PAY_PER_REQUEST",
        "status": "ACTIVE",
        "ARN": arn,
        "items": "0",
        "size": "0 bytes",
        "next": "the table can be used; ",
    }.items():
        assert f"  {title:<13} {value}" in report
    assert f"RESULTS_TABLE={blotter.table}" in report


def test_json_is_one_document_and_nothing_else(blotter: Blotter) -> None:
    first, second = blotter("apply", "--json"), blotter("apply", "--json")
    assert [answer.json()["tables"][0]["result"] for answer in (first, second)] == ["created", "unchanged"]
    table = first.json()["tables"][0]
    assert {key: table[key] for key in ("table", "key", "billing_mode", "status", "item_count", "size_bytes")} == {
        "table": blotter.table,
        "key": "file_key (S) HASH",
        "billing_mode": "PAY_PER_REQUEST",
        "status": "ACTIVE",
        "item_count": 0,
        "size_bytes": 0,
    }


def test_another_key_has_its_own_exit_code_and_shows_both(blotter: Blotter) -> None:
    blotter("apply")
    blotter.declare('[tables.results]\npartition_key = { name = "id", type = "N" }\n')
    answer = blotter("apply")
    assert answer.code == 3
    assert "has key file_key (S) HASH, declared is id (N) HASH" in answer.err
    assert answer.err.count("\n") == 1
    assert "! key: file_key (S) HASH -> id (N) HASH" in blotter("plan").out


def test_everything_declared_arrives_and_stays(blotter: Blotter) -> None:
    blotter("apply")
    # What Blotter does not offer yet stops with one line (test_tables_failures.py); everything else is declared.
    missing = "" if blotter.on_moto else "point_in_time_recovery = true\n"
    blotter.declare(blotter.seed + REST_OF_TABLE.replace(missing, ""))
    assert blotter("plan", "--check").code == 2
    answer = blotter("apply")
    assert (answer.code, answer.err) == (0, "")
    again = blotter("apply", "--json").json()["tables"][0]
    assert again["result"] == "unchanged"
    assert set(again["indexes"]) == {"by_status", "by_day"}
    assert blotter("plan", "--check").code == 0
    dynamodb = client(blotter)
    table = dynamodb.describe_table(TableName=blotter.table)["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    expiry = dynamodb.describe_time_to_live(TableName=blotter.table)["TimeToLiveDescription"]
    assert expiry["AttributeName"] == "expires_at"


def test_a_resource_policy_is_set_replaced_and_removed(blotter: Blotter) -> None:
    file = blotter.folder / "policy.json"
    for action in ("dynamodb:GetItem", "dynamodb:Query"):
        allowing = {
            "Effect": "Allow",
            "Principal": {"AWS": ["123456789012"]},
            "Action": [action],
            "Resource": ["*"],
        }
        file.write_text(json.dumps({"Version": "2012-10-17", "Statement": allowing}))
        blotter.declare(blotter.seed + 'resource_policy = "policy.json"\n')
        assert blotter("apply").code == 0
        assert blotter("apply", "--json").json()["tables"][0]["result"] == "unchanged"
        dynamodb = client(blotter)
        arn = dynamodb.describe_table(TableName=blotter.table)["Table"]["TableArn"]
        assert action in dynamodb.get_resource_policy(ResourceArn=arn)["Policy"]
    blotter.declare(blotter.seed + "resource_policy = false\n")
    assert blotter("apply").code == 0
    with pytest.raises(dynamodb.exceptions.PolicyNotFoundException):
        dynamodb.get_resource_policy(ResourceArn=arn)


def test_billing_is_switched_and_units_follow(blotter: Blotter) -> None:
    blotter("apply")
    provisioned = (
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\nbilling_mode = "PROVISIONED"\n'
    )
    units = "provisioned_throughput = { read_capacity_units = %d, write_capacity_units = 4 }\n"
    for read in (3, 5):
        blotter.declare(provisioned + units % read)
        assert blotter("apply").code == 0
        table = client(blotter).describe_table(TableName=blotter.table)["Table"]
        found = table["ProvisionedThroughput"]
        assert (found["ReadCapacityUnits"], found["WriteCapacityUnits"]) == (read, 4)
    blotter.declare()
    assert blotter("apply").code == 0
    assert blotter("status").code == 0


def test_plan_changes_nothing_and_check_tells_drift(blotter: Blotter) -> None:
    missing = blotter("plan", "--check")
    assert missing.code == 2
    assert f"{blotter.table}: does not exist" in missing.out
    assert "by CreateTable" in missing.out
    assert blotter("plan").code == 0
    assert blotter.table not in client(blotter).list_tables()["TableNames"]
    blotter("apply")
    assert blotter("plan", "--check").code == 0
    assert f"{blotter.table}: as declared (ACTIVE)" in blotter("plan").out
    client(blotter).update_table(TableName=blotter.table, DeletionProtectionEnabled=True)
    blotter.declare(blotter.seed + "deletion_protection = false\n")
    drifted = blotter("plan", "--check")
    assert (drifted.code, "~ deletion_protection: on -> off" in drifted.out) == (2, True)
    assert blotter("diff").out == f"{blotter.table}:\n- deletion_protection: on\n+ deletion_protection: off\n"
    machine = blotter("plan", "--json").json()["tables"][0]
    assert machine["differs"] is True
    assert machine["changes"][0]["requests"][0] == {
        "operation": "UpdateTable",
        "parameters": {"TableName": blotter.table, "DeletionProtectionEnabled": False},
        "service": "dynamodb",
    }


def test_status_is_one_line_per_table(blotter: Blotter) -> None:
    assert blotter("status") == (2, f"{blotter.table}  does not exist\n", "")
    blotter("apply")
    assert blotter("status") == (0, f"{blotter.table}  ACTIVE  0 items  0 bytes  as declared\n", "")


def test_wait_for_a_table_and_for_its_end(blotter: Blotter) -> None:
    late = blotter("wait", "--timeout", "0.3")
    assert late.code == 8
    assert "waiting until it exists after 0.3 s; run again to continue" in late.err
    blotter("apply")
    assert blotter("wait").out == f"{blotter.table} ACTIVE\n"
    client(blotter).delete_table(TableName=blotter.table)
    assert blotter("wait", "--gone").code == 0


def test_destroy_asks_and_respects_deletion_protection(blotter: Blotter) -> None:
    blotter.declare(blotter.seed + "deletion_protection = true\n")
    blotter("apply")
    unasked = blotter("destroy")
    assert (unasked.code, "give --yes" in unasked.err) == (10, True)
    protected = blotter("destroy", "--yes")
    assert (protected.code, "has deletion protection" in protected.err) == (10, True)
    blotter.declare(blotter.seed + "deletion_protection = false\n")
    blotter("apply")
    assert blotter("destroy", "--yes").out.endswith(f"{blotter.table} destroyed\n")
    assert blotter("destroy", "--yes").out == f"{blotter.table} did not exist\n"


def test_an_existing_table_becomes_a_declaration_that_differs_in_nothing(blotter: Blotter) -> None:
    table = f"{blotter.app}-by-hand"
    client(blotter).create_table(
        TableName=table,
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
            {"AttributeName": "when", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 2, "WriteCapacityUnits": 1},
        LocalSecondaryIndexes=[
            {
                "IndexName": "local-when",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "when", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["rows", "state"]},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by.when",
                "KeySchema": [{"AttributeName": "when", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    assert blotter("wait", "--name", f"results={table}").code == 0
    imported = blotter("describe", "--as-toml", table)
    assert imported.code == 0
    declaration = tomllib.loads(imported.out)["tables"][table]
    assert declaration["name"] == table
    assert declaration["indexes"]["local-when"]["kind"] == "local"
    blotter.declare(imported.out)
    checked = blotter("plan", "--check")
    assert (checked.code, checked.err) == (0, "")


def test_describe_a_table_that_is_not_there(blotter: Blotter) -> None:
    answer = blotter("describe", "results")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"blotter: {blotter.table} does not exist at http://127.0.0.1:")


def test_the_name_may_come_from_flag_variable_or_arn(blotter: Blotter) -> None:
    named = f"{blotter.app}-named"
    assert blotter("apply", "--json", RESULTS_TABLE=named).json()["tables"][0]["table"] == named
    assert blotter("apply", "--json", "--name", f"results={named}").json()["tables"][0]["result"] == "unchanged"
    arn = client(blotter).describe_table(TableName=named)["Table"]["TableArn"]
    assert blotter("apply", "--json", RESULTS_TABLE=arn).json()["tables"][0]["result"] == "unchanged"
    elsewhere = arn.replace("us-east-1", "eu-west-1")
    answer = blotter("apply", RESULTS_TABLE=elsewhere)
    assert (answer.code, answer.out) == (4, "")
    assert "RESULTS_TABLE names region eu-west-1, but" in answer.err


@pytest.mark.parametrize("endpoint", ["blotter"], indirect=True)
@pytest.mark.parametrize("how", ["arn", "flag"])
def test_another_account_is_refused_before_anything_is_made(blotter: Blotter, how: str) -> None:
    arn = f"arn:aws:dynamodb:us-east-1:111111111111:table/{blotter.table}"
    answers = {
        "arn": lambda: blotter("apply", RESULTS_TABLE=arn),
        "flag": lambda: blotter("apply", "--account", "111111111111"),
    }
    answer = answers[how]()
    assert (answer.code, "creating" in answer.out) == (4, False)
    assert "says account 111111111111, but http://127.0.0.1:" in answer.err
    assert blotter.table not in client(blotter).list_tables()["TableNames"]


def test_an_arn_of_the_own_account_creates_the_table(blotter: Blotter) -> None:
    assert blotter("apply", RESULTS_TABLE=f"{blotter.app}-first").code == 0
    arn = client(blotter).describe_table(TableName=f"{blotter.app}-first")["Table"]["TableArn"]
    answer = blotter("apply", "--json", RESULTS_TABLE=arn.replace("-first", "-second"))
    assert answer.json()["tables"][0]["table"] == f"{blotter.app}-second"


def test_several_tables_and_one_of_them_alone(blotter: Blotter) -> None:
    seed = blotter.seed
    blotter.declare(seed + "\n" + seed.replace("results", "uploads"))
    assert blotter("apply", "uploads").code == 0
    assert [row["status"] for row in blotter("status", "--json").json()["tables"]] == [None, "ACTIVE"]
    assert blotter("apply").code == 0
    assert [row["ready"] for row in blotter("status", "--json").json()["tables"]] == [True, True]
    assert blotter("destroy", "--yes").code == 64


def test_init_writes_a_file_that_works_and_overwrites_none(
    blotter_on_moto: Blotter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    monkeypatch.chdir(fresh)
    assert blotter_on_moto("init", "--app", blotter_on_moto.app).code == 0
    assert blotter_on_moto("apply", BLOTTER_CONFIG=None).code == 0
    refused = blotter_on_moto("init")
    assert (refused.code, "exists already" in refused.err) == (4, True)


def test_schema_is_json(blotter_on_moto: Blotter) -> None:
    assert json.loads(blotter_on_moto("schema").out)["title"] == "blotter.toml"


def test_usage_errors_have_their_own_code_because_two_means_drift(blotter_on_moto: Blotter) -> None:
    for arguments in (["nope"], ["apply", "--nope"], ["apply", "--timeout", "soon"], ["plan", "--name", "x"]):
        assert blotter_on_moto(*arguments).code == 64


def at_a_terminal(blotter: Blotter, *arguments: str, typing: str = "") -> tuple[int, str]:
    """The command with a terminal on all sides; what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "blotter", "tables", *arguments],
        env=blotter.process_environment() | {"TERM": "xterm", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typing.encode())
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux's sign that the other side is closed
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(60), shown.decode()


def test_on_a_terminal_progress_is_live_and_destroy_asks_for_the_name(blotter: Blotter) -> None:
    code, shown = at_a_terminal(blotter, "apply")
    assert (code, "\x1b[" in shown, f"{blotter.table} created, ACTIVE, verified" in shown) == (0, True, True)
    code, shown = at_a_terminal(blotter, "destroy", typing="yes\n")
    assert (code, "'yes' is not its name" in shown) == (10, True)
    code, shown = at_a_terminal(blotter, "destroy", typing=f"{blotter.table}\n")
    assert (code, f"{blotter.table} destroyed" in shown) == (0, True)
