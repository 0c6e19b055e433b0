"""Writes into golden scripts what the database responds: for empty `<` lines, and in place of what differs.

`pytest tests/test_scripts.py --write-golden` runs the scripts in process and rewrites them. What is right stays as
it is, comments and layout included. Of a `<~` line, only the members that it names are written again; "<any>" and
"<keep …>" stay where they stand. Read the difference (`git diff`) before you commit it: a recorded response is not
yet a correct one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.golden import Call, Expected, Step, check, parse_script, perform

_WIDTH = 110
_INDENT = "    "
_DISTINCTIVE = 8
"""Characters from which a kept text is recognized in later responses."""


def write_script(path: Path, call: Call) -> int:
    """Runs a script and writes the responses that are missing or differ; returns how many steps were written.

    AssertionError for a table line, or a request without response lines, that fails: nothing can be written there.
    """
    lines = path.read_text().rstrip("\n").split("\n")
    kept: dict[str, str] = {}
    replacements: list[tuple[Step, list[str]]] = []
    for step in parse_script("\n".join(lines)):
        before = dict(kept)
        _, status, body = perform(step, call, kept)
        problem = check(step, status, body, kept)
        if problem is None:
            continue
        writable = bool(step.expected) and step.expected[0].first > step.line
        assert writable, f"{path}:{step.line}: {step.operation}\n{problem}"
        body = _with_placeholders(body, before)
        replacements.append((step, _response_lines(step.expected[0], status, body, kept)))
    for step, written in reversed(replacements):
        lines[step.expected[0].first - 1 : step.expected[-1].last] = written
    if replacements:
        path.write_text("\n".join(lines) + "\n")
    return len(replacements)


def _response_lines(expected: Expected, status: int, body: dict[str, Any], kept: dict[str, str]) -> list[str]:
    if status != 200:
        return _error_lines(body)
    if not expected.text.startswith("{"):
        return _folded("<", body)
    template = json.loads(expected.text)
    return _folded("<~" if expected.partial else "<", _like(template, body, expected.partial, kept))


def _error_lines(body: dict[str, Any]) -> list[str]:
    code = str(body.get("__type", "")).rpartition("#")[2]
    message = body.get("message", body.get("Message", ""))
    others = {name: value for name, value in body.items() if name not in ("__type", "message", "Message")}
    line = f"< {code}: {message}"
    return [line, *_folded("<~", others)] if others else [line]


def _like(template: Any, actual: Any, partial: bool, kept: dict[str, str]) -> Any:
    """`actual` with the template's placeholders; under `partial` only with members that the template names."""
    if isinstance(template, str) and (template == "<any>" or template.startswith("<keep ")):
        if isinstance(actual, str) and template != "<any>":
            kept[template[len("<keep ") : -1]] = actual
        return template
    if isinstance(template, dict) and isinstance(actual, dict):
        names = [name for name in template if name in actual]
        names += [] if partial else [name for name in actual if name not in template]
        return {name: _like(template.get(name), actual[name], partial, kept) for name in names}
    if isinstance(template, list) and isinstance(actual, list):
        padded = template + [None] * (len(actual) - len(template))
        return [_like(one, other, partial, kept) for one, other in zip(padded, actual, strict=False)]
    return actual


def _with_placeholders(value: Any, kept: dict[str, str]) -> Any:
    """`value` with "<name>" for every text that was kept under that name and cannot stand there by chance."""
    if isinstance(value, str):
        for name, text in kept.items():
            value = value.replace(text, f"<{name}>") if len(text) >= _DISTINCTIVE else value
        return value
    if isinstance(value, dict):
        return {name: _with_placeholders(member, kept) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_placeholders(element, kept) for element in value]
    return value


def _folded(sign: str, value: Any) -> list[str]:
    """A value as JSON after `sign`, on as many lines as `_WIDTH` columns demand; never split within a string."""
    lines = [sign]
    for piece in _pieces(value):
        if len(lines[-1]) + 1 + len(piece) > _WIDTH and lines[-1].strip() not in ("<", "<~", ""):
            lines.append(_INDENT + piece)
        else:
            lines[-1] += " " + piece
    return lines


def _pieces(value: Any) -> list[str]:
    """JSON cut where a line may end: after commas."""
    if isinstance(value, dict) and value:
        first, last = "{", "}"
        parts = [_pieces(member) for member in value.values()]
        for name, part in zip(value, parts, strict=True):
            part[0] = f"{json.dumps(name, ensure_ascii=False)}: {part[0]}"
    elif isinstance(value, list) and value:
        first, last = "[", "]"
        parts = [_pieces(element) for element in value]
    else:
        return [json.dumps(value, ensure_ascii=False)]
    for part in parts[:-1]:
        part[-1] += ","
    pieces = [piece for part in parts for piece in part]
    pieces[0] = first + pieces[0]
    pieces[-1] += last
    return pieces
