"""Declarations: what is accepted, what contradicts itself, and the JSON Schema made from the same description."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from blotter.config import ConfiguredTable
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.tables.declaring.schema import configuration_schema
from blotter.toml_lines import key_lines
from blotter.user_files import ConfigurationError, Document

KEY = 'partition_key = { name = "pk", type = "S" }\n'
RANGE = 'sort_key = { name = "sk", type = "N" }\n'
INDEX = '[tables.t.indexes.by-x]\npartition_key = { name = "x", type = "S" }\n'


def parse(text: str, path: Path = Path("blotter.toml")) -> TableDeclaration:
    text = f"[tables.t]\n{text}"
    table = ConfiguredTable(label="t", name="t", source="test", declaration=tomllib.loads(text)["tables"]["t"])
    return parse_table(table, Document(path, key_lines(text)))


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        parse(text)
    return str(error.value).removeprefix("blotter.toml ")


def test_everything_is_accepted() -> None:
    table = parse(
        KEY
        + RANGE
        + 'billing_mode = "PROVISIONED"\nautoscaling.read = { min_capacity = 1, max_capacity = 9 }\n'
        + "autoscaling.write = { min_capacity = 2, max_capacity = 9, target_utilization = 50 }\n"
        + 'warm_throughput = { read_units_per_second = 1 }\ntable_class = "STANDARD"\nencryption = "AWS_MANAGED"\n'
        + 'stream = "NEW_AND_OLD_IMAGES"\ntime_to_live = "x"\nresource_policy = { Version = "1" }\n'
        + "point_in_time_recovery = true\n"
        + 'tags = { a = "b" }\nreplicas = ["eu-west-1"]\n'
        + INDEX
        + 'sort_key = [{ name = "y", type = "S" }, { name = "z", type = "B" }]\nprojection = ["a"]\n'
        + "provisioned_throughput = { read_capacity_units = 1, write_capacity_units = 1 }\n"
        + '[tables.t.indexes.near]\nkind = "local"\npartition_key = { name = "pk", type = "S" }\n'
        + 'sort_key = { name = "w", type = "S" }\n'
        + '[tables.t.alarms.errors]\nmetric = "SystemErrors"\nthreshold = 1.5\n'
    )
    assert table.attributes() == {"pk": "S", "sk": "N", "w": "S", "x": "S", "y": "S", "z": "B"}
    assert set(table.indexes_of("local")) == {"near"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 (tables.t): object missing required field partition_key"),
        (
            KEY + 'sort_key = { name = "pk", type = "S" }\n',
            "line 3 (tables.t.sort_key): the sort key must be another",
        ),
        (KEY + 'billing_mode = "FREE"\n', "line 3 (tables.t.billing_mode): invalid enum value 'FREE'"),
        (
            KEY + 'billing_mode = "PROVISIONED"\n',
            "line 3 (tables.t.billing_mode): PROVISIONED needs provisioned_thr",
        ),
        (
            KEY + "provisioned_throughput = { read_capacity_units = 1, write_capacity_units = 1 }\n",
            'line 3 (tables.t.provisioned_throughput): provisioned_throughput needs billing_mode = "PROVISIONED"',
        ),
        (
            KEY + 'billing_mode = "PROVISIONED"\non_demand_throughput = { max_read_request_units = 1 }\n',
            'line 4 (tables.t.on_demand_throughput): on_demand_throughput needs billing_mode = "PAY_PER_REQUEST"',
        ),
        (
            KEY
            + 'billing_mode = "PROVISIONED"\nautoscaling.read = { min_capacity = 9, max_capacity = 1 }\n'
            + "autoscaling.write = { min_capacity = 1, max_capacity = 1 }\n",
            "line 4 (tables.t.autoscaling.read): min_capacity is above max_capacity",
        ),
        (KEY + "on_demand_throughput = { max_read_request_units = 0 }\n", "expected int >= 1"),
        (KEY + 'encryption = "alias/x"\n', "line 3 (tables.t.encryption): an alias may move"),
        (KEY + 'replicas = ["eu-west-1"]\nstream = false\n', "line 4 (tables.t.stream): replicas need stream"),
        (
            KEY + INDEX + "projection = 3\n",
            "line 5 (tables.t.indexes.by-x.projection): expected str | array, got int",
        ),
        (KEY + INDEX + "klnd = 3\n", "line 5 (tables.t.indexes.by-x.klnd): unknown key 'klnd'"),
        (
            KEY + INDEX + 'kind = "local"\n',
            "line 5 (tables.t.indexes.by-x.kind): a local index needs a table with",
        ),
        (KEY + RANGE + INDEX + 'kind = "local"\n', "a local index has the table's partition key and one sort key"),
        (KEY + INDEX.replace("by-x", '"b x"'), "'b x' is not an index name"),
        (KEY + INDEX.replace('"S"', '"N"').replace('"x"', '"pk"'), "attribute 'pk' is N here and S elsewhere"),
        (KEY + INDEX + 'sort_key = { name = "x", type = "S" }\n', "an attribute appears twice in the index's key"),
        (KEY + INDEX + "sort_key = [" + '{ name = "a", type = "S" },' * 5 + "]\n", "a key has 1 to 4 attributes"),
        (
            KEY + "".join(INDEX.replace("by-x", f"i-{n:02}") for n in range(21)),
            "at most 20 global secondary indexes",
        ),
        (
            KEY + "[tables.t.alarms.a]\nthreshold = 1\n",
            "line 3 (tables.t.alarms.a): object missing required field metric",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_line_and_key(text: str, says: str) -> None:
    assert says in refusal(text)


def test_a_policy_may_be_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"Version": "2012-10-17"}')
    text = KEY + 'resource_policy = "policy.json"\n'
    assert parse(text, tmp_path / "blotter.toml").resource_policy == {"Version": "2012-10-17"}
    (tmp_path / "policy.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"policy.json: not valid JSON"):
        parse(text, tmp_path / "blotter.toml")
    (tmp_path / "policy.json").unlink()
    os.mkfifo(tmp_path / "policy.json")
    with pytest.raises(ConfigurationError, match=r"policy.json: not a regular file"):
        parse(text, tmp_path / "blotter.toml")
    (tmp_path / "policy.json").unlink()
    with pytest.raises(
        ConfigurationError,
        match=r"line 3 \(tables.t.resource_policy\): .*policy.json: cannot be read: No such file",
    ):
        parse(text, tmp_path / "blotter.toml")


def test_the_json_schema_knows_every_key_and_requires_no_more_than_the_parser() -> None:
    schema: dict[str, Any] = json.loads(json.dumps(configuration_schema()))
    table = schema["$defs"]["TableDeclaration"]
    assert table["required"] == ["partition_key"]
    assert set(table["properties"]) == {*TableDeclaration.__struct_fields__, "name", "purpose"}
    assert table["additionalProperties"] is False
    assert "required" not in schema["$defs"]["TableDifference"]
    references = {value.rpartition("/")[2] for value in _references(schema)}
    assert references <= set(schema["$defs"])


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        here = [part["$ref"]] if "$ref" in part else []
        return here + [found for value in part.values() for found in _references(value)]
    return [found for value in part for found in _references(value)] if isinstance(part, list) else []
