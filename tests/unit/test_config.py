"""The central configuration: one precedence for every value, and errors that name file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from blotter.config import Configuration, Flags, load_configuration
from blotter.user_files import ConfigurationError

REPOSITORY = Path(__file__).parents[2]

FILE = """\
app = "shop"
environment = "dev"

[environments.dev]
region = "eu-central-1"
endpoint = "http://127.0.0.1:8000"
profile = "from-file"

[environments.prod]
region = "us-west-2"
account = "111122223333"

[environments.prod.tables.results]
deletion_protection = true

[tables.results]
partition_key = { name = "file_key", type = "S" }

[tables.order-lines]
purpose = "lines"

[crimes]
port = 8080
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blotter.toml"
    path.write_text(FILE)
    return path


def load(path: Path, environment: str | None = None, flags: Flags | None = None, **environ: str) -> Configuration:
    return load_configuration(path, environment, flags, environ)


def refusal(path: Path, environment: str | None = None, flags: Flags | None = None, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        load(path, environment, flags, **environ)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_values_of_the_file(file: Path) -> None:
    configuration = load(file)
    assert configuration.environment == "dev"
    assert configuration.region == "eu-central-1"
    assert configuration.endpoint == "http://127.0.0.1:8000"
    assert configuration.profile == "from-file"
    assert configuration.account is None
    assert configuration.table("results").name == "shop-results-dev"
    assert configuration.table("order-lines").name == "shop-lines-dev"


@pytest.mark.parametrize(
    ("field", "variables", "flag"),
    [
        ("region", ("AWS_REGION", "AWS_DEFAULT_REGION"), "eu-north-1"),
        ("endpoint", ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"), "http://flag:1"),
        ("profile", ("AWS_PROFILE",), "flag-profile"),
        ("account", ("BLOTTER_ACCOUNT",), "444455556666"),
    ],
)
def test_flag_beats_environment_beats_file(file: Path, field: str, variables: tuple[str, ...], flag: str) -> None:
    values = {
        "region": "ap-south-",
        "endpoint": "http://variable:",
        "profile": "variable-",
        "account": "00000000000",
    }
    environ = {name: f"{values[field]}{n}" for n, name in enumerate(variables, start=1)}
    assert getattr(load(file, None, Flags(**{field: flag}), **environ), field) == flag
    for name in variables:
        configuration = load(file, **environ)
        assert getattr(configuration, field) == environ.pop(name)
        assert configuration.sources[field] == name


def test_an_empty_variable_counts_as_not_set(file: Path) -> None:
    assert load(file, AWS_REGION="", RESULTS_TABLE="").region == "eu-central-1"


def test_environment_is_chosen_by_flag_then_variable_then_file(file: Path) -> None:
    assert load(file, "prod", BLOTTER_ENV="dev").environment == "prod"
    assert load(file, BLOTTER_ENV="prod").table("results").name == "shop-results-prod"
    assert load(file).environment == "dev"


def test_without_endpoint_it_is_aws_and_aws_can_be_said(file: Path) -> None:
    assert load(file, "prod").endpoint is None
    assert load(file, "dev", Flags(endpoint="aws")).endpoint is None
    ignoring = {"AWS_ENDPOINT_URL": "http://other", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert load(file, **ignoring).endpoint == "http://127.0.0.1:8000"


def test_table_name_flag_beats_variable_beats_file(file: Path) -> None:
    names = Flags(names={"results": "by-flag"})
    assert load(file, None, names, RESULTS_TABLE="by-variable").table("results").name == "by-flag"
    assert load(file, RESULTS_TABLE="by-variable").table("results").name == "by-variable"
    assert load(file, ORDER_LINES_TABLE="the-lines").table("order-lines").name == "the-lines"


def test_an_environment_lays_its_differences_over_a_table(file: Path) -> None:
    plain, protected = load(file).table("results"), load(file, "prod").table("results")
    assert plain.declaration == {"partition_key": {"name": "file_key", "type": "S"}}
    assert protected.declaration == plain.declaration | {"deletion_protection": True}


ARN = "arn:aws:dynamodb:us-west-2:111122223333:table/legacy"


def test_a_name_may_be_an_arn(file: Path) -> None:
    table = load(file, "prod", RESULTS_TABLE=ARN).table("results")
    assert (table.name, table.arn) == ("legacy", ARN)


def test_an_arn_gives_region_and_account_where_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(f'app = "x"\n[environments.dev]\n[tables.t]\nname = "{ARN}"\n')
    configuration = load(path)
    assert (configuration.region, configuration.account) == ("us-west-2", "111122223333")


def test_an_arn_that_contradicts_names_both_sides(file: Path) -> None:
    assert refusal(file, "prod", RESULTS_TABLE=ARN, AWS_REGION="us-east-1") == (
        "RESULTS_TABLE names region us-west-2, but AWS_REGION says us-east-1; change one of them"
    )
    other = ARN.replace("1111", "9999")
    assert refusal(file, "prod", RESULTS_TABLE=other) == (
        f"RESULTS_TABLE names account 999922223333, but {file} line 11 (environments.prod.account) says"
        " 111122223333; change one of them"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('region = "eu-central-1"', "region = 5"),
            "{file} line 5 (environments.dev.region): expected str, got",
        ),
        (
            ('region = "us-west-2"', "regoin = 1"),
            "{file} line 10 (environments.prod.regoin): unknown key 'regoin'",
        ),
        (('app = "shop"', 'apps = "shop"'), "{file} line 1 (apps): unknown key 'apps'"),
        (('app = "shop"', "app = shop"), "{file}: not valid TOML: Invalid value (at line 1, column 7)"),
        (
            ('"http://127.0.0.1:8000"', '"127.0.0.1:8000"'),
            "line 6 (environments.dev.endpoint): '127.0.0.1:8000' is not",
        ),
        (('"eu-central-1"', '"Frankfurt"'), "line 5 (environments.dev.region): 'Frankfurt' is not a region"),
        (('purpose = "lines"', 'name = "a b"'), "line 20 (tables.order-lines.name): 'a b' is not a table name"),
        (('purpose = "lines"', "purpose = 3"), "line 20 (tables.order-lines.purpose): expected a string"),
        (
            ('purpose = "lines"', 'name = "shop-results-dev"'),
            "'order-lines' is named 'shop-results-dev', and so is",
        ),
        (
            ('environment = "dev"', 'environment = "stage"'),
            "no environment 'stage' ({file} line 2 (environment) asks",
        ),
        (('region = "eu-central-1"', ""), "no region for environment 'dev'; set region under [environments.dev]"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(file: Path, change: tuple[str, str], message: str) -> None:
    file.write_text(FILE.replace(*change))
    assert message.format(file=file) in refusal(file)


def test_a_mistake_for_production_is_found_in_dev(file: Path) -> None:
    file.write_text(FILE.replace('account = "111122223333"', "account = 111122223333"))
    assert "line 11 (environments.prod.account): expected str, got int" in refusal(file)


def test_an_account_has_twelve_digits(file: Path) -> None:
    assert refusal(file, BLOTTER_ACCOUNT="12") == "BLOTTER_ACCOUNT: '12' is not an account; give its 12 digits"


def test_unknown_environment_and_table(file: Path) -> None:
    assert "no environment 'stage' (BLOTTER_ENV asks for it; declared: dev, prod)" in refusal(
        file, BLOTTER_ENV="stage"
    )
    assert refusal(file, None, Flags(names={"nope": "x"})).startswith("--name nope:")
    with pytest.raises(
        ConfigurationError, match=r"no table 'nope' is declared \(declared: results, order-lines\)"
    ):
        load(file).table("nope")


def test_the_file_is_found_here_above_or_by_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = file.parent / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load_configuration(environ={}).app == "shop"
    monkeypatch.chdir("/")
    assert load_configuration(environ={"BLOTTER_CONFIG": str(file)}).app == "shop"


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no blotter.toml in .* or any folder above"):
        load_configuration(environ={})
    with pytest.raises(
        ConfigurationError, match=r"gone.toml: no such configuration file \(BLOTTER_CONFIG names it\)"
    ):
        load_configuration(environ={"BLOTTER_CONFIG": "gone.toml"})


def test_a_directory_is_called_one(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: is a directory (--config names it); name the blotter.toml inside it"


@pytest.mark.parametrize("text", ["", 'app = ""\n', '[environments.dev]\nregion = "us-east-1"\n'])
def test_a_file_without_an_app_says_which_line_to_add(file: Path, text: str) -> None:
    file.write_text(text)
    assert refusal(file) == f'{file}: names no app; add the line app = "<name>" at its top'


def test_a_file_that_is_not_utf8(file: Path) -> None:
    file.write_bytes(b'app = "\xff"')
    assert refusal(file) == f"{file}: not UTF-8 (byte 7); save it as UTF-8"


class Settings(msgspec.Struct):
    port: int = 1
    workers: int = 2


def test_a_section_is_typed_and_follows_the_same_precedence(file: Path) -> None:
    assert load(file).section("crimes", Settings) == Settings(port=8080, workers=2)
    assert load(file, BLOTTER_CRIMES_PORT="99").section("crimes", Settings).port == 99
    with pytest.raises(ConfigurationError, match=r"^BLOTTER_CRIMES_PORT: expected int, got str$"):
        load(file, BLOTTER_CRIMES_PORT="many").section("crimes", Settings)
    file.write_text(FILE.replace("port = 8080", "prot = 8080"))
    with pytest.raises(ConfigurationError, match=r"line 23 \(crimes.prot\): unknown setting 'prot'; known: port"):
        load(file).section("crimes", Settings)


def test_the_shipped_file_declares_the_seeds_table_only_and_no_profile() -> None:
    """The seed: file_key S HASH, PAY_PER_REQUEST; nothing that AWS would charge for or restrict beyond it."""
    for environment in ("dev", "test", "prod"):
        configuration = load(REPOSITORY / "blotter.toml", environment)
        assert configuration.profile is None
        assert [table.name for table in configuration.tables.values()] == [f"chicago-crimes-results-{environment}"]
        assert configuration.table("results").declaration == {
            "partition_key": {"name": "file_key", "type": "S"},
            "billing_mode": "PAY_PER_REQUEST",
        }
        assert configuration.endpoint == (None if environment == "prod" else "http://127.0.0.1:8000")


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + FILE.encode())
    assert load(file).app == "shop"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = " + b"[" * 100_000, "not valid TOML"),
        (b"a = " + b"[" * 40 + b"]" * 40, "not valid here: more than 32 tables or arrays"),
        (b"[" + b".".join([b"a"] * 2000) + b"]\n", "not valid here: more than 32"),
        (b"a = " + b"9" * 10_000, "not valid TOML"),
        (b"x = '" + b"y" * 5_000_000 + b"'", "larger than 4 MB"),
        (FILE.encode("utf-16"), "not UTF-8 (byte 0)"),
        (FILE.encode() + b"\x00", "not valid TOML"),
        (b'app = "x"\n"\xe2\x80\xae\\u001b[31m\\n" = 1\n', "unknown key"),
    ],
)
def test_a_hostile_file_is_one_printable_line(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    message = refusal(file)
    assert says in message
    assert message.isprintable()


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\x1b[2Kfile.toml", "/dev/null/x", "/dev/zero"])
def test_a_hostile_file_name_is_one_printable_line(name: str) -> None:
    assert refusal(Path(name)).isprintable()


def test_a_long_line_is_scanned_quickly(file: Path) -> None:
    """Linear in its length: with backtracking this would take hours."""
    file.write_text("# " + " [" * 200_000 + '\nx.y = "' + "a.b " * 200_000 + '"\n' + FILE)
    assert "unknown key" in refusal(file)


def test_lines_are_counted_as_toml_does(file: Path) -> None:
    file.write_text('# \u2028 \x85 one line to TOML\n"quoted \\"key\\"" = 1\n' + FILE, encoding="utf-8")
    assert f"{file} line 2 " in refusal(file)


@pytest.mark.parametrize("url", ["http://me:geheim@db:8000/", "https://me:ge@heim@db/x"])
def test_an_endpoint_keeps_no_password(file: Path, url: str) -> None:
    endpoint = load(file, AWS_ENDPOINT_URL=url).endpoint
    assert endpoint in ("http://db:8000", "https://db/x")


@pytest.mark.parametrize(
    "url", ["http://me:geheim@", "http://me:geheim@h:x", "http://h/?token=geheim", "me:geheim@h"]
)
def test_a_wrong_endpoint_shows_no_password(file: Path, url: str) -> None:
    assert "geheim" not in refusal(file, AWS_ENDPOINT_URL=url)
