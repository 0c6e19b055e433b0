from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scaling_in_process import ScalingInProcess


@pytest.fixture
def scaling(tmp_path: Path) -> Iterator[ScalingInProcess]:
    """Auto scaling beside a table `rides` of 5 read and 5 write units."""
    made = ScalingInProcess(tmp_path)
    made.make_table()
    yield made
    made.close()
