"""`tables export` with hostile values in every place a declaration has for text: they come out as values.

The script is run with bash against an `aws` on PATH that records its arguments; the Terraform text is read by
python-hcl2, the CloudFormation template by a JSON parser. What CloudFormation itself would evaluate is refused.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.config import Configuration, load_configuration
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.tables.errors import SetupError
from blotter.tables.exporting.export import FORMS
from blotter.tables.exporting.requests import requests_for
from blotter.tables.output.quoting import toml, toml_key
from tests.examples import examples
from tests.hcl_strings import parse_hcl
from tests.unit.tables.output.test_tables_quoting import hostile

# Writes the number of its arguments and each of them, NUL-terminated; answers the script's queries.
RECORDER = """\
#!/bin/bash
{ printf '%s\\0' "$#" "$@"; } >>"$RECORD"
if [[ "$*" == *get-caller-identity* ]]; then echo 111122223333; fi
"""
NAME = "shop-results-prod"
name = hostile.filter(lambda text: 0 < len(text.encode()) <= 255)
with_the_name = hostile.map(lambda text: f"{text}{NAME}{text}")
text = hostile | with_the_name

policies = st.recursive(
    text | st.booleans() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
).map(lambda inner: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": inner}]})


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    key, other = draw(st.lists(name, min_size=2, max_size=2, unique=True))
    alarm = {
        "metric": draw(text),
        "threshold": draw(st.floats(-1e9, 1e9, allow_subnormal=False)),
        "operation": draw(name),
        "actions": draw(st.lists(text, max_size=2)),
    }
    return {
        "partition_key": {"name": key, "type": "S"},
        "time_to_live": draw(name),
        "tags": draw(st.dictionaries(text, text, max_size=3)),
        "resource_policy": draw(policies),
        "alarms": {draw(hostile): alarm},
        "indexes": {"by_other": {"partition_key": {"name": other, "type": "N"}, "projection": [draw(name)]}},
    }


def configured(folder: Path, raw: dict[str, Any], **environ: str) -> tuple[Configuration, TableDeclaration]:
    file = folder / "blotter.toml"
    lines = [
        'app = "shop"',
        "[environments.prod]",
        'region = "eu-west-1"',
        'endpoint = "aws"',
        "account = '111122223333'",
    ]
    lines += ["[environments.dev]", 'region = "us-east-1"', 'endpoint = "http://127.0.0.1:8000"']
    lines += ["[tables.results]", *(f"{toml_key(key)} = {toml(value)}" for key, value in raw.items())]
    file.write_text("\n".join(lines), encoding="utf-8")
    configuration = load_configuration(file, environ.pop("environment", "prod"), environ=environ)
    return configuration, parse_table(configuration.table("results"), configuration.document)


def exported(form: str, configuration: Configuration) -> str:
    tables = [(table, parse_table(table, configuration.document)) for table in configuration.tables.values()]
    return FORMS[form](tables, configuration)


# --- the AWS CLI


class Ran:
    """One command as the recorder got it."""

    def __init__(self, arguments: list[str]) -> None:
        self.options: dict[str, str | None] = {}
        while arguments and arguments[0].startswith("--"):
            self.options[arguments[0]] = arguments[1]
            del arguments[:2]
        self.service, self.operation, *rest = arguments
        self.given: dict[str, list[str]] = {"": []}  # "": words before the first option
        for argument in rest:
            if argument.startswith("--"):
                self.given[argument] = []
            else:
                self.given[next(reversed(self.given))].append(argument)

    def parameters(self, expected: dict[str, Any]) -> dict[str, Any]:
        """What the AWS CLI would make of the options, typed like the expected parameters."""
        given = {option: words for option, words in self.given.items() if option}
        found = json.loads(given.pop("--cli-input-json", ["{}"])[0])
        for parameter, value in expected.items():
            option = f"--{xform_name(parameter, '-')}"
            if option in given:
                found[parameter] = _typed(given.pop(option), value)
            elif f"--no-{option[2:]}" in given:
                found[parameter] = given.pop(f"--no-{option[2:]}") != []
        assert not given
        return found


def _typed(words: list[str], like: Any) -> Any:
    if isinstance(like, bool):
        return words == []
    if isinstance(like, str):
        assert len(words) == 1
        assert not words[0].startswith(
            ("-", "file:", "fileb:", "http:", "https:")
        )  # which the AWS CLI would not take as text
        return words[0]
    if "=" in words[0] and not words[0].startswith(("[", "{")):
        return [dict(pair.split("=") for pair in word.split(",")) for word in words]
    assert len(words) == 1
    return json.loads(words[0])


def run_script(script: str, folder: Path, **environ: str) -> list[Ran]:
    recorder, record = folder / "bin" / "aws", folder / "record"
    recorder.parent.mkdir(exist_ok=True)
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    record.write_bytes(b"")
    path = f"{recorder.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {"PATH": path, "RECORD": str(record), "HOME": str(folder), **environ}
    done = subprocess.run(
        ["bash"], input=script.encode(), env=environment, cwd=folder, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    words = record.read_bytes().decode().split("\0")[:-1]
    commands = []
    while words:
        count = int(words.pop(0))
        commands.append(Ran(words[:count]))
        del words[:count]
    return commands


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(declarations(), st.sampled_from(["", "another-name"]))
def test_the_script_says_every_value_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any], variable: str
) -> None:
    folder = tmp_path_factory.mktemp("export")
    configuration, declared = configured(folder, raw)
    script = exported("cli", configuration)
    assert all(line.isprintable() for line in script.split("\n"))
    commands = run_script(script, folder, **({"RESULTS_TABLE": variable} if variable else {}))
    identity, *sent = (ran for ran in commands if ran.operation != "wait")
    assert (identity.service, identity.operation) == ("sts", "get-caller-identity")
    expected = requests_for(variable or NAME, declared)
    assert len(sent) == len(expected)
    for ran, request in zip(sent, expected, strict=True):
        assert (ran.service, ran.operation) == (request.service, xform_name(request.operation, "-"))
        assert ran.parameters(request.parameters) == request.parameters
    assert sorted(file.name for file in folder.iterdir()) == ["bin", "blotter.toml", "record"]  # nothing was run


TAGGED = {"partition_key": {"name": "k", "type": "S"}, "tags": {"owner": f"$(touch pwned) {NAME} `touch pwned`"}}


def test_a_tag_with_the_tables_name_runs_nothing_and_is_no_variable(tmp_path: Path) -> None:
    configuration, _ = configured(tmp_path, TAGGED)
    _, create, _ = run_script(exported("cli", configuration), tmp_path, RESULTS_TABLE="other")
    assert json.loads(create.given["--tags"][0]) == [{"Key": "owner", "Value": TAGGED["tags"]["owner"]}]
    assert create.given["--table-name"] == ["other"]
    assert not list(tmp_path.glob("pwned"))


def test_the_script_keeps_region_account_and_endpoint(tmp_path: Path) -> None:
    local, _ = configured(tmp_path, TAGGED, environment="dev")
    script = exported("cli", local)
    assert "# shop, environment dev: region us-east-1, endpoint http://127.0.0.1:8000" in script
    elsewhere = {"AWS_REGION": "ap-south-1", "AWS_ENDPOINT_URL": "http://elsewhere"}
    assert all(
        ran.options["--endpoint-url"] == "http://127.0.0.1:8000"
        for ran in run_script(script, tmp_path, **elsewhere)
    )
    assert "export AWS_REGION=us-east-1 " in script
    production, _ = configured(tmp_path, TAGGED)
    script = exported("cli", production)
    assert "account 111122223333, Amazon DynamoDB" in script
    assert "export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true" in script
    stranger = script.replace("111122223333", "999999999999")
    with pytest.raises(AssertionError, match=r"4, b'the cre"):
        run_script(stranger, tmp_path)


def test_labels_that_make_the_same_variable_keep_their_tables_apart(tmp_path: Path) -> None:
    configured(tmp_path, TAGGED)
    file = tmp_path / "blotter.toml"
    key = 'partition_key = { name = "k", type = "S" }\n'
    file.write_text(file.read_text() + f"\n[tables.a-b]\n{key}[tables.a_b]\n{key}")
    configuration = load_configuration(file, "prod", environ={})
    script = exported("cli", configuration)
    commands = run_script(script, tmp_path)
    made = [ran.given["--table-name"][0] for ran in commands if ran.operation == "create-table"]
    assert made == [NAME, "shop-a-b-prod", "shop-a_b-prod"]
    resources = json.loads(exported("cloudformation", configuration))["Resources"]
    names = [resource["Properties"]["TableName"] for resource in resources.values()]
    assert names == made


def test_every_replica_is_in_the_script(tmp_path: Path) -> None:
    raw = {"partition_key": {"name": "k", "type": "S"}, "replicas": ["eu-central-1", "us-west-2"]}
    commands = run_script(exported("cli", configured(tmp_path, raw)[0]), tmp_path)
    added = [json.loads(ran.given["--replica-updates"][0]) for ran in commands if "--replica-updates" in ran.given]
    assert added == [[{"Create": {"RegionName": region}}] for region in raw["replicas"]]  # type: ignore[union-attr]
    assert [ran.operation for ran in commands][-1] == "wait"


# --- Terraform and CloudFormation


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(declarations())
def test_terraform_evaluates_no_value(tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]) -> None:
    configuration, declared = configured(tmp_path_factory.mktemp("export"), raw)
    hcl = exported("terraform", configuration)
    assert all(line.isprintable() for line in hcl.split("\n"))
    parsed = parse_hcl(hcl)
    assert parsed["provider"] == [{"aws": {"region": "eu-west-1", "allowed_account_ids": ["111122223333"]}}]
    kinds = [kind for resource in parsed["resource"] for kind in resource]
    assert kinds == ["aws_dynamodb_table", "aws_dynamodb_resource_policy", "aws_cloudwatch_metric_alarm"]
    table, policy, alarm = (next(iter(next(iter(r.values())).values())) for r in parsed["resource"])
    assert table["hash_key"] == declared.partition_key.name
    assert table["ttl"][0]["attribute_name"] == raw["time_to_live"]
    assert table.get("tags", {}) == raw["tags"]
    assert table["global_secondary_index"][0]["non_key_attributes"] == raw["indexes"]["by_other"]["projection"]
    given = next(iter(raw["alarms"].values()))
    assert alarm["metric_name"] == given["metric"]
    assert alarm["dimensions"] == {"TableName": NAME, "Operation": given["operation"]}
    assert alarm.get("alarm_actions", []) == given["actions"]
    written = re.fullmatch(r"\$\{jsonencode\((.*)\)\}", policy["policy"], re.DOTALL)
    assert written
    assert parse_hcl(f"policy = {written[1]}\n")["policy"] == raw["resource_policy"]


def test_terraform_keeps_a_local_endpoint(tmp_path: Path) -> None:
    parsed = parse_hcl(exported("terraform", configured(tmp_path, TAGGED, environment="dev")[0]))
    assert parsed["provider"][0]["aws"]["endpoints"] == [
        dict.fromkeys(("dynamodb", "appautoscaling", "cloudwatch"), "http://127.0.0.1:8000")
    ]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(declarations())
def test_cloudformation_keeps_every_value(tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]) -> None:
    configuration, declared = configured(tmp_path_factory.mktemp("export"), raw)
    if any(part in repr(raw) for part in ("{{resolve:", "Fn::", "Ref")):
        return  # perhaps refused: see below
    template = exported("cloudformation", configuration)
    assert "{{resolve:" not in template
    assert all(line.isprintable() for line in template.split("\n"))
    resources = json.loads(template)["Resources"]
    table = resources["ResultsTable"]["Properties"]
    assert {tag["Key"]: tag["Value"] for tag in table.get("Tags", [])} == raw["tags"]
    assert table["ResourcePolicy"]["PolicyDocument"] == raw["resource_policy"]
    assert table["TimeToLiveSpecification"]["AttributeName"] == declared.time_to_live


@pytest.mark.parametrize("value", ["{{resolve:secretsmanager:x}}", {"Ref": "AWS::AccountId"}, {"Fn::Sub": "${x}"}])
def test_what_cloudformation_would_evaluate_is_refused(tmp_path: Path, value: Any) -> None:
    raw = TAGGED | {"resource_policy": {"Statement": [{"Resource": value}]}}
    with pytest.raises(SetupError, match=r"tables.results: .* cannot be exported as CloudFormation: it would be"):
        exported("cloudformation", configured(tmp_path, raw)[0])


def test_cloudformation_says_for_where_it_was_made(tmp_path: Path) -> None:
    template = json.loads(exported("cloudformation", configured(tmp_path, TAGGED, environment="dev")[0]))
    assert template["Description"] == "shop, environment dev: region us-east-1, endpoint http://127.0.0.1:8000"
