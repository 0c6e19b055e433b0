"""The JSON Schema of blotter.toml, made from the Structs that read it, so that the two cannot disagree.

Editors that know TOML (Taplo, Even Better TOML) take it: `blotter tables schema > blotter.schema.json`, then
`#:schema ./blotter.schema.json` as the file's first line.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.tables.declaring.declaration import TableDeclaration

_SETTINGS = {
    "region": "The region, such as us-east-1.",
    "endpoint": 'http://host:port, or "aws". AWS when absent.',
    "profile": "The AWS profile to use. Better left to AWS_PROFILE.",
    "account": "Twelve digits; the tables must be in this account.",
}
_NAMING = {
    "name": {
        "type": "string",
        "description": "The table's name or ARN. <app>-<purpose>-<environment> when absent.",
    },
    "purpose": {"type": "string", "description": "The middle of the name by convention. The label when absent."},
}


def configuration_schema() -> dict[str, Any]:
    """The whole file: app, environments with their differences, tables, application settings."""
    (table,), definitions = msgspec.json.schema_components([TableDeclaration], ref_template="#/$defs/{name}")
    shape = definitions[TableDeclaration.__name__]
    shape["properties"] |= _NAMING
    # In an environment a table gives only its differences, so nothing is required of it there.
    difference = {key: value for key, value in shape.items() if key != "required"}
    environment = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **{key: {"type": "string", "description": text} for key, text in _SETTINGS.items()},
            "tables": {"type": "object", "additionalProperties": {"$ref": "#/$defs/TableDifference"}},
            "crimes": {"type": "object"},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "blotter.toml",
        "type": "object",
        "required": ["app", "environments"],
        "additionalProperties": False,
        "properties": {
            "app": {"type": "string", "description": "The application; the first part of table names."},
            "environment": {"type": "string", "description": "The environment when none is named."},
            "environments": {"type": "object", "additionalProperties": environment},
            "tables": {"type": "object", "additionalProperties": table},
            "crimes": {"type": "object"},
        },
        "$defs": {**definitions, "TableDifference": difference},
    }
