"""`blotter tables policy`, `cost`, `export` and `copy`: what is done around the tables rather than to them.

Kept apart from `cli.py` so that setting up stays readable; `cli.py` adds them to the group.
"""

from __future__ import annotations

import json

import click

from blotter.tables.errors import Exit
from blotter.tables.options import Run, command, labels_argument


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
