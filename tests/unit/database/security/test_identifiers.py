"""Ids of AWS's forms."""

from __future__ import annotations

import re

import pytest

from blotter.database.security.identifiers import account_of, new_access_key_id, new_principal_id, new_secret


@pytest.mark.parametrize("account", ["000000000000", "000000000001", "123456789012", "999999999999"])
def test_an_access_key_tells_its_account(account: str) -> None:
    for prefix in ("AKIA", "ASIA"):
        access_key = new_access_key_id(prefix, account)  # type: ignore[arg-type]
        assert re.fullmatch(rf"{prefix}[A-Z2-7]{{16}}", access_key)
        assert account_of(access_key) == account


def test_the_account_is_where_aws_has_it() -> None:
    """The example of https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489."""
    assert account_of("ASIAQNZGKIQY56JQ7WML") == "029608264753"


@pytest.mark.parametrize(
    "text", ["", "AKIA", "local", "AKIA0189AAAAAAAAAAAA", "AIDACKCEVSQ6C2EXAMPLE", "akia" * 5]
)
def test_what_is_no_access_key_tells_nothing(text: str) -> None:
    assert account_of(text) is None


def test_forms() -> None:
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", new_principal_id("AROA"))
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", new_secret())
    assert len({new_secret() for _ in range(100)}) == 100
