"""What lies where in an archive (`--archive`), and its small objects.

    epochs/<epoch>                       Epoch, readable without a key
    <epoch>/keys.json or secret-key      the key files of the data directory, as they are there
    <epoch>/log/<bucket>/<after>-<last>-<latest>
                                         segments of the change log (`copies.segments`), one after another
    <epoch>/bases/<position>/start       Start: the catalog and the database's records at a position of the log
    <epoch>/bases/<position>/<table id>/…
                                         a copy of the table (`copies.format`)
    <epoch>/bases/<position>/complete    Complete, written last: without it there is no base
    <epoch>/loaded/<table id>/…          a copy of a table that a restore or an import has filled, which the log
                                         does not show, and its Complete

An *epoch* is an unbroken log: every segment begins where the one before ends. Positions are sequences of the
change log, as 16 hexadecimal digits; `latest` is the latest time of the segment's entries in microseconds, so that
a time is found without reading segments. Names sort in the order of the log. Nothing is ever changed but the key
files.

The copies of a base are not of one moment: each was read slice by slice while writers went on. Replaying the log
from the base's position makes them exact for every position from `Complete.end` on, because an entry holds the
whole item: whatever a slice already had, the last entry of a key decides (`rebuilding`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final, TypeVar

import msgspec

from blotter.database.copies.objects import ObjectNotFound, Objects
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher
from blotter.database.model.keys import KEY_FORMAT
from blotter.database.storage.protocol import Change
from blotter.database.storage.sqlite.catalog import decode_table

FORMAT: Final = 1
EPOCHS: Final = "epochs/"
START: Final = "start"
COMPLETE: Final = "complete"
_BUCKET_BITS: Final = 20
_LOG: Final = re.compile(r"log/[0-9a-f]+/([0-9a-f]{16})-([0-9a-f]{16})-([0-9]{16,})")
_BASE: Final = re.compile(r"bases/([0-9a-f]{16})/(.+)")
_CHECKSUM_BYTES: Final = 32
_PLAIN: Final = FileCipher(None, lambda _: None)

T = TypeVar("T")


class DamagedArchive(Exception):
    """Something in the archive is missing or not what was written; the text names it."""


class Epoch(msgspec.Struct, frozen=True):
    format: int
    id: str
    started_at: float
    position: int
    """The log begins after this entry."""
    key_format: str
    key_id: str = ""
    """The data key that everything else is encrypted under; empty for none."""
    directory: str = ""
    """The data directory: random, another one for every directory and for every one that was recovered."""


class Start(msgspec.Struct, frozen=True):
    position: int
    time: float
    tables: list[bytes]
    """Their descriptions as the catalog has them."""
    records: list[tuple[bytes, bytes]]
    """Key and body of the database's own records."""


class Complete(msgspec.Struct, frozen=True):
    position: int
    end: int
    """The position from which on the base is exact, once the log is replayed."""
    time: float
    """When that was."""
    tables: list[str]
    """The ids of the tables that were copied. One that was deleted meanwhile is not among them."""
    size: int
    """Bytes of items, to compare with the log that was shipped since."""


class Segment(msgspec.Struct, frozen=True, order=True):
    """A segment, as its name describes it."""

    after: int
    last: int
    latest: float
    name: str


def new_epoch(now: float, position: int, key_id: str, directory: str, previous: str) -> Epoch:
    """`previous` is the id of the newest epoch that there is, whatever clock made it; "" for none."""
    microseconds = max(int(now * 1_000_000), int(previous.partition("-")[0] or 0) + 1)
    epoch_id = f"{microseconds:016d}-{secrets.token_hex(4)}"  # sorts by time
    return Epoch(FORMAT, epoch_id, now, position, KEY_FORMAT, key_id, directory)


def segment_name(after: int, last: int, latest: float) -> str:
    # Rounded up: no entry is later than the name says.
    return f"{bucket(after)}{after:016x}-{last:016x}-{int(latest * 1_000_000) + 1:016d}"


def bucket(position: int) -> str:
    """The folder of the segments that begin near a position."""
    return f"log/{position >> _BUCKET_BITS:011x}/"


def parse_segment(name: str) -> Segment | None:
    """None for what is no segment's name."""
    match = _LOG.fullmatch(name)
    if match is None:
        return None
    return Segment(int(match[1], 16), int(match[2], 16), int(match[3]) / 1_000_000, name)


def segments(objects: Objects, after: int = 0) -> list[Segment]:
    """The segments of an epoch, in order, from the one that holds the entry after a position on."""
    found = (parse_segment(info.name) for info in objects.list("log/"))
    return sorted(segment for segment in found if segment is not None and segment.last > after)


def loaded_folder(table_id: str) -> str:
    return f"loaded/{table_id}"


def base_folder(position: int) -> str:
    return f"bases/{position:016x}"


def bases(objects: Objects) -> dict[int, list[str]]:
    """The names of the objects of each base of an epoch, complete or not, by position."""
    found: dict[int, list[str]] = {}
    for info in objects.list("bases/"):
        match = _BASE.fullmatch(info.name)
        if match is not None:
            found.setdefault(int(match[1], 16), []).append(match[2])
    return found


def epoch_ids(objects: Objects) -> list[str]:
    """The ids of the epochs of an archive, oldest first."""
    return sorted(info.name.removeprefix(EPOCHS) for info in objects.list(EPOCHS))


def epochs(objects: Objects) -> list[Epoch]:
    """The epochs of an archive, oldest first. Raises DamagedArchive, ObjectsUnavailable."""
    return [_read_epoch(objects, epoch_id) for epoch_id in epoch_ids(objects)]


def _read_epoch(objects: Objects, epoch_id: str) -> Epoch:
    name = EPOCHS + epoch_id
    epoch = read_value(objects, name, Epoch, _PLAIN)
    if (epoch.format, epoch.key_format, epoch.id) != (FORMAT, KEY_FORMAT, epoch_id):
        raise DamagedArchive(
            f"{objects.place}/{name} has format {epoch.format} with keys of {epoch.key_format!r}; this version of "
            f"blotter reads format {FORMAT} with keys of {KEY_FORMAT!r}"
        )
    return epoch


def write_epoch(objects: Objects, epoch: Epoch) -> None:
    write_value(objects, EPOCHS + epoch.id, epoch, _PLAIN)


def filled_by(change: Change) -> str | None:
    """The id of the table that a job has finished filling with this change of the catalog."""
    if change.kind != "table" or change.old is None or change.new is None:
        return None
    if decode_table(change.old).loading is None or decode_table(change.new).loading is not None:
        return None
    return change.table_id


def write_value(objects: Objects, name: str, value: msgspec.Struct, cipher: FileCipher) -> None:
    """Stores an Epoch, a Start or a Complete with its checksum."""
    content = msgspec.msgpack.encode(value)
    objects.put(name, cipher.encode(content + hashlib.sha256(content).digest()))


def read_value(objects: Objects, name: str, kind: type[T], cipher: FileCipher) -> T:
    """Raises DamagedArchive, ObjectsUnavailable."""
    place = f"{objects.place}/{name}"
    try:
        stored = cipher.decode(objects.get(name))
    except ObjectNotFound:
        raise DamagedArchive(f"{place} is missing") from None
    except DamagedCiphertext as error:
        raise DamagedArchive(f"{place} is damaged: {error}") from None
    content, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise DamagedArchive(f"{place} is damaged: its checksum does not match")
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise DamagedArchive(f"{place} is damaged: {error}") from None
