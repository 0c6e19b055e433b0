"""The golden runner itself: scripts that must fail do, and what is written into a script is what was responded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.golden import ScriptError, parse_script, run_script
from tests.golden_writing import write_script

NOT_FOUND = (
    400,
    {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no such table"},
)
CANCELED = (
    400,
    {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "cancelled [None]",
        "CancellationReasons": [{"Code": "None"}],
    },
)


class Fake:
    """A `golden.Call` that gives fixed responses, one after another, and keeps the requests."""

    def __init__(self, *responses: tuple[int, dict[str, Any]]) -> None:
        self._responses = list(responses)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append((operation, request))
        return self._responses.pop(0)


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script"
    path.write_text(text)
    return path


MUST_FAIL = {
    "a table that is refused": ("table t p:S", [NOT_FOUND, NOT_FOUND]),
    "a table that is never active": (
        "table t p:S",
        [
            (200, {"TableDescription": {"TableName": "t"}}),
            (200, {"Table": {"TableName": "t", "TableStatus": "CREATING"}}),
        ],
    ),
    "a table of another name": (
        "table t p:S",
        [
            (200, {"TableDescription": {"TableName": "u"}}),
            (200, {"Table": {"TableName": "t", "TableStatus": "ACTIVE"}}),
        ],
    ),
    "a request without response lines that is refused": ("> GetItem {}", [NOT_FOUND]),
    "a plain response with another status": ("> GetItem {}\n< {}", [(500, {})]),
    "a partial response with another status": ("> GetItem {}\n<~ {}", [(400, {})]),
    "members of an error in place of the error": ("> GetItem {}\n<~ {}", [NOT_FOUND]),
    "true for one": ('> GetItem {}\n< {"n": 1}', [(200, {"n": True})]),
    "one for true": ('> GetItem {}\n< {"n": true}', [(200, {"n": 1})]),
    "zero for false": ('> GetItem {}\n<~ {"n": [false]}', [(200, {"n": [0]})]),
    "a text for a number": ('> GetItem {}\n< {"n": 1}', [(200, {"n": "1"})]),
    "null for nothing": ("> GetItem {}\n< {}", [(200, {"n": None})]),
    "a member too many": ("> GetItem {}\n< {}", [(200, {"n": 1})]),
    "a member missing": ('> GetItem {}\n<~ {"n": "<any>"}', [(200, {})]),
    "an element too many": ('> GetItem {}\n<~ {"l": [{}]}', [(200, {"l": [{}, {}]})]),
    "elements in another order": ('> GetItem {}\n<~ {"l": [1, 2]}', [(200, {"l": [2, 1]})]),
    "a list for an object": ('> GetItem {}\n<~ {"l": {}}', [(200, {"l": []})]),
    "success in place of an error": ("> GetItem {}\n< ResourceNotFoundException: no such table", [(200, {})]),
    "an error with status 500": (
        "> GetItem {}\n< ResourceNotFoundException: no such table",
        [(500, NOT_FOUND[1])],
    ),
    "another error": ("> GetItem {}\n< ValidationException: no such table", [NOT_FOUND]),
    "another message": ("> GetItem {}\n< ResourceNotFoundException: no such", [NOT_FOUND]),
    "a message without the part": ("> GetItem {}\n<~ ResourceNotFoundException: index", [NOT_FOUND]),
    "an error whose members differ": (
        '> GetItem {}\n< TransactionCanceledException: cancelled [None]\n<~ {"CancellationReasons": []}',
        [CANCELED],
    ),
    "nothing written down": ("> GetItem {}\n<", [(200, {})]),
    "a value to keep that is no text": ('> GetItem {}\n< {"n": "<keep n>"}', [(200, {"n": 1})]),
    "a kept value that is another one": (
        '> GetItem {}\n< {"a": "<keep arn>"}\n> GetItem {}\n< {"a": "<arn>"}',
        [(200, {"a": "one"}), (200, {"a": "two"})],
    ),
}


@pytest.mark.parametrize("what", MUST_FAIL)
def test_a_script_that_must_fail(what: str, tmp_path: Path) -> None:
    text, responses = MUST_FAIL[what]
    with pytest.raises(AssertionError):
        run_script(script(tmp_path, text), Fake(*responses))


NOT_SCRIPTS = {
    "nothing": "",
    "comments only": "# A promise that nobody checks.\n",
    "a response first": "< {}",
    "an indented line first": "  > GetItem {}",
    "another sign": "? GetItem {}",
    "a request that is not JSON": '> GetItem {"TableName": t}',
    "a response that is not JSON": "> GetItem {}\n< {]",
    "neither JSON nor an error": "> GetItem {}\n< done",
    "a member twice": '> GetItem {}\n< {"n": 1, "n": 2}',
    "a table without key": "table t",
    "a table with three keys": "table t a:S b:S c:S",
    "a key without type": "table t a",
    "a key of no key type": "table t a:M",
}


@pytest.mark.parametrize("what", NOT_SCRIPTS)
def test_what_is_not_a_script_is_refused(what: str) -> None:
    with pytest.raises(ScriptError):
        parse_script(NOT_SCRIPTS[what])


def test_a_placeholder_that_was_never_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="arn"):
        run_script(script(tmp_path, '> DescribeStream {"StreamArn": "<arn>"}'), Fake())


def test_what_is_right_passes(tmp_path: Path) -> None:
    text = """# A comment.
