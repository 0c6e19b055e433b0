"""`blotter backup`, `blotter restore` and `blotter export`: on any endpoint, through boto3 alone.

Options that name the endpoint, output and exit codes are those of `blotter tables`. A table is named by its label
in blotter.toml, by its name or by its ARN; there need not be a blotter.toml. With `--wait` a command ends when the
work has, otherwise when the endpoint has accepted it.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from blotter.backups import backing_up, exporting, restoring
from blotter.backups.facts import (
    backup_facts,
    backup_line,
    backup_text,
    export_facts,
    export_text,
    table_facts,
    table_text,
)
from blotter.backups.times import Moment
from blotter.backups.waiting import refused
from blotter.tables.calls.answers import table_name
from blotter.tables.errors import Exit, SetupError
from blotter.tables.options import Duration, Run, endpoint_command
from blotter.tables.output import report, terminal
from blotter.usage import CommandGroup

_timeout = click.option(
    "--timeout", type=Duration(), default=6 * 3600.0, metavar="TIME", help="Give up waiting after this [6h]."
)
_wait = click.option("--wait", is_flag=True, help="Return when the work has ended, not when it was accepted.")


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def backup() -> None:
    """Back up tables of any DynamoDB endpoint: create, list, describe and delete backups."""


@backup.command()
@click.argument("table")
@click.option("--backup-name", metavar="NAME", help="The backup's name [the table's and the time].")
@_wait
@_timeout
@endpoint_command
def create(run: Run, table: str, backup_name: str | None, wait: bool) -> None:
    """Back up TABLE as it is now, with its indexes and settings."""
    name = run.table_name(table)
    _heading(run, name)
    with run.reporter() as notify:
        step = run.step(notify)
        details = backing_up.create(step, name, backup_name)
        if wait:
            facts = backing_up.wait_until_available(step, details["BackupArn"])
        else:
            facts = {**backup_facts(details), "table": table_name(name)}
    run.write(backup_text(facts))
    run.answer(_place(run) | {"backup": facts})
    if facts["status"] == "DELETED":
        raise refused(f"the backup {facts['name']} of {facts['table']} was deleted")


@backup.command(name="list")
@click.argument("table", required=False)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["USER", "SYSTEM", "AWS_BACKUP", "ALL"]),
    default="ALL",
    show_default=True,
    help="Who made them: SYSTEM ones are kept of deleted tables.",
)
@click.option("--since", type=Moment(), metavar="TIME", help="Made at this time or later.")
@click.option("--until", type=Moment(), metavar="TIME", help="Made before this time.")
@_timeout
@endpoint_command
def list_command(run: Run, table: str | None, kind: str, since: datetime | None, until: datetime | None) -> None:
    """List the backups of TABLE, or of every table of the account in the region."""
    name = None if table is None else run.table_name(table)
    found = run.patiently(name or "backups", lambda: backing_up.find_all(run.endpoint, name, kind, since, until))
    run.write([backup_line(facts) for facts in found])
    run.answer(_place(run) | {"backups": found})


@backup.command()
@click.argument("arn")
@_timeout
@endpoint_command
def describe(run: Run, arn: str) -> None:
    """Describe the backup ARN."""
    facts = run.patiently(arn, lambda: backing_up.describe(run.endpoint, arn))
    run.write(backup_text(facts))
    run.answer(_place(run) | {"backup": facts})


@backup.command()
@click.argument("arn")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_timeout
@endpoint_command
def delete(run: Run, arn: str, yes: bool) -> None:
    """Delete the backup ARN. Asks first."""
    facts = run.patiently(arn, lambda: backing_up.describe(run.endpoint, arn))
    _confirm(run, facts, yes)
    run.deadline.restart()  # a person took their time
    run.confirm_account_of(str(facts["table"]))
    with run.reporter() as notify:
        deleted = backing_up.delete(run.step(notify), facts)
    run.write(f"{deleted['name']} of {deleted['table']} deleted")
    run.answer(_place(run) | {"deleted": deleted})


@click.command()
@click.argument("target")
@click.option("--from-backup", "backup_arn", metavar="ARN", help="The backup to restore.")
@click.option("--from-table", "source", metavar="TABLE", help="The table whose past to restore.")
@click.option("--at", "moment", type=Moment(), metavar="TIME", help="The time, with --from-table [the latest].")
@click.option("--without-indexes", is_flag=True, help="Restore the items only.")
@click.option(
    "--billing-mode", type=click.Choice(["PROVISIONED", "PAY_PER_REQUEST"]), help="Another billing mode."
)
@_wait
@_timeout
@endpoint_command
def restore(
    run: Run,
    target: str,
    backup_arn: str | None,
    source: str | None,
    moment: datetime | None,
    without_indexes: bool,
    billing_mode: str | None,
    wait: bool,
) -> None:
    """Restore into the new table TARGET: from a backup, or from the past of a table."""
    if (backup_arn is None) == (source is None):
        raise SetupError("say what to restore: --from-backup ARN or --from-table TABLE", Exit.USAGE)
    if moment is not None and source is None:
        raise SetupError("--at is about the past of a table: it needs --from-table", Exit.USAGE)
    name = run.table_name(target)
    _heading(run, name)
    wanted = restoring.Restore(
        target=name,
        backup_arn=backup_arn,
        source=None if source is None else run.table_name(source),
        moment=moment,
        without_indexes=without_indexes,
        billing_mode=billing_mode,
    )
    with run.reporter() as notify:
        step = run.step(notify)
        started = restoring.start(step, wanted)
        table = restoring.wait_until_ready(step, name) if wait else started
    facts = table_facts(started | table)
    run.write(table_text(facts))
    run.answer(_place(run) | {"table": facts})


@click.command()
@click.argument("table")
@click.option("--bucket", metavar="NAME", help="The S3 bucket to export to.")
@click.option("--prefix", metavar="PREFIX", help="Put before the names of all files.")
@click.option("--bucket-owner", metavar="DIGITS", help="The account that the bucket must belong to.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["DYNAMODB_JSON", "ION"]),
    default="DYNAMODB_JSON",
    show_default=True,
)
@click.option("--at", "moment", type=Moment(), metavar="TIME", help="The table as it was then [now].")
@click.option("--since", type=Moment(), metavar="TIME", help="Only what has changed from this time on.")
@click.option("--until", type=Moment(), metavar="TIME", help="With --since: up to this time [now].")
@click.option("--new-images-only", is_flag=True, help="With --since: leave out what the items were before.")
@click.option("--sse", type=click.Choice(["AES256", "KMS"]), help="How the files are encrypted in the bucket.")
@click.option("--kms-key", metavar="KEY", help="With --sse KMS: the key.")
@click.option(
    "--filter", "chosen", metavar="JSON", help="Which items and attributes: a FilterSpecification of the API."
)
@_wait
@_timeout
@endpoint_command
def export(
    run: Run,
    table: str,
    bucket: str | None,
    prefix: str | None,
    bucket_owner: str | None,
    form: str,
    moment: datetime | None,
    since: datetime | None,
    until: datetime | None,
    new_images_only: bool,
    sse: str | None,
    kms_key: str | None,
    chosen: str | None,
    wait: bool,
) -> None:
    """Export TABLE into an S3 bucket; it needs point-in-time recovery.

    TABLE may also be the ARN of an export: then it is described, with --wait once it has ended.
    """
    _heading(run, table)
    with run.reporter() as notify:
        step = run.step(notify)
        if exporting.is_export(table):
            given = (bucket, prefix, bucket_owner, moment, since, until, sse, kms_key, chosen)
            if new_images_only or any(value is not None for value in given):
                raise SetupError("an export that was started cannot be changed; give its ARN alone", Exit.USAGE)
            found = exporting.describe(step, table)
        else:
            wanted = exporting.Export(
                table=run.table_name(table),
                bucket=bucket or "",
                prefix=prefix,
                bucket_owner=bucket_owner,
                format=form,
                moment=moment,
                since=since,
                until=until,
                new_images_only=new_images_only,
                sse=sse,
                kms_key=kms_key,
                filter=None if chosen is None else exporting.filter_of(chosen),
            )
            found = exporting.start(step, wanted)
        if wait:
            found = exporting.wait_until_ended(step, found)
    facts = export_facts(found)
    run.write(export_text(facts))
    if facts["status"] == "FAILED":
        raise refused(f"the export {facts['arn']} failed: {facts['failure_code']}: {facts['failure_message']}")
    run.answer(_place(run) | {"export": facts})


def _heading(run: Run, name: str) -> None:
    """Where the command works; the account is checked if one is configured."""
    run.write(report.heading(run.configuration, run.endpoint))
    run.confirm_account_of(name)


def _place(run: Run) -> dict[str, Any]:
    return report.place(run.configuration, run.endpoint)


def _confirm(run: Run, facts: dict[str, Any], yes: bool) -> None:
    if yes:
        return
    place = f"the backup {facts['name']} of {facts['table']} at {run.endpoint.address}"
    if not sys.stdin.isatty():
        raise SetupError(f"{place} was not deleted: nobody to ask here; give --yes", Exit.PROTECTED)
    typed = terminal.question(f"Delete {place}? Type its name")
    if typed != facts["name"]:
        raise SetupError(f"{place} was not deleted: {typed!r} is not its name", Exit.PROTECTED)
