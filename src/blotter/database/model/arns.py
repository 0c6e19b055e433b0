"""ARNs of tables, indexes and streams: made and read here and nowhere else.

    arn:aws:dynamodb:us-east-1:123456789012:table/results
    arn:aws:dynamodb:us-east-1:123456789012:table/results/index/by-date
    arn:aws:dynamodb:us-east-1:123456789012:table/results/stream/2026-11-28T18:00:00.000
    arn:aws:dynamodb:us-east-1:123456789012:table/results/backup/01795911600000-9b1c2d3e

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):dynamodb:(?P<region>[^:]*):(?P<account>[^:]*):table/(?P<table>[A-Za-z0-9_.-]{3,255})"
    r"(?:/index/(?P<index>[A-Za-z0-9_.-]{3,255})|/stream/(?P<stream>[0-9T:.-]+))?",
    re.ASCII,
)


class Arn(NamedTuple):
    """The parts of an ARN that names a table or, with `index_name` or `stream` (its label), something of a
    table."""

    partition: str
    region: str
    account: str
    table: str
    index_name: str | None
    stream: str | None

    @property
    def is_table(self) -> bool:
        return self.index_name is None and self.stream is None


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN; None for a text that is no ARN of a table, index or stream. Whether its account and
    region are the caller's is for the caller to decide."""
    match = _ARN.fullmatch(text)
    return None if match is None else Arn(*match.groups())


class PartArn(NamedTuple):
    """The parts of an ARN that names something of a table that outlives it: a backup, an export, an import. Only
    its form is known to be right."""

    partition: str
    service: str
    region: str
    account: str
    table: str
    kind: str
    id: str


_PART_ARN = re.compile(
    r"arn:([^:]*):([^:]*):([^:]*):([^:]*):table/([A-Za-z0-9_.-]{3,255})/([a-z-]+)/([A-Za-z0-9_.:-]+)", re.ASCII
)
_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+", re.ASCII)


def parse_part_arn(text: str, kind: str) -> PartArn | None:
    """The parts of an ARN `…:table/NAME/KIND/ID`; None for a text of another form."""
    match = _PART_ARN.fullmatch(text)
    return None if match is None or match[6] != kind else PartArn(*match.groups())


def part_arn(region: str, account: str, table_name: str, kind: str, part_id: str) -> str:
    return f"{table_arn(region, account, table_name)}/{kind}/{part_id}"


def is_region(name: str) -> bool:
    """Whether a region of AWS's standard partition may have this name."""
    return _REGION.fullmatch(name) is not None


def table_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def stream_arn(region: str, account: str, table_name: str, label: str) -> str:
    return f"{table_arn(region, account, table_name)}/stream/{label}"
