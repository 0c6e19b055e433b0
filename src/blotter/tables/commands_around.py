"""`blotter tables policy`, `cost`, `export` and `copy`: what is done around the tables rather than to them.

Kept apart from `cli.py` so that setting up stays readable; `cli.py` adds them to the group.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from blotter.config import Configuration, Flags, load_configuration
from blotter.tables.applying.progress import News
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.errors import Exit, SetupError
from blotter.tables.options import Run, command, labels_argument
from blotter.tables.output import report, terminal


class Finite(click.FloatRange):
    """A number between bounds that is neither infinite nor `nan`, which no comparison stops."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number) or number > 1e12:
            self.fail(f"{value!r} is not a usable number", param, ctx)
        return number


@click.command()
@labels_argument
@click.option("--role", type=click.Choice(["lambda", "worker", "api", "operator", "auditor"]), required=True)
@click.option(
    "--leading-key", metavar="PATTERN", help="Only items whose partition key matches, such as 'uploads/*'."
)
@command
def policy(run: Run, labels: tuple[str, ...], role: str, leading_key: str | None) -> Exit:
    """Print the least-privilege IAM policy of a role for the declared tables."""
    from blotter.tables.policy import make_policy

    tables = [(table, run.declared(table)) for table in run.tables(labels)]
    terminal.write_json(make_policy(role, tables, run.configuration, leading_key))
    return Exit.DONE


@click.command()
@labels_argument
@click.option("--format", "form", type=click.Choice(["cli", "cloudformation", "terraform"]), required=True)
@command
def export(run: Run, labels: tuple[str, ...], form: str) -> Exit:
    """Print the declared tables as AWS CLI commands, a CloudFormation template or Terraform."""
    from blotter.tables.exporting.export import FORMS

    tables = [(table, run.declared(table)) for table in run.tables(labels)]
    terminal.write_generated(FORMS[form](tables, run.configuration))
    return Exit.DONE


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option("--to-env", metavar="NAME", help="The destination's environment, when it is another.")
@click.option("--to-endpoint-url", metavar="URL", help="The destination's endpoint, when it is another.")
@click.option("--to-profile", metavar="NAME", help="The destination's AWS profile, when it is another.")
@click.option("--segments", type=click.IntRange(1, 64), default=8, show_default=True, help="Threads that scan.")
@click.option("--rate", type=Finite(min=1), help="Items a second at most; throttling slows down by itself.")
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
    from_endpoint, to_endpoint = Endpoint(run.configuration, segments), Endpoint(there, segments)
    run.write(report.heading(run.configuration, from_endpoint))
    if there is not run.configuration:
        run.write(f"to {report.heading(there, to_endpoint)}")
    with run.reporter() as notify:
        work = Copy(
            Side(from_endpoint, names[0]),
            Side(to_endpoint, names[1]),
            notes or default,
            run.clock,
            segments=segments,
            rate=rate,
            notify=lambda text: notify(News(names[1], text)),
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
    run.write(f"{names[1]} has {copied.items:,} items of {names[0]}{verified}")
    run.answer(facts | {"verified": not no_verify})
    return Exit.DONE


_SIZES = {"": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


class Size(click.ParamType[int]):
    """Bytes, or a number with KB, MB or GB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?(KB|MB|GB|)", str(value), re.IGNORECASE | re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not a size; write 400, 2KB or 1.5GB", param, ctx)
        return int(float(match[1]) * _SIZES[match[2].upper()])


@click.command()
@labels_argument
@click.option("--reads", type=Finite(min=0), metavar="N", help="Items read a second, on average.")
@click.option("--writes", type=Finite(min=0), metavar="N", help="Items written a second, on average.")
@click.option("--peak", type=Finite(min=1), default=3.0, show_default=True, help="Peak over average.")
@click.option("--item-size", type=Size(), default="1KB", show_default=True, metavar="SIZE", help="Of one item.")
@click.option("--storage", type=Size(), default="1GB", show_default=True, metavar="SIZE", help="Of the table.")
@click.option("--consistent", is_flag=True, help="Reads are strongly consistent (twice the units).")
@click.option(
    "--measure", type=click.IntRange(1, 60), metavar="DAYS", help="Take the traffic from CloudWatch instead."
)
@click.option(
    "--prices", "price_file", type=click.Path(path_type=Path), metavar="FILE", help="A price file of your own."
)
@click.option("--prices-of", metavar="REGION", help="Another region's prices than --region's.")
@click.option("--pitr", is_flag=True, help="With continuous backups, as if declared.")
@click.option(
    "--replicas", type=click.IntRange(0, 40), metavar="N", help="Further regions; as declared if not given."
)
@click.option("--kinesis", is_flag=True, help="Every change goes to a Kinesis data stream.")
@click.option(
    "--stream-reads", type=Finite(min=0), default=0.0, metavar="N", help="GetRecords calls a second, but Lambda's."
)
@click.option("--backups", type=Size(), default="0", metavar="SIZE", help="On-demand backups that are kept.")
@click.option("--exports", type=Size(), default="0", metavar="SIZE", help="Exported in a month.")
@click.option("--restores", type=Size(), default="0", metavar="SIZE", help="Restored in a month.")
@click.option("--imports", type=Size(), default="0", metavar="SIZE", help="Imported in a month.")
@command
def cost(
    run: Run,
    labels: tuple[str, ...],
    reads: float | None,
    writes: float | None,
    peak: float,
    item_size: int,
    storage: int,
    consistent: bool,
    measure: int | None,
    price_file: Path | None,
    prices_of: str | None,
    pitr: bool,
    replicas: int | None,
    kinesis: bool,
    stream_reads: float,
    backups: int,
    exports: int,
    restores: int,
    imports: int,
) -> Exit:
    """Price a month of the declared tables on demand against provisioned."""
    from blotter.tables import cost as pricing
    from blotter.tables.extras import Extras, charges
    from blotter.tables.prices import load_prices

    if measure is None and (reads is None or writes is None):
        raise SetupError("say the traffic with --reads and --writes, or --measure it", Exit.USAGE)
    answers = []
    for table in run.tables(labels):
        declared = run.declared(table)
        table_class = declared.table_class or "STANDARD"
        prices = load_prices(prices_of or run.configuration.region, table_class, price_file)
        if measure is None:
            traffic = pricing.stated(reads or 0, writes or 0, peak, item_size, storage, consistent=consistent)
        else:
            traffic = run.patiently(
                table.name, partial(pricing.measured, run.endpoint, table.name, measure, _now())
            )
        others = len(declared.replicas or ()) if replicas is None else replicas
        estimate = pricing.estimate(traffic, prices.prices, item_size, others)
        recovery = pitr or bool(declared.point_in_time_recovery)
        extras = Extras(recovery, stream_reads, kinesis, backups, exports, restores, imports)
        around = charges(extras, traffic.writes, traffic.all_bytes, prices.prices)
        run.write(pricing.estimate_text(table.name, traffic, estimate, around, prices))
        answers.append(pricing.estimate_facts(table.name, traffic, estimate, around, prices))
    run.answer({"tables": answers})
    return Exit.DONE


def _now() -> datetime:
    return datetime.now(UTC)


def _name(configuration: Configuration, table: str) -> str:
    declared = configuration.tables.get(table)
    return declared.name if declared else table
