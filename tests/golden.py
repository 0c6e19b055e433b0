"""Golden scripts: what a client says and what the database answers, in a text file named after the behaviour.

    # A comment; the first lines say what is promised and where that is recorded.
    table books id:S year:N             CreateTable, on demand; waits until it is ACTIVE
    > PutItem {"TableName": "books",    a request: the operation and its JSON; indented lines go on with it
        "Item": {…}}
    < {}                                the answer: exactly this JSON
    <~ {"Count": 1}                     or: at least these members
    < ValidationException: the message  or: this error, word for word
    <~ ValidationException: the mess    or: an error whose message contains this
    <~ {…}                              a second line behind an error: members of the error's body

In an answer, the text "<any>" stands for any value; "<keep arn>" does too and keeps it, so that "<arn>" in a later
request or answer, alone or within a text, is that value. Sets and `Items` of a scan compare in their order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Call = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]
"""(operation, request) → (HTTP status, body)."""


@dataclass
class Step:
    line: int
    operation: str
    request: dict[str, Any]
    expected: list[tuple[bool, str]] = field(default_factory=list)
    """(only part of it is given, text) for each answer line."""


def parse_script(text: str) -> list[Step]:
    steps: list[Step] = []
    for number, line in _statements(text):
        if line.startswith("table "):
            steps += _table_steps(number, line)
        elif line.startswith(">"):
            operation, _, body = line[1:].strip().partition(" ")
            steps.append(Step(number, operation, json.loads(body or "{}")))
        elif line.startswith("<~"):
            steps[-1].expected.append((True, line[2:].strip()))
        elif line.startswith("<"):
            steps[-1].expected.append((False, line[1:].strip()))
        else:
            raise ValueError(f"line {number}: neither table, > nor <: {line}")
    return steps


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with their numbers: indented lines continue the one before; comments and blanks go."""
    start, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            parts.append(line.strip())
            continue
        if parts:
            yield start, " ".join(parts)
        start, parts = number, [line]
    if parts:
        yield start, " ".join(parts)


def _table_steps(number: int, line: str) -> list[Step]:
    _, name, *attributes = line.split()
    pairs = [attribute.split(":") for attribute in attributes]
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in pairs],
        "KeySchema": [
            {"AttributeName": n, "KeyType": kind} for (n, _), kind in zip(pairs, ("HASH", "RANGE"), strict=False)
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    return [Step(number, "CreateTable", request, [(True, "{}")])]


def run_script(path: Path, call: Call) -> None:
    """Runs a script and fails with the place, the request and both answers where they differ."""
    kept: dict[str, str] = {}
    for step in parse_script(path.read_text()):
        request = json.loads(_filled(json.dumps(step.request), kept))
        status, body = call(step.operation, request)
        if not step.expected:
            assert status == 200, f"{path}:{step.line}: {step.operation} answered {status} {body}"
        for partial, given in step.expected:
            text = _filled(given, kept)
            problem = _difference(partial, text, status, body, kept)
            assert problem is None, (
                f"{path}:{step.line}: {step.operation} {json.dumps(request)}\n"
                f"  expected {'at least ' if partial else ''}{text}\n"
                f"  answered {status} {json.dumps(body)}\n  {problem}"
            )


def _filled(text: str, kept: dict[str, str]) -> str:
    for name, value in kept.items():
        text = text.replace(f"<{name}>", value)
    return text


def _difference(partial: bool, text: str, status: int, body: dict[str, Any], kept: dict[str, str]) -> str | None:
    if text.startswith("{"):
        return _json_difference(json.loads(text), body, partial, "answer", kept)
    code, _, message = text.partition(": ")
    if status == 200:
        return f"the answer is no {code}"
    actual_code = str(body.get("__type", "")).rpartition("#")[2]
    actual = str(body.get("message", body.get("Message", "")))
    if actual_code != code:
        return f"code {actual_code}"
    if (message not in actual) if partial else (message != actual):
        return f"message {actual!r}"
    return None


def _json_difference(expected: Any, actual: Any, partial: bool, where: str, kept: dict[str, str]) -> str | None:
    if expected == "<any>":
        return None
    if isinstance(expected, str) and expected.startswith("<keep "):
        kept[expected[len("<keep ") : -1]] = str(actual)
        return None
    if isinstance(expected, dict) and isinstance(actual, dict):
        if not partial and expected.keys() != actual.keys():
            return f"{where}: members {sorted(actual)} instead of {sorted(expected)}"
        for name, value in expected.items():
            if name not in actual:
                return f"{where}.{name} is missing"
            problem = _json_difference(value, actual[name], partial, f"{where}.{name}", kept)
            if problem:
                return problem
        return None
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            problem = _json_difference(one, other, partial, f"{where}[{number}]", kept)
            if problem:
                return problem
        return None
    return None if expected == actual else f"{where}: {actual!r} instead of {expected!r}"
