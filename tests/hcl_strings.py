"""Reading back what `quoting.hcl` wrote: python-hcl2 finds the expressions, this decodes their string literals.

The decoder follows the HCL native syntax specification and fails on whatever Terraform would evaluate: an
interpolation, a directive, an unknown escape.
"""

from __future__ import annotations

import io
import re
from typing import Any

import hcl2

_TOKEN = re.compile(
    r"\\u(?P<four>[0-9a-fA-F]{4})|\\U(?P<eight>[0-9a-fA-F]{8})|\\(?P<simple>[nrt\"\\])"
    r"|(?P<escaped>\$\$\{|%%\{)|(?P<template>\$\{|%\{)|(?P<bad>[\\\"\n])|(?P<plain>.)",
    re.DOTALL,
)
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def parse_hcl(text: str) -> dict[str, Any]:
    """A document as python-hcl2 has it, its string literals and keys decoded. Expressions stay `${…}` strings."""
    parsed: dict[str, Any] = _decoded(hcl2.load(io.StringIO(text)))
    return parsed


def decode_string(literal: str) -> str:
    """The value of a quoted template that must hold no template."""
    assert literal[0] == literal[-1] == '"', literal
    characters = []
    for token in _TOKEN.finditer(literal[1:-1]):
        assert not token["template"], f"Terraform would evaluate {literal}"
        assert not token["bad"], f"{token[0]!r} in {literal}"
        if token["four"] or token["eight"]:
            characters.append(chr(int(token["four"] or token["eight"], 16)))
        elif token["simple"]:
            characters.append(_SIMPLE[token["simple"]])
        else:
            characters.append(token["escaped"][1:] if token["escaped"] else token["plain"])
    return "".join(characters)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {_decoded(key): _decoded(inner) for key, inner in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_decoded(inner) for inner in value]
    if isinstance(value, str) and value.startswith('"'):
        return decode_string(value)
    return value
