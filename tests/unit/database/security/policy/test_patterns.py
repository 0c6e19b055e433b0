"""Wildcards and policy variables."""

from __future__ import annotations

import re
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.security.policy.patterns import ArnPattern, Template

CONTEXT = {"aws:username": ("al*ce",), "aws:tagkeys": ("a", "b")}


def matches(pattern: str, text: str) -> bool:
    glob = Template(pattern, variables=True).glob(CONTEXT)
    return glob is not None and glob.matches(text)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wildcards_match_as_those_of_file_names_do(pattern: str, text: str) -> None:
    assert matches(pattern, text) == bool(re.match(translate(pattern), text))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("home/${aws:username}/*", "home/al*ce/x", True),
        ("home/${aws:username}/*", "home/alice/x", False),
        ("${AWS:UserName}", "al*ce", True),
        ("${aws:userid}", "", False),
        ("${aws:userid, 'nobody'}", "nobody", True),
        ("${aws:userid, 'a, b'}", "a, b", True),
        ("${aws:username, 'nobody'}", "al*ce", True),
        ("${aws:tagkeys}", "a", False),
        ("${*}${?}${$}{x}", "*?${x}", True),
        ("${*}", "a", False),
        ("$x${", "$x${", True),
        ("${}", "${}", False),
    ],
)
def test_variables(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_a_hostile_pattern_takes_time_in_proportion() -> None:
    """With backtracking, this would not end."""
    assert not matches("*a" * 5_000 + "b", "a" * 10_000)
    assert not matches("*a?" * 2_000 + "b", "a" * 10_000)


TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/results"


@pytest.mark.parametrize(
    ("pattern", "arn", "expected"),
    [
        ("*", TABLE, True),
        (TABLE, TABLE, True),
        (TABLE.upper(), TABLE, False),
        (TABLE, f"{TABLE}/index/a", False),
        (f"{TABLE}*", f"{TABLE}/stream/2026-11-28T18:00:00.000", True),
        ("arn:aws:dynamodb:*:*:table/res?lts", TABLE, True),
        ("arn:aws:dynamodb:*", TABLE, True),
        ("arn:aws:dynamodb:us-*:table/results", TABLE, True),
        ("arn:aws:dyn*db:us-east-1:123456789012:table/results", TABLE, True),
        ("arn:aws:d*1:123456789012:table/results", TABLE, False),
        ("arn:aws:dynamodb:${aws:Region, 'us-east-1'}:*:table/*", TABLE, True),
        ("arn:aws:dynamodb", TABLE, False),
    ],
)
def test_arns_are_compared_part_by_part(pattern: str, arn: str, expected: bool) -> None:
    assert ArnPattern(pattern, variables=True).matches(arn, {}) is expected


def test_a_short_arn_of_an_identity_policy_stands_for_all_that_start_so() -> None:
    assert ArnPattern("arn:aws:dynamodb", variables=True, short_matches=True).matches(TABLE, {})


def test_a_hostile_pattern_and_a_long_text_take_no_time() -> None:
    """Place by place, this would be a quarter of a billion comparisons."""
    text = "a" * 60_000
    glob = Template(f"*{'a?' * 4000}b*", variables=False).constant
    assert glob is not None
    assert not glob.matches(text)
    assert glob.matches(f"{text}b")
