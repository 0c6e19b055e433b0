from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.iam_in_process import IamInProcess


@pytest.fixture
def iam() -> Iterator[IamInProcess]:
    """IAM and STS over an empty store; the caller is the account's root."""
    made = IamInProcess()
    yield made
    made.close()
