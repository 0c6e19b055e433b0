"""`blotter store`: commands on whole stores."""

from __future__ import annotations

from blotter.database.command_line import CONTEXT_SETTINGS
from blotter.database.store_copy.cli import copy_command
from blotter.usage import CommandGroup

store = CommandGroup(
    "store",
    context_settings=CONTEXT_SETTINGS,
    short_help="Copy a whole store into another one.",
    help="Copy a whole store into another one.",
)
store.add_command(copy_command)
