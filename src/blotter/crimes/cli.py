"""`blotter crimes`: train the model, serve the application, score a file, work off the queue.

Owns the commands' words and exit codes; the work is in the modules they name. Heavy imports (LightGBM, FastAPI)
wait for the command that needs them. Exit codes: 0 done, 1 the file was refused or work is left, 2 wrong use,
3 the configuration or the model is no good.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from blotter.crimes.failures import FileRefused

REFUSED, UNUSABLE = 1, 3


@click.group()
def crimes() -> None:
    """Predict the probability of arrest for files of Chicago's reported crimes."""


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What a user can mend leaves as one line on stderr, without traceback."""
    from blotter.config import ConfigurationError
    from blotter.crimes.model import ModelError

    try:
        yield
    except FileRefused as refusal:
        _stop(str(refusal), REFUSED)
    except (ConfigurationError, ModelError) as error:
        _stop(str(error), UNUSABLE)


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
    from blotter.crimes.train_command import train_model

    with _one_line_errors():
        train_model(_chunks(file), out, card, held_out_from.date() if held_out_from else None, click.echo)


@crimes.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the predictions; beside FILE by default.",
)
@click.option("--model", default="", help="Folder of the model; the shipped one by default.")
def score(file: Path, out: Path | None, model: str) -> None:
    """Score FILE here, without table and queue: predictions to a CSV, the summary to stdout as JSON."""
    from blotter.crimes.score_command import score_locally

    with _one_line_errors():
        summary, target = score_locally(file, _chunks(file), out, model)
        click.echo(summary)
        click.echo(f"predictions: {target}", err=True)
