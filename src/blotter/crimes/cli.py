"""`blotter crimes`: train the model, serve the application, score a file, work off the queue.

Owns the commands' options, messages and exit codes; the work is done by the modules they import. Heavy packages
(LightGBM, FastAPI) are imported by the command that needs them. Exit codes: 0 success, 1 the file was refused, 3
configuration, model, table or objects cannot be used.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from blotter.crimes.extra import explain, missing
from blotter.crimes.failures import FileRefused
from blotter.crimes.storage.private_files import set_umask

REFUSED, UNUSABLE = 1, 3


@click.group()
def crimes() -> None:
    """Predict the probability of arrest for files of Chicago's reported crimes."""
    set_umask()
    names = missing()
    if names and not {"-h", "--help"} & set(sys.argv):
        _stop(explain(names), UNUSABLE)


_config_option = click.option("--config", metavar="FILE", help="Path of blotter.toml.")
_env_option = click.option("--env", "environment", help="Environment of blotter.toml.  [default: dev]")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Errors that a user can fix end the command with one line on stderr, without a traceback."""
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.exceptions import BaseError

    from blotter.crimes.learning.model import ModelError
    from blotter.crimes.storage.objects import first_line
    from blotter.user_files import ConfigurationError

    try:
        yield
    except FileRefused as refusal:
        _stop(str(refusal), REFUSED)
    except (ConfigurationError, ModelError) as error:
        _stop(str(error), UNUSABLE)
    except (BotoCoreError, ClientError) as error:
        _stop(f"the table or the objects cannot be used: {' '.join(str(error).split())}", UNUSABLE)
    except BaseError as error:
        _stop(f"the objects cannot be used: {first_line(error)}", UNUSABLE)
    except OSError as error:
        _stop(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}", UNUSABLE)


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"blotter crimes: {message}", err=True)
    sys.exit(code)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            yield chunk


@crimes.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("blotter-data/model"),
    show_default=True,
    help="Folder for the model; name it as `model` under [crimes] to use it.",
)
@click.option("--card", type=click.Path(dir_okay=False, path_type=Path), help="Also write a model card here.")
@click.option(
    "--held-out-from",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the held-out period; by default the last two calendar months of the file.",
)
def train(file: Path, out: Path, card: Path | None, held_out_from: datetime | None) -> None:
    """Train the arrest model on FILE (CSV or CSV.gz with an Arrest column) and report how good it is.

    The last months are held out: the model never sees them, and the figures are about them. The same FILE gives
    the same model.
    """
    from blotter.crimes.commands.train import train_model

    with _one_line_errors():
        train_model(lambda: _chunks(file), out, card, held_out_from.date() if held_out_from else None, click.echo)


@crimes.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the predictions; next to FILE by default.",
)
@click.option("--model", default="", help="Folder of the model; the shipped one by default.")
def score(file: Path, out: Path | None, model: str) -> None:
    """Score FILE here, without table and queue: predictions to a CSV, the summary to stdout as JSON."""
    from blotter.crimes.commands.score import score_locally

    with _one_line_errors():
        summary, target = score_locally(file, lambda: _chunks(file), out, model)
        click.echo(summary)
        click.echo(f"predictions: {target}", err=True)


@crimes.command()
@_config_option
@_env_option
@click.option("--host", help="Address of the pages.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the pages.  [default: 8080]")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True, help="Processes that score.")
@click.option(
    "--insecure-open-access",
    is_flag=True,
    help="Listen beyond loopback although everyone who reaches the port may do everything.",
)
def serve(
    config: str | None,
    environment: str | None,
    host: str | None,
    port: int | None,
    workers: int,
    insecure_open_access: bool,
) -> None:
    """Serve the pages and the API, and run workers, until Ctrl-C or SIGTERM."""
    from blotter.crimes.commands.serve import serve_application

    _log_to_stderr()
    with _one_line_errors():
        serve_application(config, environment, host, port, workers, insecure_open_access)


@crimes.command()
@_config_option
@_env_option
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when the starting process is gone.")
def worker(config: str | None, environment: str | None, with_parent: bool) -> None:
    """Process queued events and sweep, until SIGTERM: one of the processes that `serve` starts."""
    from blotter.crimes.jobs.worker import run_worker
    from blotter.crimes.settings import Application

    _log_to_stderr()
    with _one_line_errors():
        run_worker(Application.start(config, environment), os.getppid() if with_parent else None)


@crimes.command()
@_config_option
@_env_option
@click.argument("file_key", required=False)
def process(config: str | None, environment: str | None, file_key: str | None) -> None:
    """Process one FILE_KEY, or without it whatever events are due, then stop."""
    from blotter.crimes.jobs.worker import Worker
    from blotter.crimes.settings import Application

    _log_to_stderr()
    with _one_line_errors():
        application = Application.start(config, environment)
        own = Worker(application)
        if file_key is not None:
            click.echo(f"{own.parts.processor.process(file_key).what} {file_key}")
        elif application.queue is None:
            raise click.UsageError("with S3 there is no local queue; name a FILE_KEY")
        else:
            while own.work_off(application.queue):
                pass


@crimes.command()
@_config_option
@_env_option
def sweep(config: str | None, environment: str | None) -> None:
    """Find files whose event was lost or whose worker ended, and process them, once."""
    from blotter.crimes import handler
    from blotter.crimes.settings import Application

    _log_to_stderr()
    with _one_line_errors():
        for key, done in handler.sweep(handler.Parts(Application.start(config, environment))).items():
            click.echo(f"{done.what} {key}")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("botocore.credentials").setLevel(
        logging.CRITICAL
    )  # it logs tracebacks; the command prints one line instead
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # the client gets an error for a malformed form
