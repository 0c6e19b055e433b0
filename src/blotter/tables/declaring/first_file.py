"""The blotter.toml that `blotter tables init` writes: the smallest one that is complete, with its comments."""

from __future__ import annotations

from pathlib import Path

from blotter.config import FILE_NAME, LABEL, TABLE_NAME
from blotter.tables.output.quoting import toml, toml_key
from blotter.user_files import ConfigurationError

_TEXT = """\
# The central configuration: where the tables are, what they are called, what they look like.
# Every value is taken from the first of: flag, environment variable, this file, default.

app = {app}             # tables are named <app>-<purpose>-<environment>
environment = "dev"     # when neither --env nor BLOTTER_ENV names one

[environments.dev]
region = "us-east-1"
endpoint = "http://127.0.0.1:8000"  # `blotter serve` on this machine

[environments.prod]
region = "us-east-1"
endpoint = "aws"        # Amazon DynamoDB

[tables.{table}]
partition_key = {{ name = "id", type = "S" }}
billing_mode = "PAY_PER_REQUEST"
"""


def write_first_file(app: str, table: str) -> Path:
    """Write it into the current folder. Raises ConfigurationError when there is one already, or when no table
    could be named after `app` or labeled `table`."""
    path = Path(FILE_NAME)
    if not TABLE_NAME.fullmatch(f"{app}-{table}-dev") or not app:
        raise ConfigurationError(f"--app {app!r}: tables are named after it; use A-Z a-z 0-9 _ . -")
    if not LABEL.fullmatch(table):
        raise ConfigurationError(
            f"--table {table!r}: a label begins with a letter; then letters, digits, '-' and '_'"
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEXT.format(app=toml(app), table=toml_key(table)))
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; it is left as it is") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
    return path
