"""Golden scripts: what a client sends and what the database responds, in a text file named after the behavior.

    # A comment; the first lines state what is promised and where that is recorded.
    table books id:S year:N             CreateTable, on demand; must succeed and reach ACTIVE
    > PutItem {"TableName": "books",    a request: the operation and its JSON; indented lines continue it
        "Item": {…}}
    < {}                                the response: status 200 and exactly this JSON
    <~ {"Count": 1}                     or: status 200 and at least these members, at every depth
    < ValidationException: the message  or: an error of this code with exactly this message
    <~ ValidationException: the mess    or: an error of this code whose message contains this
    <~ {…}                              a second line after an error: members of the error's body
    <                                   nothing yet: `pytest tests/test_scripts.py --write-golden` writes it

A request without response lines must succeed. Errors have status 400, InternalServerError 500. JSON is compared by
value and type: 1 equals 1.0, but neither `true` nor "1". Lists have the same length and order, under `<~` too.

In an expected response, the text "<any>" stands for any value; "<keep arn>" does too and keeps it, which must be a
string, so that "<arn>" in a later request or response, alone or within a text, is that value.

`golden_writing.py` writes responses into scripts. An empty script, or one that this module cannot
understand, fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Call = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]
"""(operation, request) → (HTTP status, body)."""

_ERROR = re.compile(r"[A-Z]\w+(: |$)")
_KEEP = re.compile(r"<keep (\w+)>")
_UNKNOWN_PLACEHOLDER = re.compile(r'"<(?!any>|keep \w+>)\w+>"')
_SERVER_ERRORS = {"InternalServerError": 500, "ServiceUnavailable": 503}
_ATTRIBUTE_TYPES = frozenset("SNB")


@dataclass
class Expected:
    """One response line: `partial` for `<~`; `first` and `last` are its lines in the file, counted from 1."""

    partial: bool
    text: str
    first: int
    last: int


@dataclass
class Step:
    """A request and the responses expected to it."""

    line: int
    operation: str
    request: str
    """JSON, with placeholders still to be filled in."""
    expected: list[Expected] = field(default_factory=list)


class ScriptError(ValueError):
    """The script itself is wrong, whatever the database responds."""


def parse_script(text: str) -> list[Step]:
    """The steps of a script. Raises ScriptError, with the line, for what is not a script."""
    steps: list[Step] = []
    for first, last, line in _statements(text):
        if line.startswith("table "):
            steps += _table_steps(first, line)
        elif line.startswith(">"):
            operation, _, body = line[1:].strip().partition(" ")
            request = body.strip() or "{}"
            _parse_json(request, first)
            steps.append(Step(first, operation, request))
        elif line.startswith("<"):
            if not steps:
                raise ScriptError(f"line {first}: a response before any request")
            partial = line.startswith("<~")
            text = line[2 if partial else 1 :].strip()
            if text.startswith("{"):
                _parse_json(text, first)
            elif text and not _ERROR.match(text):
                raise ScriptError(f"line {first}: neither JSON nor Code: message")
            steps[-1].expected.append(Expected(partial, text, first, last))
        else:
            raise ScriptError(f"line {first}: neither table, > nor <: {line}")
    if not steps:
        raise ScriptError("no request")
    return steps


def _statements(text: str) -> Iterator[tuple[int, int, str]]:
    """(first line, last line, text) of each statement: indented lines are joined to the one before them."""
    first = last = 0
    parts: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if not parts:
                raise ScriptError(f"line {number}: indented, but nothing to continue")
            parts.append(line.strip())
            last = number
            continue
        if parts:
            yield first, last, " ".join(parts)
        first, last, parts = number, number, [line]
    if parts:
        yield first, last, " ".join(parts)


def _table_steps(number: int, line: str) -> list[Step]:
    """CreateTable and the DescribeTable that must find the table ACTIVE."""
    _, name, *attributes = line.split()
    pairs = [attribute.rpartition(":")[::2] for attribute in attributes]
    if not 1 <= len(pairs) <= 2 or not all(n and t in _ATTRIBUTE_TYPES for n, t in pairs):
        raise ScriptError(f"line {number}: a table has one or two keys, name:S, name:N or name:B: {line}")
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in pairs],
        "KeySchema": [
            {"AttributeName": n, "KeyType": kind} for (n, _), kind in zip(pairs, ("HASH", "RANGE"), strict=False)
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    created = {"TableDescription": {"TableName": name}}
    found = {"Table": {"TableName": name, "TableStatus": "ACTIVE"}}
    return [
        Step(number, "CreateTable", json.dumps(request), [Expected(True, json.dumps(created), number, number)]),
        Step(
            number,
            "DescribeTable",
            json.dumps({"TableName": name}),
            [Expected(True, json.dumps(found), number, number)],
        ),
    ]


def _parse_json(text: str, line: int) -> Any:
    """Raises ScriptError for what is not JSON, or has a member twice, of which Python would keep only one."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ScriptError(f"line {line}: a member twice among {[name for name, _ in pairs]}")
        return found

    try:
        return json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise ScriptError(f"line {line}: not JSON: {error}") from None


