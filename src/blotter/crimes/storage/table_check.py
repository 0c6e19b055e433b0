"""Whether the results table can hold results: its key must be `file_key` (S) and nothing else.

Checked when a process starts, because a table with another key refuses every later read and write with a message
that does not explain it. The declaration is checked without a request, the table itself by one DescribeTable. Only
what is certain stops the start: an endpoint that is away comes back, and a role may lack DescribeTable.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from blotter.config import Configuration
from blotter.user_files import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LABEL = "results"
_KEY = {"name": "file_key", "type": "S"}
_WANTED = "the application needs the partition key file_key (S) and no sort key"

_log = logging.getLogger(__name__)


def check_declaration(configuration: Configuration) -> None:
    """Raises ConfigurationError when `[tables.results]` is missing or declares another key."""
    declared = configuration.table(LABEL).declaration
    wrong = next(
        (
            field
            for field, right in (("partition_key", (_KEY, [_KEY])), ("sort_key", (None, [])))
            if declared.get(field) not in right
        ),
        None,
    )
    if wrong is not None:
        raise configuration.document.error(("tables", LABEL, wrong), _WANTED)


def check_table(client: DynamoDBClient, name: str) -> None:
    """Raises ConfigurationError when the table is missing or has another key."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        table = client.describe_table(TableName=name)["Table"]
    except (BotoCoreError, ClientError) as error:
        response: dict[str, Any] = getattr(error, "response", {})
        code = response.get("Error", {}).get("Code")
        if code == "ResourceNotFoundException":
            place = client.meta.endpoint_url
            raise ConfigurationError(
                f"table {name} does not exist at {place}; run `blotter tables apply`"
            ) from None
        # A role with the policy of `blotter tables policy` may not describe: that is no reason to worry anybody.
        level = logging.DEBUG if code == "AccessDeniedException" else logging.WARNING
        _log.log(level, "table %s could not be described: %s", name, error)
        return
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    key = [(part["AttributeName"], types[part["AttributeName"]]) for part in table["KeySchema"]]
    if key != [(_KEY["name"], _KEY["type"])]:
        found = ", ".join(f"{attribute} ({kind})" for attribute, kind in key)
        raise ConfigurationError(f"table {name} has the key {found}, but {_WANTED}; use another table")
