"""The options every `blotter tables` command takes, and what becomes of its errors.

`command` gives a function that takes a `Run` the common options, loads the configuration, and turns every failure
a user can meet into one line on stderr and an exit code (with --json, also an object on stdout). Writing is
`output/terminal.py`'s.
"""

from __future__ import annotations

import functools
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from blotter.config import Configuration, ConfiguredTable, Flags, load_configuration
from blotter.tables.applying.apply import Step
from blotter.tables.applying.progress import PlainReporter, Reporter, on_terminal, silent
from blotter.tables.calls.answers import table_name
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.calls.wait import Clock, Deadline
from blotter.tables.declaring.declaration import TableDeclaration, parse_table
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.tables.output import terminal
from blotter.tables.planning.observed import describe
from blotter.tables.policy import table_arn
from blotter.user_files import ConfigurationError

DEFAULT_TIMEOUT_S = 600.0
LONGEST_TIMEOUT_S = 366 * 86400.0

Looked = TypeVar("Looked")


class Terminated(BaseException):
    """SIGTERM arrived."""


class Failures(Exception):
    """Several tables failed; each has been reported."""

    def __init__(self, errors: dict[str, SetupError]) -> None:
        super().__init__()
        self.errors = errors


class Run:
    """One command's run: the settled configuration, the endpoint, and the form of its output."""

    def __init__(self, configuration: Configuration, *, as_json: bool, timeout: float) -> None:
        self.configuration = configuration
        self.as_json = as_json
        self.clock = Clock()
        self.deadline = Deadline(self.clock, timeout)
        self.endpoint = Endpoint(configuration, deadline=self.deadline)

    def tables(self, labels: tuple[str, ...]) -> list[ConfiguredTable]:
        """The named tables, or all declared ones."""
        if labels:
            return [self.configuration.table(label) for label in dict.fromkeys(labels)]
        if not self.configuration.tables:
            raise ConfigurationError(
                f"{self.configuration.document.path}: declares no table; add [tables.<label>]"
            )
        return list(self.configuration.tables.values())

    def table_name(self, label_or_name: str) -> str:
        """The name or ARN of a table that is meant by its label or by itself."""
        declared = self.configuration.tables.get(label_or_name)
        return label_or_name if declared is None else declared.arn or declared.name

    def declared(self, table: ConfiguredTable) -> TableDeclaration:
        return parse_table(table, self.configuration.document)

    def step(self, notify: Reporter) -> Step:
        return Step(self.endpoint, notify, self.clock, self.deadline)

    def patiently(self, name: str, look: Callable[[], Looked]) -> Looked:
        """What `look` finds, tried again through throttling and short failures. Raises SetupError."""
        step = self.step(silent)
        while True:
            try:
                return look()
            except SetupError as error:
                wait = step.retry_in(name, error)
            step.check_deadline(name, "not described")
            self.clock.sleep(wait)

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        """The progress that fits where stdout goes."""
        if self.as_json:
            yield silent
        elif sys.stdout.isatty():
            with on_terminal() as notify:
                yield lambda news: notify(terminal.cleaned(news))
        else:
            yield PlainReporter(self.write)

    def write(self, lines: str | Iterable[str]) -> None:
        """A line or lines for people; machines get `answer`."""
        if not self.as_json:
            terminal.write(lines)

    def answer(self, value: Any) -> None:
        """The one JSON document of --json."""
        if self.as_json:
            terminal.write_json(value)

    def confirm_account(self, table: ConfiguredTable) -> None:
        """Before anything is made: the endpoint must act for the configured account. `table`: any one of its."""
        wanted = self.configuration.account
        if wanted is None:
            return
        if not self.endpoint.offers("sts"):
            self.patiently(table.name, partial(self._confirm_elsewhere, table))
            return
        account = self.endpoint.call("GetCallerIdentity", service="sts")["Account"]
        if account != wanted:
            raise SetupError(
                f"the credentials are for account {account}, but {self.configuration.sources['account']} says"
                f" {wanted}; check AWS_PROFILE",
                Exit.CONFIGURATION,
            )

    def confirm_account_of(self, name_or_arn: str) -> None:
        """`confirm_account` for a table that need not be declared."""
        name = table_name(name_or_arn).partition("/")[0]
        self.confirm_account(ConfiguredTable(label=name, name=name, source="", declaration={}))

    def _confirm_elsewhere(self, table: ConfiguredTable) -> None:
        """Without STS: an endpoint that denies access to the ARN but not to the name acts for another account.

        An endpoint without support for ARNs shows nothing here; what it describes later is still checked.
        """
        arn = table_arn(table, self.configuration)
        try:
            describe(self.endpoint, arn)
        except SetupError as error:
            if error.retry is not Retry.NEVER:
                raise
            if error.exit_code is Exit.DENIED:
                describe(self.endpoint, table.name)  # if denied too, it is a matter of permissions
                raise SetupError(
                    f"{self.configuration.sources['account']} says account {self.configuration.account}, but"
                    f" {self.endpoint.address} does not act for it ({error}); nothing was changed",
                    Exit.CONFIGURATION,
                ) from None


