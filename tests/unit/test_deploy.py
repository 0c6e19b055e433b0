"""deploy/postgresql: what the files name exists, and no password is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from blotter.database.settings import SETTINGS
from blotter.database.settings.loading import load

_FOLDER = Path(__file__).parents[2] / "deploy" / "postgresql"
_COMPOSE: dict[str, Any] = yaml.safe_load((_FOLDER / "compose.yaml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_FRONT_ENDS = [name for name in _SERVICES if name.startswith("blotter")]


def test_two_front_ends_a_primary_a_standby_and_a_balancer() -> None:
    assert set(_SERVICES) == {"db1", "db2", "init", "blotter1", "blotter2", "balancer"}


@pytest.mark.parametrize("name", _FRONT_ENDS)
def test_the_settings_of_a_front_end_can_be_used(name: str) -> None:
    environment = _SERVICES[name]["environment"]
    known = {setting.variable for setting in SETTINGS}
    assert set(environment) <= known
    settings = load({}, {**environment, "BLOTTER_HOST": "0.0.0.0"})
    assert settings.enforced
    assert settings.store is not None
    assert {host.name for host in settings.store.hosts} == {"db1", "db2"}
    assert settings.store.password == ""


def test_every_mounted_file_and_volume_exists() -> None:
    for service in _SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (_FOLDER / source).is_file() if source.startswith("./") else source in _COMPOSE["volumes"]
    assert (_FOLDER.parents[1] / _SERVICES["blotter1"]["build"]["dockerfile"]).is_file()


def test_the_balancer_asks_every_front_end_whether_it_is_ready() -> None:
    configuration = (_FOLDER / "haproxy.cfg").read_text()
    assert "httpchk GET /ready" in configuration
    for name in _FRONT_ENDS:
        assert f"server {name} {name}:8000" in configuration
