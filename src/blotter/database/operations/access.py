"""What an operation needs of the store."""

from __future__ import annotations

from enum import Enum


class Access(Enum):
    READ = "one quick read, inline"
    SLICES = "a generator over a snapshot, resumed slice by slice"
    WRITE = "a write transaction"
    PLANNED = "one of these, which the plan's `access` names: a PartiQL statement reads or writes"
