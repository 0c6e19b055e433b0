"""The declared tables for other deployment tools: as AWS CLI commands, CloudFormation or Terraform.

Each format is made from the same requests and parts that `apply` sends, so the tables come out the same; the tests
build them with the other tool and let `plan` find no difference. What a format cannot express is refused, never
left out; each states for which region, account and endpoint it was made. `output/quoting.py` quotes every value.
"""

from __future__ import annotations

from collections.abc import Callable

from blotter.config import Configuration
from blotter.tables.exporting.cli import as_cli
from blotter.tables.exporting.cloudformation import as_cloudformation
from blotter.tables.exporting.requests import Tables
from blotter.tables.exporting.terraform import as_terraform

FORMS: dict[str, Callable[[Tables, Configuration], str]] = {
    "cli": as_cli,
    "cloudformation": as_cloudformation,
    "terraform": as_terraform,
}
