"""The declared tables as a shell script of AWS CLI commands: the seed's own way to deploy.

Every value is quoted by `quoting`, one way for plain words and one for everything else: what the shell or the AWS
CLI would read as something other than itself goes into JSON (`--cli-input-json`). The table's name alone is a
variable; it stands only where the table itself is meant, not in tags or other values that happen to contain it.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from blotter.config import Configuration, ConfiguredTable
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.errors import Exit, SetupError
from blotter.tables.exporting.requests import Tables, endpoint_of, kebab, place_of, refuse, requests_for
from blotter.tables.output.quoting import json_text, shell, shell_can_say
from blotter.tables.planning.changes import Request

_ACCOUNT = """
account="$({aws} sts get-caller-identity --query Account --output text)"
if [[ "$account" != {account} ]]; then
    echo "the credentials are for account $account, and the tables belong to {account}" >&2
    exit 4
fi"""


def as_cli(tables: Tables, configuration: Configuration) -> str:
    """Create, wait, then the settings that follow, for each table. The script stops at the first failure."""
    lines = ["#!/usr/bin/env bash", f"# {place_of(configuration)}", "set -euo pipefail", *_place(configuration)]
    if configuration.account and configuration.endpoint is None:
        aws = f"{_aws(configuration, 'sts')}"
        lines.append(_ACCOUNT.format(aws=aws, account=configuration.account))
    variables: set[str] = set()
    for table, declared in tables:
        variable = _variable(table, variables)
        variables.add(variable)
        lines += [
            "",
            f'{variable}="${{{variable}:-{table.name}}}"',
            *_table(table, declared, variable, configuration),
        ]
    return "\n".join(lines)


def _place(configuration: Configuration) -> list[str]:
    region = shell(configuration.region)
    lines = [f"export AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_PAGER="]
    if configuration.at_aws:
        lines.append("export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true")
    if configuration.profile:
        if not configuration.profile.isprintable():
            raise SetupError("a profile with such a name cannot be exported", Exit.REFUSED)
        lines.append(f'if [[ -z "${{AWS_PROFILE:-}}" ]]; then AWS_PROFILE={shell(configuration.profile)}; fi')
    return lines


def _aws(configuration: Configuration, service: str) -> str:
    endpoint = endpoint_of(configuration, service)
    given = f" --endpoint-url {shell(endpoint)}" if endpoint else ""
    return f'aws ${{AWS_PROFILE:+--profile "$AWS_PROFILE"}}{given}'


def _variable(table: ConfiguredTable, taken: set[str]) -> str:
    """RESULTS_TABLE for "results"; labels that differ only in - and _ get a number."""
    name = f"{table.label}_TABLE".upper().replace("-", "_")
    number = 2
    while (free := name if name not in taken else f"{name}_{number}") in taken:
        number += 1
    return free


def _table(
    table: ConfiguredTable, declared: TableDeclaration, variable: str, configuration: Configuration
) -> list[str]:
    mark = _mark(table.name, declared)
    lines = []
    for request in requests_for(mark, declared):
        elsewhere = configuration.endpoint is not None and endpoint_of(configuration, request.service) is None
        why = f"{request.service} is AWS's, and the tables are at {configuration.endpoint}"
        refuse(elsewhere, table, f"what {request.service} does", "AWS CLI commands", why)
        lines.append(_command(request, _aws(configuration, request.service), mark, variable))
        if request.operation in ("CreateTable", "UpdateTable"):
            wait = f"{_aws(configuration, 'dynamodb')} \\\n    dynamodb wait table-exists"
            lines.append(f'{wait} \\\n    --table-name "${variable}"')
    return lines


def _mark(name: str, declared: TableDeclaration) -> str:
    """A table name that stands for the variable and occurs nowhere in the declaration."""
    text, number = repr(declared), 0
    while (mark := f"TABLE{number}NAME") in text or mark in name:
        number += 1
    return mark


def _command(request: Request, aws: str, mark: str, variable: str) -> str:
    parts = [f"{aws} \\\n    {request.service} {kebab(request.operation)}"]
    in_json: dict[str, Any] = {}
    for parameter, value in request.parameters.items():
        words = _words(parameter, value)
        if words is None:
            in_json[parameter] = value
        else:
            parts.append(f"--{words}")
    if in_json:
        parts.append(f"--cli-input-json {shell(json_text(in_json))}")
    return _with_variable(" \\\n    ".join(parts), mark, variable)


def _words(parameter: str, value: Any) -> str | None:
    """The option and its value: the AWS CLI's shorthand where the seed uses it, JSON in quotes elsewhere. None for
    a string that is no word of a command."""
    option = kebab(parameter)
    if isinstance(value, bool):
        return option if value else f"no-{option}"
    if parameter in ("AttributeDefinitions", "KeySchema") and _is_shorthand(value):
        return f"{option} " + " ".join(",".join(f"{key}={inner}" for key, inner in part.items()) for part in value)
    if isinstance(value, str):
        return f"{option} {shell(value)}" if value and shell_can_say(value) else None
    if isinstance(value, (int, float)) and value < 0:
        return None
    return f"{option} {shell(json_text(value))}"


def _is_shorthand(parts: list[dict[str, str]]) -> bool:
    return all(re.fullmatch(r"[A-Za-z0-9_.-]+", word) for part in parts for word in part.values())


def _with_variable(text: str, mark: str, variable: str) -> str:
    """The variable in the place of the mark: within single quotes these end before it and begin again after it."""
    pieces = text.split(mark)
    shown, quoted = pieces[0], False
    for before, after in itertools.pairwise(pieces):
        quoted ^= before.replace("'\\''", "").count("'") % 2 == 1
        reference = f"${{{variable}}}"
        alone = not quoted and not re.search(r"[^\s=]$", shown) and not re.match(r"[^\s,]", after)
        shown += f"'\"{reference}\"'" if quoted else f'"${variable}"' if alone else f'"{reference}"'
        shown += after
    return shown