def run_script(path: Path, call: Call) -> None:
    """Runs a script; fails with the place, the request and both responses where they differ."""
    kept: dict[str, str] = {}
    for step in parse_script(path.read_text()):
        request, status, body = perform(step, call, kept)
        problem = check(step, status, body, kept)
        assert problem is None, f"{path}:{step.line}: {step.operation} {json.dumps(request)}\n{problem}"


def perform(step: Step, call: Call, kept: dict[str, str]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Sends a step's request: (request, status, body)."""
    request = json.loads(fill(step.request, kept, step.line))
    status, body = call(step.operation, request)
    return request, status, body


def check(step: Step, status: int, body: dict[str, Any], kept: dict[str, str]) -> str | None:
    """What is wrong with a response, in lines; None if nothing is. Values of "<keep …>" are added to `kept`."""
    responded = f"  responded {status} {json.dumps(body)}"
    if not step.expected:
        return None if status == 200 else f"  expected success\n{responded}"
    error_expected = False
    for expected in step.expected:
        if not expected.text:
            return f"  no response is written down; run pytest tests/test_scripts.py --write-golden\n{responded}"
        text = fill(expected.text, kept, expected.first)
        if text.startswith("{"):
            problem = _status_problem(status, 200) if not error_expected else None
            problem = problem or compare(json.loads(text), body, expected.partial, kept)
        else:
            error_expected = True
            problem = _error_problem(text, expected.partial, status, body)
        if problem:
            return f"  expected {'at least ' if expected.partial else ''}{text}\n{responded}\n  {problem}"
    return None


def fill(text: str, kept: dict[str, str], line: int) -> str:
    """`text`, which is JSON or an error, with kept values in place of their placeholders."""
    quoted = text.startswith("{")
    for name, value in kept.items():
        text = text.replace(f"<{name}>", json.dumps(value)[1:-1] if quoted else value)
    unknown = _UNKNOWN_PLACEHOLDER.search(text)
    if quoted and unknown:
        raise ScriptError(f"line {line}: {unknown[0]} was never kept")
    return text


def _status_problem(status: int, expected: int) -> str | None:
    return None if status == expected else f"status {status} instead of {expected}"


def _error_problem(text: str, partial: bool, status: int, body: dict[str, Any]) -> str | None:
    code, _, message = text.partition(": ")
    if status == 200:
        return f"the response is no {code}"
    actual_code = str(body.get("__type", "")).rpartition("#")[2]
    if actual_code != code:
        return f"code {actual_code}"
    actual = str(body.get("message", body.get("Message", "")))
    if (message not in actual) if partial else (message != actual):
        return f"message {actual!r}"
    return _status_problem(status, _SERVER_ERRORS.get(code, 400))


def compare(
    expected: Any, actual: Any, partial: bool, kept: dict[str, str], where: str = "response"
) -> str | None:
    """The first difference, None if there is none."""
    if expected == "<any>":
        return None
    if isinstance(expected, str) and (keep := _KEEP.fullmatch(expected)):
        if not isinstance(actual, str):
            return f"{where}: {actual!r} cannot be kept, it is no string"
        kept[keep[1]] = actual
        return None
    if isinstance(expected, dict) and isinstance(actual, dict):
        if not partial and expected.keys() != actual.keys():
            return f"{where}: members {sorted(actual)} instead of {sorted(expected)}"
        for name, value in expected.items():
            if name not in actual:
                return f"{where}.{name} is missing"
            problem = compare(value, actual[name], partial, kept, f"{where}.{name}")
            if problem:
                return problem
        return None
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(actual)} elements instead of {len(expected)}"
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            problem = compare(one, other, partial, kept, f"{where}[{number}]")
            if problem:
                return problem
        return None
    same = _json_type(expected) == _json_type(actual) and expected == actual
    return None if same else f"{where}: {actual!r} instead of {expected!r}"


def _json_type(value: Any) -> str:
    """JSON has one type of number, and Python's True equals 1."""
    return "number" if type(value) in (int, float) else type(value).__name__
