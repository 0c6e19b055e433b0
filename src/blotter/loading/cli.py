"""`blotter import`: the command over the files beside this one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from blotter.loading import from_s3
from blotter.loading.files import FORMS, LocalFile, local_file
from blotter.loading.survey import MOST_SHOWN, Survey, survey
from blotter.loading.types import TYPES, Converter, NotConvertible
from blotter.loading.writing import Notes, Work, Writer
from blotter.tables.applying.progress import News
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.commands_around import Finite
from blotter.tables.errors import Exit, SetupError
from blotter.tables.options import Run, endpoint_command, timeout_option
from blotter.tables.output import report
from blotter.tables.planning.observed import Observed, describe


class Typed(click.ParamType[tuple[str, str]]):
    """ATTRIBUTE=TYPE."""

    name = "attribute=type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        attribute, _, type_ = str(value).rpartition("=")
        if not attribute or type_.upper() not in TYPES:
            self.fail(f"{value!r}; write ATTRIBUTE=TYPE with one of {', '.join(TYPES)}", param, ctx)
        return attribute, type_.upper()


@click.command("import")
@click.argument("source")
@click.option("--table", metavar="TABLE", help="A declared table's label, or a name or ARN.")
@click.option("--format", "form", type=click.Choice([*FORMS, "ion"]), help="What SOURCE holds [by its name].")
@click.option("--delimiter", metavar="CHARACTER", help="What separates columns of CSV [,].")
@click.option("--header", metavar="NAMES", help="CSV without a header: the names of its columns, with commas.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and write nothing.")
@click.option(
    "--type", "types", type=Typed(), multiple=True, metavar="ATTRIBUTE=TYPE", help="S, N, B, BOOL, JSON."
)
@click.option("--skip-invalid", is_flag=True, help="Leave out rows that cannot be items, instead of stopping.")
@click.option("--rate", type=Finite(min=1), help="Items a second at most; throttling slows down by itself.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests at a time.")
@click.option("--notes", type=click.Path(path_type=Path), help="Where to note how far it came.")
@click.option("--compression", type=click.Choice(["none", "gzip", "zstd"]), default="none", help="From S3.")
@click.option("--partition-key", metavar="NAME:TYPE", help="From S3: the key of a table that is not declared.")
@click.option("--sort-key", metavar="NAME:TYPE", help="From S3: its sort key.")
@click.option("--bucket-owner", metavar="ACCOUNT", help="From S3: the account that must own the bucket.")
@click.option("--client-token", metavar="TOKEN", help="From S3: makes repeated requests one import.")
@click.option("--wait", is_flag=True, help="From S3: wait until the import has ended.")
@timeout_option
@endpoint_command
def import_(run: Run, source: str, **options: Any) -> Exit:
    """Import SOURCE into a table.

    \b
    FILE                  a local CSV, JSON Lines, DynamoDB JSON or Parquet file, put into a table that exists
    s3://BUCKET/PREFIX    the endpoint makes a new table of the objects by itself (ImportTable)
    ARN of an import      with --wait: waits for an import that was started before

    A file is read once before anything is written: its attributes, their types and the rows that cannot be items
    are shown. Interrupted, the import of a file goes on where it stopped.
    """
    if from_s3.is_import_arn(source):
        return _wait(run, source)
    if options["table"] is None:
        raise SetupError("--table is missing: into which table?", Exit.USAGE)
    if from_s3.is_url(source):
        return _import_from_s3(run, source, options)
    return _import_file(run, source, options)


# A local file


def _import_file(run: Run, source: str, options: dict[str, Any]) -> Exit:
    if options["form"] == "ion":
        raise SetupError("ION is read from S3 only; local files are CSV, JSON Lines or Parquet", Exit.USAGE)
    header = tuple(options["header"].split(",")) if options["header"] else None
    file = local_file(Path(source), options["form"], options["delimiter"], header)
    name = run.table_name(options["table"])
    endpoint = Endpoint(run.configuration, options["threads"])
    run.write(report.heading(run.configuration, endpoint))
    observed = run.patiently(name, lambda: describe(endpoint, name))
    keys = _keys(observed, name)
    converter = Converter(file.form, keys, dict(options["types"]))
    with run.reporter() as notify:
        found = survey(file, converter, lambda text: notify(News(name, text)))
        notify(News(name, "", over=True))
    run.write(_survey_lines(file, name, found))
    answer = {"file": str(file.path), "table": name, "rows": found.rows, "invalid": found.refused}
    answer |= {"attributes": found.facts(), "invalid_rows": [{"row": n, "reason": r} for n, r in found.wrong]}
    if found.refused and not options["skip_invalid"]:
        run.answer(answer | {"written": 0})
        raise SetupError(
            f"{found.refused:,} of {found.rows:,} rows of {file.path} cannot be items of {name}; nothing was"
            " written. --type gives an attribute another type, --skip-invalid leaves these rows out",
            Exit.REFUSED,
        )
    if options["dry_run"]:
        run.write(f"dry run: {found.rows - found.refused:,} items would be put into {name}")
        run.answer(answer | {"written": 0, "dry_run": True})
        return Exit.DONE
    notes, refused = _write(run, file, converter, endpoint, (name, observed), options)
    left_out = f", {notes.refused:,} rows left out" if notes.refused else ""
    run.write([f"{notes.written:,} items of {file.path} are in {name}{left_out}", *refused])
    run.answer(answer | {"written": notes.written, "left_out": notes.refused})
    return Exit.REFUSED if notes.refused else Exit.DONE


def _write(
    run: Run,
    file: LocalFile,
    converter: Converter,
    endpoint: Endpoint,
    table: tuple[str, Observed | None],
    options: dict[str, Any],
) -> tuple[Notes, list[str]]:
    name, observed = table
    default = Path(re.sub(r"[^A-Za-z0-9_.-]", "-", f".blotter-import-{name}-{file.path.name}.json"))
    path: Path = options["notes"] or default
    notes = _begin(path, file, converter, observed)
    refused: list[str] = []

    def note_refused(number: int, reason: str) -> None:
        if len(refused) < MOST_SHOWN:
            refused.append(f"  row {number}: {reason}")

    writer = Writer(
        endpoint,
        name,
        tuple(_keys(observed, name)),
        run.clock,
        threads=options["threads"],
        rate=options["rate"],
        skip_refused=options["skip_invalid"],
        refused=note_refused,
    )
    with run.reporter() as notify:
        if notes.rows:
            notify(News(name, f"going on after {notes.rows:,} rows"))

        def done(notes: Notes) -> None:
            notes.save(path)
            notify(News(name, f"{notes.written:,} items written"))

        writer.run(_works(file, converter, notes.rows), notes, done)
        notify(News(name, "", over=True))
    path.unlink(missing_ok=True)
    return notes, refused


def _works(file: LocalFile, converter: Converter, skipped: int) -> Iterator[Work]:
    """The rows of the file after the first ones, as what is to be written."""
    for place, row in enumerate(file.rows()):
        if place < skipped:
            continue
        try:
            item = converter.item(row)
        except NotConvertible:  # the survey has told of it
            yield Work(row.number, None)
        else:
            yield Work(row.number, item, len(repr(item)))


def _begin(path: Path, file: LocalFile, converter: Converter, observed: Observed | None) -> Notes:
    """The notes of an interrupted import of the same file into the same table, or fresh ones."""
    status = file.path.stat()
    types = repr([sorted(converter.found.items()), file.form, file.delimiter, file.header])
    digest = hashlib.blake2b(types.encode(), digest_size=8).hexdigest()
    about_file = f"{file.path.resolve()} {status.st_size} {status.st_mtime_ns} {digest}"
    about_table = "" if observed is None else f"{observed.arn} {observed.table.get('TableId', '')}".strip()
    if path.exists():
        try:
            notes = msgspec.json.decode(path.read_bytes(), type=Notes)
        except msgspec.MsgspecError:
            raise SetupError(f"{path} is not the notes of an import; move it away", Exit.CONFIGURATION) from None
        if (notes.file, notes.table) != (about_file, about_table):
            raise SetupError(
                f"{path} is of an import of another file, or of one that was changed since, or into another table;"
                " remove it to begin anew",
                Exit.CONFIGURATION,
            )
        return notes
    return Notes(about_file, about_table)


def _survey_lines(file: LocalFile, name: str, found: Survey) -> list[str]:
    lines = [f"{file.path} ({file.form}): {found.rows:,} rows for {name}"]
    facts = found.facts()
    width = max((len(fact["attribute"]) for fact in facts), default=0)
    for fact in facts:
        seen = f"{fact['rows']:,} rows" + (f", such as {fact['example']}" if fact["example"] else "")
        lines.append(f"  {fact['attribute']:<{width}}  {fact['type']:<5} {fact['from']}; {seen}")
    if found.refused:
        lines.append(f"{found.refused:,} rows cannot be items:")
        lines += [f"  row {number}: {reason}" for number, reason in found.wrong]
        if found.refused > len(found.wrong):
            lines.append(f"  and {found.refused - len(found.wrong):,} more")
    return lines


def _keys(observed: Observed | None, name: str) -> dict[str, str]:
    """The key attributes of the table, with their types. Raises SetupError unless it takes items."""
    if observed is None:
        raise SetupError(f"{name} does not exist; `blotter tables apply` makes tables", Exit.REFUSED)
    if observed.status not in ("ACTIVE", "UPDATING"):
        raise SetupError(f"{name} is {observed.status}; wait until it is ACTIVE", Exit.UNUSABLE)
    types = observed.attribute_types()
    names = [part["AttributeName"] for part in observed.table["KeySchema"]]
    return {each: types[each] for each in names}


# An import from S3


def _import_from_s3(run: Run, source: str, options: dict[str, Any]) -> Exit:
    form = options["form"]
    if form not in from_s3.INPUT_FORMATS:
        raise SetupError(f"--format must be {', '.join(from_s3.INPUT_FORMATS)} for objects in S3", Exit.USAGE)
    csv: dict[str, Any] = {}
    if options["delimiter"]:
        csv["Delimiter"] = options["delimiter"]
    if options["header"]:
        csv["HeaderList"] = options["header"].split(",")
    creation, later = _creation(run, options)
    request = from_s3.import_request(
        from_s3.bucket_source(source, options["bucket_owner"]),
        form,
        options["compression"].upper(),
        csv,
        creation,
        options["client_token"],
    )
    run.write(report.heading(run.configuration, run.endpoint))
    if options["dry_run"]:
        run.write(["dry run: ImportTable would be called with", *_request_lines(request)])
        run.answer({"dry_run": True, "request": request})
        return Exit.DONE
    name = creation["TableName"]
    described = run.patiently(name, lambda: run.endpoint.call("ImportTable", **request))["ImportTableDescription"]
    arn = described["ImportArn"]
    run.write(f"import {arn} into {name} started")
    if later:
        run.write(f"  afterwards, `blotter tables apply` sets {', '.join(later)} and what else is declared")
    if options["wait"]:
        return _wait(run, arn)
    run.answer(_import_facts(described))
    return Exit.DONE


def _creation(run: Run, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    label = options["table"]
    declared = run.configuration.tables.get(label)
    if options["partition_key"] is not None:
        name = declared.name if declared else label
        return from_s3.simple_creation(name, options["partition_key"], options["sort_key"]), []
    if declared is None:
        raise SetupError(
            f"{label} is no table of a blotter.toml: declare it there, or give --partition-key",
            Exit.CONFIGURATION,
        )
    return from_s3.declared_creation(declared, run.declared(declared))


def _request_lines(request: dict[str, Any]) -> list[str]:
    from blotter.tables.output.quoting import json_text

    return json_text(request, indent=2).split("\n")


def _wait(run: Run, arn: str) -> Exit:
    name = arn.split("/")[-3]
    with run.reporter() as notify:
        described = from_s3.wait_for_import(
            run.endpoint, arn, run.clock, run.deadline, lambda text: notify(News(name, text))
        )
        notify(News(name, "", over=True))
    facts = _import_facts(described)
    run.answer(facts)
    counts = f"{facts['imported']:,} of {facts['processed']:,} items imported"
    if facts["status"] == "COMPLETED":
        run.write(f"{name}: {counts}")
        return Exit.DONE
    code, message = described.get("FailureCode", facts["status"]), described.get("FailureMessage", "")
    raise SetupError(f"{name}: the import ended {facts['status']}: {code}: {message} {counts}", Exit.REFUSED)


def _import_facts(described: dict[str, Any]) -> dict[str, Any]:
    return {
        "import": described["ImportArn"],
        "table": described["TableArn"],
        "status": described["ImportStatus"],
        "processed": described.get("ProcessedItemCount", 0),
        "imported": described.get("ImportedItemCount", 0),
        "errors": described.get("ErrorCount", 0),
        "failure": described.get("FailureCode"),
    }
