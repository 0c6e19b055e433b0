"""Settings: precedence, refusal of wrong values in one line, and that the documentation is what is declared."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from blotter.database.commands.serve import serve
from blotter.database.http.limits import Limits
from blotter.database.settings import SETTINGS, Setting, Settings, document
from blotter.database.settings.loading import SettingsError, cores, load

_DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_defaults() -> None:
    assert load({}, {}) == Settings(workers=cores())
    assert load({"port": None}, {}).port == 8000


def test_a_flag_beats_the_environment_and_that_beats_the_default() -> None:
    environment = {"BLOTTER_PORT": "9000", "BLOTTER_TABLE_DELAY": "2"}
    assert load({}, environment).port == 9000
    assert load({"port": "9001"}, environment).port == 9001
    assert load({"port": "9001"}, environment).table_delay == 2


def test_in_memory_is_one_worker_and_no_directory() -> None:
    settings = load({"in_memory": "yes"}, {"BLOTTER_DATA_DIR": "data"})
    assert (settings.in_memory, settings.workers) == (True, 1)
    assert load({"workers": "1"}, {"BLOTTER_IN_MEMORY": "1"}).in_memory
    assert not load({"in_memory": "no", "data_dir": "data"}, {}).in_memory
    assert not load({"in_memory": "yes"}, {"BLOTTER_STORE": "postgresql://db/x"}).data_are_elsewhere
    with pytest.raises(SettingsError, match="--in-memory runs one worker, not 2: workers do not share memory"):
        load({"in_memory": "yes", "workers": "2"}, {})
    with pytest.raises(SettingsError, match="--data-dir and --in-memory contradict each other"):
        load({"in_memory": "yes", "data_dir": "data"}, {})
    with pytest.raises(SettingsError, match="--store and --in-memory contradict each other"):
        load({"in_memory": "yes", "store": "postgresql://db/x"}, {})


def test_a_store_in_postgresql_is_never_shown_with_its_password() -> None:
    settings = load({}, {"BLOTTER_STORE": "postgresql://u:geheim@db/x"})
    assert settings.data_are_elsewhere
    assert "geheim" not in repr(settings)
    assert settings.store is not None
    assert settings.store.password == "geheim"
    for wrong in ("postgresql://u:geheim@db:x/x", "mysql://u:geheim@db/x"):
        with pytest.raises(SettingsError) as raised:
            load({"store": wrong}, {})
        assert str(raised.value).startswith("--store must be postgresql://USER@HOST:PORT/DATABASE")
        assert "geheim" not in str(raised.value)


def test_limits_are_settings_too() -> None:
    settings = load({"idle_timeout": "5"}, {"BLOTTER_MAX_CONNECTIONS": "7"})
    assert (settings.limits.idle_timeout, settings.limits.connections) == (5, 7)


def test_names_in_a_list() -> None:
    assert load({}, {"BLOTTER_ALLOWED_HOSTS": "blotter, db.internal,,"}).allowed_hosts == (
        "blotter",
        "db.internal",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", "80x", "--port must be a whole number from 0 to 65535, not '80x'"),
        ("port", "65536", "--port must be a whole number from 0 to 65535, not '65536'"),
        ("port", "-1", "--port must be a whole number from 0 to 65535, not '-1'"),
        ("port", "", "--port must be a whole number from 0 to 65535, not ''"),
        ("workers", "0", "--workers must be a whole number from 1 to 256, not '0'"),
        ("account", "123", "--account must be 12 digits, not '123'"),
        ("table_delay", "soon", "--table-delay must be a number of seconds from 0 to 3600, not 'soon'"),
        ("table_delay", "nan", "--table-delay must be a number of seconds from 0 to 3600, not 'nan'"),
        ("host", "", "--host must be a host name or address, not ''"),
        ("insecure_open_access", "maybe", "--insecure-open-access must be yes or no, not 'maybe'"),
    ],
)
def test_wrong_values_are_named_with_their_source(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({name: value}, {})
    assert str(refused.value) == message
    variable = f"BLOTTER_{name.upper()}"
    with pytest.raises(SettingsError) as refused:
        load({}, {variable: value})
    assert str(refused.value) == message.replace(f"--{name.replace('_', '-')}", variable, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "db.internal"])
def test_a_host_others_can_reach_needs_a_word_about_it(host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"host": host}, {})
    assert "--insecure-open-access" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert load({"host": host, "insecure_open_access": "yes"}, {}).exposed
    assert load({}, {"BLOTTER_HOST": host, "BLOTTER_INSECURE_OPEN_ACCESS": "1"}).exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_does_not(host: str) -> None:
    assert not load({"host": host}, {}).exposed


def test_the_documentation_is_what_is_declared() -> None:
    """docs/settings.md holds the table that `document()` makes: paste it there after a change."""
    assert f"\n\n{document()}\n" in _DOCUMENT.read_text("utf-8")


def test_the_help_lists_every_setting_under_its_area() -> None:
    lines = CliRunner().invoke(serve, ["--help"]).output.splitlines()
    area = ""
    found = {}
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            area = line[:-1]
        elif line.startswith("  --"):
            found[line.split()[0]] = area
    assert {setting.flag: setting.area for setting in SETTINGS}.items() <= found.items()
    assert found["--ready-fd"] == "Other options"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_defaults_are_what_they_are_said_to_be(setting: Setting) -> None:
    texts = {"one per core": str(cores()), "none": "", "a folder in the data directory": ""}
    shown = setting.shown
    assert load({setting.name: texts.get(shown, shown)}, {}) == load({}, {})


def test_every_limit_of_the_server_comes_from_a_setting() -> None:
    settings = load(
        {
            "request_memory": "100",
            "max_connections": "11",
            "header_timeout": "1",
            "body_timeout": "2",
            "write_timeout": "3",
            "idle_timeout": "4",
            "drain_timeout": "5",
        },
        {},
    )
    assert settings.limits == Limits(
        buffered=100 * 1024 * 1024,
        connections=11,
        header_timeout=1,
        body_timeout=2,
        write_timeout=3,
        idle_timeout=4,
        drain_timeout=5,
    )
