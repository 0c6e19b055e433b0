"""The `blotter` command: names its subcommands and loads the one that is asked for.

Each part brings its own command (`database/commands/serve.py`, `tables/cli.py`, `crimes/cli.py`); they load lazily
so that `blotter serve` starts without boto3 and `blotter tables` without the database.
"""

from __future__ import annotations

import importlib

import click

from blotter import __version__
from blotter.usage import CommandGroup

# command → where it lives. The order is the order of `--help`: set up, run, serve, use.
_COMMANDS = {
    "tables": "blotter.tables.cli:tables",
    "backup": "blotter.backups.cli:backup",
    "restore": "blotter.backups.cli:restore",
    "export": "blotter.backups.cli:export",
    "up": "blotter.up:up",
    "serve": "blotter.database.commands.serve:serve",
    "import": "blotter.loading.cli:import_",
    "env": "blotter.env:env",
    "healthcheck": "blotter.database.commands.healthcheck:healthcheck",
    "access": "blotter.database.commands.access:access",
    "audit": "blotter.database.audit.cli:audit",
    "check": "blotter.database.inspection.cli:check_command",
    "inspect": "blotter.database.inspection.cli:inspect_command",
    "snapshot": "blotter.database.inspection.cli:snapshot_command",
    "keys": "blotter.database.rekeying.cli:keys",
    "archive": "blotter.database.archive.cli:archive",
    "recover": "blotter.database.archive.cli:recover_command",
    "store": "blotter.database.commands.store:store",
    "crimes": "blotter.crimes.cli:crimes",
}


class _LazyGroup(CommandGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="blotter")
def main() -> None:
    """Set up DynamoDB tables safely, run the database, use the application.

    \b
    blotter tables apply    set up the tables that blotter.toml declares (safe to run again)
    blotter up              database, tables and application on this machine, in that order
    blotter serve           the database alone
    eval "$(blotter env)"   points this shell's AWS clients at it
    """
