"""`blotter keys` on the command line.

Exit status: 0 done, 1 not done (the message says why, and what to do), 130 interrupted: repeat the command.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from blotter.database.commands.options import CONTEXT_SETTINGS, data_dir_option, master_key_option
from blotter.database.commands.reporting import Pace, fail, tell
from blotter.database.encryption.master_keys import MasterKey
from blotter.usage import CommandGroup

if TYPE_CHECKING:
    from blotter.database.encryption.key_file import Goal

T = TypeVar("T")


class _Progress:
    """Tells how much is written, once it takes longer than people like to wait for."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._pace = Pace()

    def __call__(self, done: int, total: int) -> None:
        from blotter.database.inspection.text import size

        if self._pace.is_due():
            rest = "looking for damage" if done >= total else f"{size(done)} of {size(total)} written"
            tell(f"keys {self._command}", rest)


def _changer(goal: Goal, done: str) -> Callable[..., None]:
    def run(data_dir: str, master_key: MasterKey) -> None:
        from blotter.database.rekeying.change import change

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            changed = _trying(goal, lambda: change(Path(data_dir), master_key, goal, _Progress(goal)))
        except KeyboardInterrupt:
            fail(f"keys {goal}", "interrupted; repeat the command to go on", 130)
        click.echo(f"{data_dir}: {done if changed else f'nothing to do: {done}'}")

    return run


def _rotate(data_dir: str, master_key: MasterKey, new_master_key: MasterKey | None) -> None:
    from blotter.database.rekeying.change import rotate

    new = new_master_key or master_key
    _trying("rotate", lambda: rotate(Path(data_dir), master_key, new))
    click.echo(f"{data_dir}: the data key is wrapped by {new.text} from now on")


def _status(data_dir: str) -> None:
    from blotter.database.rekeying.change import status

    state = _trying("status", lambda: status(Path(data_dir)))
    if state.file is None:
        click.echo(f"{data_dir}: not encrypted")
        return
    for key in state.file.keys:
        use = "in use" if key.id == state.file.current else "kept to read copies elsewhere"
        if state.file.changing and key.id == state.file.target:
            use = "being put into use"
        click.echo(f"{data_dir}: data key {key.id} of {key.created}, {use}")
        click.echo(f"  wrapped {key.wrapped_at} by {key.master_key_kind} {key.master_key_id}")
    if state.unfinished is not None:
        click.echo(f"  a change was interrupted; finish it with `blotter keys {state.unfinished}`")


def _trying(command: str, work: Callable[[], T]) -> T:
    from blotter.database.storage.protocol import DataDirectoryError

    try:
        return work()
    except DataDirectoryError as error:
        fail(f"keys {command}", str(error), 1)


def _required_master_key() -> click.Option:
    option = master_key_option(what="the data")
    option.required = True
    return option


def _command(name: str, callback: Any, short_help: str, text: str, *options: click.Option) -> click.Command:
    return click.Command(
        name,
        callback=callback,
        params=[data_dir_option(needs_data=True), *options],
        context_settings=CONTEXT_SETTINGS,
        short_help=short_help,
        help=text,
    )


_RESUMED = """
No server may run on the directory. The new file is written beside the old one and checked before it takes its
place, so as much room is needed as the data take. An interrupted command, also a killed one, is repeated to go on;
until then the data can be used as they are."""

keys = CommandGroup(
    "keys",
    context_settings=CONTEXT_SETTINGS,
    short_help="Encrypt a data directory, change its keys.",
    help="""Encrypt a data directory, decrypt it, change its keys.

The data are encrypted under a data key, which stands in keys.json of the directory, wrapped by the master key.
Keep a copy of the master key elsewhere: without it nothing can be read.""",
    commands=[
        _command(
            "status",
            _status,
            "Show the keys of a directory, without the master key.",
            "Show which data key a directory is under, what wraps it, and whether a change was interrupted.",
        ),
        _command(
            "encrypt",
            _changer("encrypt", "everything is encrypted"),
            "Encrypt a directory that is not.",
            "Encrypt a directory that was made without a master key.\n"
            + _RESUMED
            + " Disks may keep what was stored before.",
            _required_master_key(),
        ),
        _command(
            "decrypt",
            _changer("decrypt", "nothing is encrypted"),
            "Decrypt a directory.",
            "Decrypt a directory, so that it is used without a master key.\n" + _RESUMED,
            _required_master_key(),
        ),
        _command(
            "rekey",
            _changer("rekey", "everything is encrypted under a new data key"),
            "Write everything under a new data key.",
            "Write everything under a new data key, wrapped by the same master key; the old one is gone then.\n"
            + _RESUMED,
            _required_master_key(),
        ),
        _command(
            "rotate",
            _rotate,
            "Wrap the data key with another master key.",
            """Wrap the data key with another master key, or anew with the same one.

Takes no time, and a server may run meanwhile. Give the new master key at its next start.""",
            _required_master_key(),
            master_key_option("--new-master-key", None, "the data from now on; the same one if missing"),
        ),
    ],
)