class Duration(click.ParamType[float]):
    """Seconds, or a number with s, m or h."""

    name = "duration"
    _UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smh]?)", str(value), re.ASCII)
        if match is None or float(match[1]) <= 0 or float(match[1]) * self._UNITS[match[2]] > LONGEST_TIMEOUT_S:
            self.fail(f"{value!r} is not a duration; write 90, 90s, 10m or 2h", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


class Named(click.ParamType[tuple[str, str]]):
    """LABEL=NAME."""

    name = "label=name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        label, _, name = str(value).partition("=")
        if not label or not name:
            self.fail(f"{value!r}; write LABEL=NAME, such as results=my-table", param, ctx)
        return label, name


_OPTIONS = (
    click.option("--config", "path", metavar="FILE", help="The configuration [BLOTTER_CONFIG; blotter.toml]."),
    click.option("--env", "environment", metavar="NAME", help="The environment [BLOTTER_ENV]."),
    click.option("--region", metavar="REGION", help="The region [AWS_REGION]."),
    click.option("--endpoint-url", "endpoint", metavar="URL", help='URL or "aws" [AWS_ENDPOINT_URL_DYNAMODB].'),
    click.option("--profile", metavar="NAME", help="The AWS profile [AWS_PROFILE]."),
    click.option("--account", metavar="DIGITS", help="The account tables must be in [BLOTTER_ACCOUNT]."),
    click.option(
        "--name",
        "names",
        type=Named(),
        multiple=True,
        help="A table's name or ARN [<LABEL>_TABLE].",
        metavar="LABEL=NAME",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else."),
)
timeout_option = click.option(
    "--timeout", type=Duration(), default=DEFAULT_TIMEOUT_S, metavar="TIME", help="Give up after this [10m]."
)
labels_argument = click.argument("labels", nargs=-1, metavar="[TABLE]...")


def command(function: Callable[..., Exit | None]) -> Callable[..., None]:
    """Give `function(run, **own)` the common options and the common end. It may return an exit code."""
    return _command(function, needs_file=True)


def endpoint_command(function: Callable[..., Exit | None]) -> Callable[..., None]:
    """`command` for what is about tables of an endpoint, declared or not: there need not be a blotter.toml."""
    return _command(function, needs_file=False)


def _command(function: Callable[..., Exit | None], *, needs_file: bool) -> Callable[..., None]:
    @functools.wraps(function)
    def wrapped(
        path: str | None,
        environment: str | None,
        names: tuple[tuple[str, str], ...],
        as_json: bool,
        timeout: float = DEFAULT_TIMEOUT_S,
        **own: Any,
    ) -> None:
        common = {key: own.pop(key) for key in ("region", "endpoint", "profile", "account")}
        with _ends(as_json):
            flags = Flags(**common, names=dict(names))
            configuration = load_configuration(path, environment, flags, needs_file=needs_file)
            code = function(Run(configuration, as_json=as_json, timeout=timeout), **own)
        sys.exit(int(code or Exit.DONE))

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


@contextmanager
def _ends(as_json: bool) -> Iterator[None]:
    """Every way a command can end badly, as one line and an exit code."""
    restore = _on_sigterm()
    try:
        yield
    except ConfigurationError as error:
        _fail(str(error), Exit.CONFIGURATION, as_json)
    except SetupError as error:
        _fail(str(error), error.exit_code, as_json)
    except Failures as failures:
        # Errors that several tables share are printed once; the first one gives the exit code.
        errors = list(failures.errors.values())
        for message in dict.fromkeys(map(str, errors)):
            terminal.fail(message)
        sys.exit(int(errors[0].exit_code))
    except KeyboardInterrupt:
        _fail("interrupted; run again to continue where it stopped", Exit.INTERRUPTED, as_json)
    except Terminated:
        _fail("terminated; run again to continue where it stopped", Exit.TERMINATED, as_json)
    finally:
        restore()


def _fail(message: str, code: Exit, as_json: bool) -> NoReturn:
    terminal.fail(message)
    if as_json:
        terminal.write_json({"error": message, "exit_code": int(code)})
    sys.exit(int(code))


def _on_sigterm() -> Callable[[], None]:
    """Pipelines stop a job with SIGTERM: it ends like Ctrl-C. Returns what puts the old handler back."""

    def terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.signal(signal.SIGTERM, terminate)

    def restore() -> None:
        signal.signal(signal.SIGTERM, before)

    return restore
