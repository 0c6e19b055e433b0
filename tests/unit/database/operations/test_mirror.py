"""The same random requests to databases over different stores: every answer and everything stored is the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.in_process import STORES, Open
from tests.mirror import Mirror
from tests.mirrored_requests import Requests
from tests.postgres_storage import open_on_postgres

PAIRS: dict[str, dict[str, Open]] = {
    "postgres": {"sqlite": STORES["sqlite"], "postgres": open_on_postgres},
    "memory": {"sqlite": STORES["sqlite"], "memory": STORES["memory"]},
}


def mirrored(folder: Path, openers: dict[str, Open], chance: random.Random, steps: int) -> None:
    mirror = Mirror(folder, openers)
    try:
        requests = Requests(mirror, chance)
        for _ in range(steps):
            requests.step()
        mirror.check_stored()
    finally:
        mirror.close()


@pytest.mark.parametrize("pair", PAIRS)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_short_histories(tmp_path_factory: pytest.TempPathFactory, pair: str, chance: random.Random) -> None:
    mirrored(tmp_path_factory.mktemp("mirror"), PAIRS[pair], chance, 40)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("seed", range(20))
def test_long_histories(tmp_path: Path, pair: str, seed: int) -> None:
    mirrored(tmp_path, PAIRS[pair], random.Random(seed), 1500)
