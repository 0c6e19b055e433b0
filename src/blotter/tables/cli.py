"""`blotter tables`: the commands, each a few lines over the files beside this one.

The seed's 05-create-dynamodb.sh is `apply`; the others look, wait or take away. boto3 and rich load when a command
needs them, so that `--help` answers at once. Options and exit codes are in `options.py`, the texts in
`output/report.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, NamedTuple

import click

from blotter.tables import commands_around
from blotter.tables.applying.apply import Applying, Work, together
from blotter.tables.applying.destroy import destroy as destroying
from blotter.tables.applying.destroy import wait_until_gone, wait_until_ready
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.errors import Exit, SetupError
from blotter.tables.options import Failures, Run, command, labels_argument, timeout_option
from blotter.tables.output import report, terminal
from blotter.tables.planning.changes import Plan
from blotter.tables.planning.observed import Observed
from blotter.tables.planning.observed import describe as described
from blotter.tables.planning.plan import make_plan, read_settings
from blotter.usage import CommandGroup
from blotter.user_files import ConfigurationError


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def tables() -> None:
    """Set up the tables that blotter.toml declares, on any DynamoDB endpoint.

    Safe to run again at any time. Exit codes and the configuration are in docs/tables.md.
    """


@tables.command()
@labels_argument
@timeout_option
@click.option("--delete-indexes", is_flag=True, help="Permit removing indexes: undeclared ones and changed ones.")
@command
def apply(run: Run, labels: tuple[str, ...], delete_indexes: bool) -> None:
    """Create what is missing, change what differs, wait, verify, report."""
    chosen = [(table, run.declared(table)) for table in run.tables(labels)]
    run.write(report.heading(run.configuration, run.endpoint))
    run.confirm_account(chosen[0][0])
    with run.reporter() as notify:
        works = {
            table.label: Applying(
                table.label,
                table.name,
                declared,
                run.step(notify),
                may_delete=delete_indexes,
                account=run.configuration.account,
            ).work()
            for table, declared in chosen
        }
        outcomes, errors = together(works, run.clock, run.deadline)
    for outcome in outcomes.values():
        run.write(report.outcome_text(outcome, run.configuration))
    finished = [report.outcome_facts(outcome, run.configuration) for outcome in outcomes.values()]
    _end(run, errors, report.place(run.configuration, run.endpoint) | {"tables": finished})


@tables.command()
@labels_argument
@timeout_option
@click.option("--check", is_flag=True, help="Exit 2 when anything differs: for pipelines.")
@click.option("--delete-indexes", is_flag=True, help="Plan as `apply --delete-indexes` would.")
@command
def plan(run: Run, labels: tuple[str, ...], check: bool, delete_indexes: bool) -> Exit:
    """Show what apply would do, and change nothing."""
    run.write(report.heading(run.configuration, run.endpoint))
    plans = [_plan(look, may_delete=delete_indexes) for look in _look(run, labels)]
    for one in plans:
        run.write(report.plan_text(one))
    run.answer(
        report.place(run.configuration, run.endpoint) | {"tables": [report.plan_facts(one) for one in plans]}
    )
    return Exit.DIFFERS if check and any(one.changes for one in plans) else Exit.DONE


@tables.command()
@labels_argument
@timeout_option
@command
def diff(run: Run, labels: tuple[str, ...]) -> Exit:
    """Show what differs from the declaration; exit 2 when something does."""
    plans = [_plan(look) for look in _look(run, labels)]
    for one in plans:
        run.write(report.diff_text(one))
    run.answer(
        report.place(run.configuration, run.endpoint) | {"tables": [report.plan_facts(one) for one in plans]}
    )
    return Exit.DIFFERS if any(one.changes for one in plans) else Exit.DONE


@tables.command()
@labels_argument
@timeout_option
@command
def status(run: Run, labels: tuple[str, ...]) -> Exit:
    """One line per table: state, size, as declared or not. Exit 2 when one is not ready or differs."""
    rows = [report.status_facts(_plan(look), look.observed) for look in _look(run, labels)]
    for row in rows:
        run.write(report.status_text(row))
    run.answer(report.place(run.configuration, run.endpoint) | {"tables": rows})
    return Exit.DONE if all(row["ready"] and not row["differs"] for row in rows) else Exit.DIFFERS


@tables.command()
@labels_argument
@timeout_option
@click.option("--gone", is_flag=True, help="Wait until the tables do not exist.")
@command
def wait(run: Run, labels: tuple[str, ...], gone: bool) -> None:
    """Wait until the tables and their indexes are ACTIVE."""
    chosen = run.tables(labels)
    with run.reporter() as notify:
        works: dict[str, Work[Observed | None]] = {
            table.label: (wait_until_gone if gone else wait_until_ready)(table.name, run.step(notify))
            for table in chosen
        }
        ready, errors = together(works, run.clock, run.deadline)
    for table in chosen:
        if table.label in ready:
            observed = ready[table.label]
            run.write(f"{table.name} {observed.status if observed else 'is gone'}")
    done = {label: report.facts(observed) if observed else None for label, observed in ready.items()}
    _end(run, errors, report.place(run.configuration, run.endpoint) | {"tables": done})


@tables.command()
@click.argument("table")
@timeout_option
@click.option("--as-toml", is_flag=True, help="As a declaration to put into blotter.toml.")
@command
def describe(run: Run, table: str, as_toml: bool) -> None:
    """Describe one table: a declared one by its label, any other by its name or ARN."""
    declared = run.configuration.tables.get(table)
    name = declared.name if declared else table
    observed = run.patiently(name, lambda: described(run.endpoint, name))
    if observed is None:
        raise SetupError(f"{name} does not exist at {run.endpoint.address}", Exit.REFUSED)
    if not as_toml:
        run.write(report.facts_text(observed))
        run.answer(report.facts(observed))
        return
    from blotter.tables.importing import declaration_of, label_of, read_all, to_toml

    found, unread = run.patiently(name, lambda: read_all(run.endpoint, observed))
    declaration, left_out = declaration_of(found, unread)
    label = table if declared else label_of(found.table["TableName"])
    if run.as_json:
        run.answer({"table": found.table["TableName"], "declaration": declaration, "not_read": left_out})
    else:
        terminal.write_generated(to_toml(label, found.table["TableName"], declaration, left_out))


@tables.command()
@labels_argument
@timeout_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def destroy(run: Run, labels: tuple[str, ...], yes: bool) -> None:
    """Delete tables with everything in them. Asks first; respects deletion protection."""
    chosen = run.tables(labels)
    if not labels and len(chosen) > 1:
        raise SetupError(f"say which: {', '.join(table.label for table in chosen)}", Exit.USAGE)
    for table in chosen:
        _confirm(run, table.name, yes)
    run.deadline.restart()  # a person took their time
    run.confirm_account(chosen[0])
    with run.reporter() as notify:
        works = {
            table.label: destroying(table.name, run.step(notify), run.configuration.account) for table in chosen
        }
        done, errors = together(works, run.clock, run.deadline)
    for table in chosen:
        if table.label in done:
            run.write(f"{table.name} {'destroyed' if done[table.label] else 'did not exist'}")
    gone = [table.name for table in chosen if done.get(table.label)]
    _end(run, errors, report.place(run.configuration, run.endpoint) | {"destroyed": gone})


@tables.command()
def schema() -> None:
    """Print the JSON Schema of blotter.toml, for editors."""
    from blotter.tables.declaring.schema import configuration_schema

    terminal.write_json(configuration_schema())


@tables.command()
@click.option("--app", default="my-app", show_default=True, help="The application; tables are named after it.")
@click.option("--table", default="results", show_default=True, help="The first table's label.")
def init(app: str, table: str) -> None:
    """Write a first blotter.toml here; never overwrites one."""
    from blotter.tables.declaring.first_file import write_first_file

    try:
        path = write_first_file(app, table)
    except ConfigurationError as error:
        terminal.fail(str(error))
        raise SystemExit(int(Exit.CONFIGURATION)) from None
    terminal.write(f"wrote {path}; look at it, then run `blotter tables plan`")


for around in (commands_around.policy, commands_around.cost, commands_around.export, commands_around.copy):
    tables.add_command(around)


class _Looked(NamedTuple):
    label: str
    name: str
    declared: TableDeclaration
    observed: Observed | None


def _look(run: Run, labels: tuple[str, ...]) -> list[_Looked]:
    """The named tables as declared and as they are. All declarations are checked before the first request."""
    chosen = [(table, run.declared(table)) for table in run.tables(labels)]
    looked = []
    for table, declared in chosen:
        observed = run.patiently(table.name, partial(_read, run, table.name, declared))
        looked.append(_Looked(table.label, table.name, declared, observed))
    return looked


def _read(run: Run, name: str, declared: TableDeclaration) -> Observed | None:
    observed = described(run.endpoint, name)
    if observed is None or observed.status not in ("ACTIVE", "UPDATING"):
        return observed  # settings of a table that is not there yet, or not any more, cannot be read
    return read_settings(run.endpoint, observed, declared)


def _plan(look: _Looked, *, may_delete: bool = False) -> Plan:
    return make_plan(look.label, look.name, look.declared, look.observed, may_delete=may_delete)


def _confirm(run: Run, name: str, yes: bool) -> None:
    if yes:
        return
    place = f"{name} (environment {run.configuration.environment}, {_where(run)})"
    if not sys.stdin.isatty():
        raise SetupError(f"{place} was not deleted: nobody to ask here; give --yes", Exit.PROTECTED)
    typed = terminal.question(f"Delete {place} with everything in it? Type its name")
    if typed != name:
        raise SetupError(f"{place} was not deleted: {typed!r} is not its name", Exit.PROTECTED)


def _where(run: Run) -> str:
    return f"region {run.configuration.region} of AWS" if run.endpoint.address == "AWS" else run.endpoint.address


def _end(run: Run, errors: dict[str, SetupError], answer: dict[str, Any]) -> None:
    run.answer(answer | {"errors": report.error_facts(errors)})
    if errors:
        raise Failures(errors)
