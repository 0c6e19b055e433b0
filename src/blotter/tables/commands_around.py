"""`blotter tables policy`, `cost`, `export` and `copy`: what is done around the tables rather than to them.

Kept apart from `cli.py` so that setting up stays readable; `cli.py` adds them to the group.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from blotter.config import Configuration, Flags, load_configuration
from blotter.tables import report
from blotter.tables.endpoint import Endpoint
from blotter.tables.errors import Exit, SetupError
from blotter.tables.options import Run, command, labels_argument
from blotter.tables.progress import News


@click.command()
@labels_argument
@click.option("--role", type=click.Choice(["lambda", "api", "operator", "auditor"]), required=True)
@click.option(
    "--leading-key", metavar="PATTERN", help="Only items whose partition key matches, such as 'uploads/*'."
)
@command
def policy(run: Run, labels: tuple[str, ...], role: str, leading_key: str | None) -> Exit:
    """Print the least-privilege IAM policy of a role for the declared tables."""
    from blotter.tables.policy import make_policy

    tables = [(table, run.declared(table)) for table in run.tables(labels)]
    click.echo(json.dumps(make_policy(role, tables, run.configuration, leading_key), indent=2))
    return Exit.DONE


@click.command()
@labels_argument
@click.option("--format", "form", type=click.Choice(["cli", "cloudformation", "terraform"]), required=True)
@command
def export(run: Run, labels: tuple[str, ...], form: str) -> Exit:
    """Print the declared tables as AWS CLI commands, a CloudFormation template or Terraform."""
    from blotter.tables.export import FORMS

    click.echo(FORMS[form]([(table, run.declared(table)) for table in run.tables(labels)]))
    return Exit.DONE


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option("--to-env", metavar="NAME", help="The destination's environment, when it is another.")
@click.option("--to-endpoint-url", metavar="URL", help="The destination's endpoint, when it is another.")
@click.option("--to-profile", metavar="NAME", help="The destination's AWS profile, when it is another.")
@click.option("--segments", type=click.IntRange(1, 64), default=8, show_default=True, help="Threads that scan.")
@click.option(
    "--rate", type=click.FloatRange(min=1), help="Items a second at most; throttling slows down by itself."
)
@click.option("--notes", type=click.Path(path_type=Path), help="Where to note how far it came.")
@click.option("--no-verify", is_flag=True, help="Do not read both tables again to compare them.")
@command
def copy(
    run: Run,
    source: str,
    destination: str,
    to_env: str | None,
    to_endpoint_url: str | None,
    to_profile: str | None,
    segments: int,
    rate: float | None,
    notes: Path | None,
    no_verify: bool,
) -> Exit:
    """Copy all items of table SOURCE into the empty table DESTINATION: labels, names or ARNs.

    For a key schema that must change, or from one endpoint to another. Interrupted, it goes on where it stopped.
    """
    from blotter.tables.copying import Copy, Side

    there = run.configuration
    if to_env or to_endpoint_url or to_profile:
        flags = Flags(endpoint=to_endpoint_url, profile=to_profile)
        there = load_configuration(there.document.path, to_env or there.environment, flags, there.environ)
    names = _name(run.configuration, source), _name(there, destination)
    default = Path(re.sub(r"[^A-Za-z0-9_.-]", "-", f".blotter-copy-{names[0]}-{names[1]}.json"))
    run.say(report.heading(run.configuration))
    if there is not run.configuration:
        run.say(f"to {report.heading(there)}")
    with run.teller() as tell:
        work = Copy(
            Side(Endpoint(run.configuration, segments), names[0]),
            Side(Endpoint(there, segments), names[1]),
            notes or default,
            run.clock,
            segments=segments,
            rate=rate,
            tell=lambda text: tell(News(names[1], text)),
        )
        copied = work.run()
        compared = None if no_verify else work.verify()
    facts = {"source": names[0], "destination": names[1], "items": copied.items, "checksum": copied.checksum}
    if compared is not None and compared[0] != compared[1]:
        ours, theirs = compared
        raise SetupError(
            f"{names[0]} has {ours.items:,} items (checksum {ours.checksum}), {names[1]} has {theirs.items:,}"
            f" (checksum {theirs.checksum}): was the source written to meanwhile, or do items share a key?",
            Exit.REFUSED,
        )
    work.finish()
    verified = "" if no_verify else f", verified: same count and checksum {copied.checksum}"
    run.say(f"{names[1]} has {copied.items:,} items of {names[0]}{verified}")
    run.answer(facts | {"verified": not no_verify})
    return Exit.DONE


def _name(configuration: Configuration, table: str) -> str:
    declared = configuration.tables.get(table)
    return declared.name if declared else table
