"""The settings of tables, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from blotter.database.settings.declaring import ON_OR_OFF, Declared, seconds, text


@dataclass(frozen=True)
class Tables:
    """How tables behave."""

    region: Annotated[
        str,
        Declared(
            text("a region's name", lambda name: name.isascii() and name.replace("-", "").isalnum()),
            "Region in the health answer (`GET /`) and in `blotter env`. Requests name their own in their "
            "credentials' scope.",
        ),
    ] = "us-east-1"
    table_delay: Annotated[
        float,
        Declared(
            seconds(0, 3600),
            "Seconds that a table stays CREATING, UPDATING or DELETING. With 0 the response still shows that "
            "state, and the next request finds the change done.",
        ),
    ] = 0.0
    throttling: Annotated[
        bool,
        Declared(
            ON_OR_OFF,
            "`on`: provisioned tables and indexes give no more than their read and write units, with up to 300 "
            "seconds of unused ones as burst, and tables on demand no more than their maxima. `off`: all are "
            "unlimited.",
        ),
    ] = True
    partition_limits: Annotated[
        bool,
        Declared(
            ON_OR_OFF,
            "`on`: the items of one partition key get no more than one partition serves on AWS, 3,000 read and "
            "1,000 write units a second. Needs `--throttling on`.",
        ),
    ] = False
    aws_quotas: Annotated[
        bool,
        Declared(
            ON_OR_OFF,
            "`on`: AWS's default quotas are enforced, which protect a shared service: tables and units of an "
            "account, tables that change at a time, decreases of units and changes of settings in a day.",
        ),
    ] = False
