"""Quoting: for each language, any value comes back unchanged through that language's own reader.

Shell words go through bash, HCL through python-hcl2, TOML through tomllib, JSON through json; and nothing that is
written holds a character that a terminal would act on.
"""

from __future__ import annotations

import json
import math
import subprocess
import tomllib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blotter.printable import one_line, printable
from blotter.tables.output import quoting
from tests.examples import examples
from tests.hcl_strings import decode_string, parse_hcl

# Characters with a meaning in one of the languages, control characters, bidi, C1, private use, beyond the BMP.
HOSTILE = list(
    "'\"\\$`(){}%!#;&|<>*?~=,:@-+ab0 \t\n\r\x00\x07\x1b\x7f\x85\x9b\u202e\u2028\u200b\ufeff\ue000é😀\U000e0001"
)
FRAGMENTS = [
    "$(touch x)",
    "${x}",
    "%{ if a }",
    "$${",
    "$$${",
    "%%{",
    "'\\''",
    "\\'",
    "file://x",
    "{{resolve:ssm:x}}",
]
hostile = st.lists(
    st.sampled_from(HOSTILE + FRAGMENTS) | st.characters(exclude_categories=["Cs"]), max_size=12
).map("".join)
SEQUENCES = example("$${x} $$${x} %%{ ${aws:username} \\${ '\\'' \x1b[31m")


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(hostile.filter(quoting.shell_can_say), min_size=1, max_size=40))
def test_bash_reads_the_words_that_were_written(words: list[str]) -> None:
    script = "printf '%s\\0' " + " ".join(map(quoting.shell, words))
    assert script.isprintable()
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode().split("\0")[:-1] == words


@settings(max_examples=examples(200), deadline=None)
@given(hostile)
@SEQUENCES
def test_hcl_strings_are_never_templates(text: str) -> None:
    literal = quoting.hcl(text)
    assert literal.isprintable()
    assert decode_string(literal) == text


@settings(max_examples=examples(40), deadline=None)
@given(st.dictionaries(hostile, hostile | st.lists(hostile) | st.booleans() | st.integers(), min_size=1))
def test_hcl_values_through_a_parser(values: dict[str, Any]) -> None:
    assert parse_hcl(f"values = {quoting.hcl(values)}\n") == {"values": values}


toml_values = st.recursive(
    hostile | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(200), deadline=None)
@given(st.dictionaries(hostile, toml_values, max_size=4))
def test_toml_comes_back_through_tomllib(values: dict[str, Any]) -> None:
    text = "\n".join(f"{quoting.toml_key(key)} = {quoting.toml(value)}" for key, value in values.items())
    assert all(line.isprintable() for line in text.split("\n"))
    assert tomllib.loads(text) == values


def test_toml_has_no_null_and_no_half_characters() -> None:
    assert math.isnan(tomllib.loads(f"x = {quoting.toml(math.nan)}")["x"])
    for value in (None, "\ud800"):
        with pytest.raises((TypeError, ValueError)):
            quoting.toml(value)


@settings(max_examples=examples(200), deadline=None)
@given(st.dictionaries(hostile | st.just("\ud800"), toml_values, max_size=4))
def test_json_is_printable_and_comes_back(value: dict[str, Any]) -> None:
    try:
        text = quoting.json_text(value, indent=2)
    except ValueError:  # an infinity
        return
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Kb", "a\\x1b[2Kb"),
        ("first\nsecond\r\nthird", "first second third"),
        ("\u202egnp.exe \x9b31m \x85 \u2028", "\\u202egnp.exe \\x9b31m"),
        ("zero\u200bwidth \ud800 \U000e0001", "zero\\u200bwidth \\ud800 \\U000e0001"),
        ("Größe ✓ 東京 😀", "Größe ✓ 東京 😀"),
        ("cannot reach http://me:secret@host:8000/x", "cannot reach http://***@host:8000/x"),
        ("'https://a@b:p@ss@host/p?token=secret' failed", "'https://***@host/p?***' failed"),
    ],
)
def test_one_line_is_one_printable_line_without_secrets(text: str, shown: str) -> None:
    assert one_line(text) == shown


@settings(max_examples=examples(200), deadline=None)
@given(st.text())
def test_whatever_is_said_is_one_line_of_bounded_length(text: str) -> None:
    line = one_line(text * 100)
    assert line.isprintable()
    assert len(line) <= 2000
    assert printable(text).isprintable()
