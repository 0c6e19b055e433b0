"""Prices: worked by hand, measured through botocore's stubber, and the price file with its date and source."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from blotter.cli import main
from blotter.config import load_configuration
from blotter.tables import cost
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.extras import Extras, charges
from blotter.tables.prices import load_prices
from blotter.user_files import ConfigurationError

PRICES = load_prices("us-east-1", "STANDARD").prices


def test_units_round_up_per_item_and_halve_for_eventual_consistency() -> None:
    assert cost.units(1, consistent=True) == (1, 1)
    assert cost.units(4096, consistent=False) == (0.5, 4)
    assert cost.units(4097, consistent=True) == (2, 5)


def test_a_month_worked_by_hand() -> None:
    """100 writes/s of 1 KB and 100 consistent reads/s, twice that at the peak, 10 GB, prices of us-east-1."""
    traffic = cost.stated(100, 100, 2, 1024, 10 * cost.GB, consistent=True)
    month = cost.estimate(traffic, PRICES, 1024)
    seconds = 730 * 3600
    assert month.on_demand == pytest.approx(100 * seconds * (0.625 + 0.125) / 1e6)  # 197.10
    assert month.provisioned == pytest.approx(200 * 730 * (0.00065 + 0.00013))  # 113.88
    assert month.autoscaled == pytest.approx(143 * 730 * (0.00065 + 0.00013))  # 100 / 0.7, rounded up
    assert month.storage == pytest.approx(2.5)
    assert month.cheapest == "autoscaled"
    assert (month.used_read, month.used_write) == (0.5, 0.5)


def test_the_break_even_is_where_both_cost_the_same() -> None:
    for peak in (3.0, 4.0):
        month = cost.estimate(cost.stated(1000, 1000, peak, 1024, 0, consistent=True), PRICES, 1024)
        assert (month.on_demand > month.provisioned) == (month.used_write > month.break_even_write)
        assert month.break_even_write == pytest.approx(0.2889, abs=1e-4)


def test_a_quiet_table_is_cheapest_on_demand_and_provisioned_has_a_floor() -> None:
    month = cost.estimate(cost.stated(0.001, 0.001, 3, 400, 0, consistent=False), PRICES, 400)
    assert month.cheapest == "on demand"
    assert month.provisioned == pytest.approx(730 * (0.00065 + 0.00013))


def test_a_lookup_by_key_against_a_scan() -> None:
    month = cost.estimate(cost.stated(1, 1, 1, 1024, cost.GB, consistent=False), PRICES, 1024)
    assert month.scan / month.lookup == cost.GB / 4096


def test_measured_hours_are_taken_from_cloudwatch(tmp_path: Path) -> None:
    file = tmp_path / "blotter.toml"
    file.write_text('app = "a"\n[environments.dev]\nregion = "us-east-1"\n')
    endpoint = Endpoint(load_configuration(file, environ={}))
    keys = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    clients = {service: boto3.client(service, **keys) for service in ("dynamodb", "cloudwatch")}
    endpoint._clients.update(clients)
    stubs = {service: Stubber(client) for service, client in clients.items()}
    described = {
        "Table": {
            "TableName": "abc",
            "TableArn": "arn:aws:dynamodb:us-east-1:111122223333:table/abc",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "TableSizeBytes": 5000,
        }
    }
    stubs["dynamodb"].add_response("describe_table", described, {"TableName": "abc"})
    now = datetime(2026, 1, 8, tzinfo=UTC)
    for side, sums in (("Read", [7200.0, 3600.0]), ("Write", [])):
        stubs["cloudwatch"].add_response(
            "get_metric_statistics",
            {"Datapoints": [{"Sum": value} for value in sums]},
            {
                "Namespace": "AWS/DynamoDB",
                "MetricName": f"Consumed{side}CapacityUnits",
                "Dimensions": [{"Name": "TableName", "Value": "abc"}],
                "StartTime": now - timedelta(days=1),
                "EndTime": now,
                "Period": 3600,
                "Statistics": ["Sum"],
            },
        )
    with stubs["dynamodb"], stubs["cloudwatch"]:
        traffic = cost.measured(endpoint, "abc", 1, now)
    assert (len(traffic.read), sum(traffic.read), traffic.read_peak) == (24, 3.0, 2.0)
    assert (sum(traffic.write), traffic.write_peak, traffic.storage_bytes) == (0, 0, 5000)
    month = cost.estimate(traffic, PRICES, 1024)
    assert month.on_demand == pytest.approx(3 * 3600 * 730 / 24 * 0.125 / 1e6)


def test_global_indexes_are_measured_and_provisioned_for_themselves() -> None:
    index = cost.Traffic([0.0], [10.0], 0.0, 10.0, cost.GB, "measured")
    table = cost.Traffic([0.0], [10.0], 0.0, 10.0, cost.GB, "measured", (index,))
    both, one = cost.estimate(table, PRICES, 1024), cost.estimate(index, PRICES, 1024)
    assert both.on_demand == pytest.approx(2 * one.on_demand)
    assert both.provisioned == pytest.approx(2 * one.provisioned)
    assert both.storage == pytest.approx(2 * one.storage)
    assert (table.writes, table.all_bytes) == (20.0, 2 * cost.GB)


def test_replicas_are_charged_for_every_write_and_all_storage() -> None:
    traffic = cost.stated(0, 100, 1, 1024, cost.GB, consistent=False)
    alone, three = (cost.estimate(traffic, PRICES, 1024, replicas) for replicas in (0, 2))
    assert three.on_demand == pytest.approx(3 * alone.on_demand)
    assert three.storage == pytest.approx(3 * alone.storage)


def test_what_is_charged_beside_units_worked_by_hand() -> None:
    """100 write units and 2 GetRecords calls a second for 730 hours, 10 GB, prices of us-east-1."""
    extras = Extras(True, 2.0, True, 20 * cost.GB, 30 * cost.GB, 40 * cost.GB, 50 * cost.GB)
    found = {each.key: each.dollars for each in charges(extras, 100.0, 10 * cost.GB, PRICES)}
    assert found == {
        "point_in_time_recovery": pytest.approx(2.0),
        "backups": pytest.approx(2.0),
        "exports": pytest.approx(3.0),
        "restores": pytest.approx(6.0),
        "imports": pytest.approx(7.5),
        "stream": pytest.approx(2 * 730 * 3600 / 100_000 * 0.02),
        "kinesis": pytest.approx(100 * 730 * 3600 / 1e6 * 0.10),
    }
    assert charges(Extras(), 100.0, 10 * cost.GB, PRICES) == []


def test_regions_have_their_own_prices_and_what_is_not_known_has_none() -> None:
    ireland = load_prices("eu-west-1", "STANDARD").prices
    assert ireland.write_request_units_per_million == 0.705
    (recovery, backups) = charges(Extras(True, backup_bytes=cost.GB), 1.0, cost.GB, ireland)
    assert (recovery.dollars, backups.dollars) == (pytest.approx(0.22), None)
    assert load_prices("us-west-2", "STANDARD").prices == PRICES
    rarely = load_prices("us-east-1", "STANDARD_INFREQUENT_ACCESS").prices
    assert rarely.storage_gb_month < PRICES.storage_gb_month


def test_the_price_file_says_its_date_and_source_and_others_can_be_given(tmp_path: Path) -> None:
    ours = load_prices("us-east-1", "STANDARD")
    datetime.fromisoformat(ours.date)
    assert ours.source.startswith("https://aws.amazon.com/dynamodb/pricing/")
    with pytest.raises(ConfigurationError, match="no prices for ap-south-1 STANDARD"):
        load_prices("ap-south-1", "STANDARD")
    own = tmp_path / "prices.toml"
    text = Path(cost.__file__).with_name("prices.toml").read_text().replace("us-east-1", "ap-south-1")
    own.write_text(text)
    assert load_prices("ap-south-1", "STANDARD", own).prices == ours.prices
    own.write_text(text.replace("storage_gb_month", "storage"))
    with pytest.raises(ConfigurationError, match="not a price file"):
        load_prices("ap-south-1", "STANDARD", own)
    assert tomllib.loads(text)["date"] == ours.date


def test_the_command_answers_people_and_machines(tmp_path: Path) -> None:
    file = tmp_path / "blotter.toml"
    file.write_text(
        'app = "a"\n[environments.dev]\nregion = "us-east-1"\n'
        '[tables.results]\npartition_key = { name = "k", type = "S" }\n'
    )
    arguments = ["tables", "cost", "--config", str(file), "--env", "dev", "--region", "us-east-1"]
    traffic = ["--reads", "100", "--writes", "20", "--item-size", "2KB", "--storage", "10GB"]
    said = CliRunner().invoke(main, [*arguments, *traffic])
    assert said.exit_code == 0
    assert "on demand    $       82.12" in said.stdout
    assert "prices of 2026-08-15, us-east-1 STANDARD" in said.stdout
    machine = json.loads(CliRunner().invoke(main, [*arguments, *traffic, "--json"]).stdout)["tables"][0]
    assert machine["dollars_per_month"]["on_demand"] == pytest.approx(82.125)
    around = ["--pitr", "--replicas", "1", "--kinesis", "--backups", "5GB", "--exports", "1GB"]
    said = CliRunner().invoke(main, [*arguments[:-1], "eu-central-1", *traffic, *around])
    assert said.exit_code == 0, said.output
    assert "recovery     $        2.45  continuous backups of 10.0 GB" in said.stdout
    assert "backups      $        0.00  not in the price list" in said.stdout
    assert "in all" in said.stdout
    assert CliRunner().invoke(main, arguments).exit_code == 64
    assert CliRunner().invoke(main, [*arguments, *traffic, "--item-size", "big"]).exit_code == 64