table t p:S n:N
> PutItem {"TableName": "t",
    "Item": {}}
> Query {}
< {"Count": 1, "Capacity": 1, "All": true, "Arn": "<keep arn>", "Token": "<any>"}
> Query {"Arn": "<arn>", "Text": "of <arn>"}
<~ {"Items": [{"a": 1}]}
> GetItem {}
< ResourceNotFoundException: no such table
> GetItem {}
<~ ResourceNotFoundException: such
> TransactWriteItems {}
< TransactionCanceledException: cancelled [None]
<~ {"CancellationReasons": [{"Code": "None"}]}
> GetItem {}
< InternalServerError: Internal server error
"""
    call = Fake(
        (200, {"TableDescription": {"TableName": "t"}}),
        (200, {"Table": {"TableName": "t", "TableStatus": "ACTIVE"}}),
        (200, {}),
        (200, {"Count": 1, "Capacity": 1.0, "All": True, "Arn": 'arn:"\\', "Token": 3}),
        (200, {"Items": [{"a": 1, "b": 2}], "Count": 1}),
        NOT_FOUND,
        NOT_FOUND,
        CANCELED,
        (500, {"__type": "x#InternalServerError", "message": "Internal server error"}),
    )
    run_script(script(tmp_path, text), call)
    assert call.requests[4] == ("Query", {"Arn": 'arn:"\\', "Text": 'of arn:"\\'})
    assert [operation for operation, _ in call.requests[:2]] == ["CreateTable", "DescribeTable"]


def test_what_is_missing_or_differs_is_written(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """# Stays.
> A {}
<
> B {}
< {"kept": "<keep arn>",
    "wrong": 1}
# Stays as well.
> C {}
<~ {"n": 1}
> D {}
< {}
> E {}
< {"right":   1}
> F {}
""",
    )
    long = {f"member {number}": "x" * 30 for number in range(4)}
    responses = [
        (200, long),
        (200, {"kept": "arn:of:it", "wrong": 2, "more": []}),
        (200, {"m": True, "n": "arn:of:it/x"}),
        CANCELED,
        (200, {"right": 1}),
        (200, {"not": "asked"}),
    ]
    assert write_script(path, Fake(*responses)) == 4
    assert (
        path.read_text()
        == """# Stays.
> A {}
< {"member 0": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "member 1": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "member 2": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "member 3": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}
> B {}
< {"kept": "<keep arn>", "wrong": 2, "more": []}
# Stays as well.
> C {}
<~ {"n": "<arn>/x"}
> D {}
< TransactionCanceledException: cancelled [None]
<~ {"CancellationReasons": [{"Code": "None"}]}
> E {}
< {"right":   1}
> F {}
"""
    )
    run_script(path, Fake(*responses))
    assert write_script(path, Fake(*responses)) == 0


def test_nothing_is_written_for_a_table_that_is_refused(tmp_path: Path) -> None:
    path = script(tmp_path, "table t p:S\n")
    with pytest.raises(AssertionError, match="no such table"):
        write_script(path, Fake(NOT_FOUND))
    assert path.read_text() == "table t p:S\n"
