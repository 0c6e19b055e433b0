"""The API's documentation as a page: the OpenAPI schema turned into values that a template can lay out.

Served by ourselves because the usual viewers load their scripts from a CDN, which the content policy forbids and
an air-gapped machine does not have. Pure: schema in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    description: str
    required: bool
    model: str | None  # the model to link to


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    description: str
    type: str
    model: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    title: str
    version: str
    description: str
    operations: tuple[Operation, ...]
    models: tuple[Model, ...]


def reference(openapi: Schema, base_url: str) -> Reference:
    """Everything the page shows; `base_url` goes into the examples."""
    return Reference(
        title=openapi["info"]["title"],
        version=openapi["info"]["version"],
        description=openapi["info"].get("description", ""),
        operations=tuple(
            _operation(path, method, operation, base_url)
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
        ),
        models=tuple(
            Model(name, schema.get("description", ""), _fields(schema))
            for name, schema in openapi["components"]["schemas"].items()
        ),
    )


def _operation(path: str, method: str, operation: Schema, base_url: str) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=tuple(_parameter(parameter) for parameter in operation.get("parameters", [])),
        body=_body(operation),
        answers=tuple(
            _answer(status, answer) for status, answer in operation["responses"].items() if status != "422"
        ),
        example=_example(path, method, base_url),
    )


def _parameter(parameter: Schema) -> Field:
    kind, model = _type(parameter["schema"])
    description = parameter.get("description") or parameter["schema"].get("description", "")
    return Field(parameter["name"], f"{kind}, in {parameter['in']}", description, parameter["required"], model)


def _body(operation: Schema) -> tuple[Field, ...]:
    contents = operation.get("requestBody", {}).get("content", {})
    return tuple(field for content in contents.values() for field in _fields(content["schema"]))


def _answer(status: str, answer: Schema) -> Answer:
    kinds = answer.get("content", {})
    schema = kinds.get("application/json", {}).get("schema", {})
    media = ", ".join(kind for kind in kinds if kind != "application/json")
    kind, model = _type(schema) if schema.get("$ref") else (media, None)
    return Answer(status, answer.get("description", ""), kind, model)


def _fields(schema: Schema) -> tuple[Field, ...]:
    required = schema.get("required", ())
    fields = []
    for name, part in schema.get("properties", {}).items():
        kind, model = _type(part)
        fields.append(Field(name, kind, part.get("description", ""), name in required, model))
    return tuple(fields)


def _type(schema: Schema) -> tuple[str, str | None]:
    """A schema's type as text, and the model it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return name, name
    if "anyOf" in schema:
        parts = [_type(part) for part in schema["anyOf"]]
        return " or ".join(kind for kind, _ in parts), next((model for _, model in parts if model), None)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"]), None
    if "const" in schema:
        return str(schema["const"]), None
    if schema.get("type") == "array":
        kind, model = _type(schema["items"])
        return f"list of {kind}", model
    if isinstance(schema.get("additionalProperties"), Mapping):
        kind, model = _type(schema["additionalProperties"])
        return f"map of {kind}", model
    return str(schema.get("format") or schema.get("type", "")), None


def _example(path: str, method: str, base_url: str) -> str:
    if method == "post" and path == "/api/files":
        return f"curl -F file=@incidents.csv {base_url}{path}"
    if method != "get":
        return f"curl -X {method.upper()} '{base_url}{path.replace('{file_key}', 'FILE_KEY')}'"
    option = "-N " if path.endswith("/events") else "-OJ " if path.endswith(".csv") else ""
    return f"curl {option}'{base_url}{path.replace('{file_key}', 'FILE_KEY')}'"
