"""`blotter serve` on the command line: options out of the declared settings, errors as one line.

Loads nothing of the server before the settings are known to be good, so that `--help` is quick.
"""

from __future__ import annotations

import os
import sys

import click

from blotter.database.commands.hidden_arguments import hide_password
from blotter.database.commands.options import CONTEXT_SETTINGS
from blotter.database.settings import AREAS, SETTINGS, Setting
from blotter.database.settings.loading import SettingsError, load


def _option(setting: Setting) -> click.Option:
    help_text = setting.declared.help.replace("`", "")
    described = f"{help_text}  [{setting.variable}; default: {setting.shown}]"
    if setting.declared.flag_only:
        return click.Option([setting.flag], is_flag=True, flag_value="yes", default=None, help=described)
    return click.Option([setting.flag], default=None, metavar="VALUE", help=described)


class _Serve(click.Command):
    """Its help lists the settings by area."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {setting.name: setting.area for setting in SETTINGS}
        groups: dict[str, list[tuple[str, str]]] = {heading: [] for heading in (*AREAS, "Other options")}
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                groups[headings.get(parameter.name or "", "Other options")].append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


_HELP = """Run the database: Amazon DynamoDB's API on this machine.

The AWS CLI, boto3 and every other AWS SDK use it unchanged; only the endpoint differs:

\b
    blotter serve &
    eval "$(blotter env)"        # or: export AWS_ENDPOINT_URL=http://127.0.0.1:8000
    aws dynamodb list-tables

On loopback any credentials are accepted. What a write's answer acknowledges is synced to disk. Ctrl-C or SIGTERM
finishes the requests in progress and stops. Each option can also be given by the environment variable in brackets.
"""


def _serve(ready_fd: int | None, **flags: str | None) -> None:
    hide_password(flags.get("store") or "")
    try:
        settings = load(flags, os.environ)
    except SettingsError as error:
        click.echo(f"blotter serve: {error}", err=True)
        sys.exit(2)
    from blotter.database.serving.server import serve as run

    sys.exit(run(settings, ready_fd))


serve = _Serve(
    "serve",
    callback=_serve,
    help=_HELP,
    short_help="Run the database: DynamoDB's API on this machine.",
    context_settings=CONTEXT_SETTINGS,
    params=[
        *(_option(setting) for setting in SETTINGS),
        click.Option(
            ["--ready-fd"],
            type=int,
            metavar="FD",
            help="For programs: write the server's URL and a line feed to this open file descriptor when ready.",
        ),
    ],
)
