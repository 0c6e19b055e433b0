"""The lines of data files: one for each item, or for each item that changed, as DynamoDB JSON or as Ion.

    {"Item":{"id":{"S":"a"}}}
    {"Metadata":{"WriteTimestampMicros":{"N":"1768387654353205"}},"Keys":{…},"OldImage":{…},"NewImage":{…}}
    $ion_1_0 {Item:{id:"a"}}

Stored bodies are copied into JSON lines as they are. A changed item has no OldImage if it is new, no NewImage if
it was deleted, and in the view NEW_IMAGE never an OldImage. Pure. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html; order of members, and of
Metadata's form, as in exports of 2026 from AWS (gurre/ddb-pitr, s3exportdata).
"""

from __future__ import annotations

from typing import Literal, Protocol

import orjson

from blotter.database.exporting.ion import VERSION_MARKER, ion_item
from blotter.database.model.values import Item

ExportFormat = Literal["DYNAMODB_JSON", "ION"]

SUFFIXES: dict[ExportFormat, str] = {"DYNAMODB_JSON": ".json.gz", "ION": ".ion.gz"}
"""What the names of data files end with."""


class LineFormat(Protocol):
    """Writes lines, each with its line break."""

    def stored(self, body: bytes) -> bytes:
        """The line of an item, of its stored body."""

    def item(self, item: Item) -> bytes:
        """The line of an item, or of the part of it that is exported."""

    def change(self, micros: int, keys: Item, old: Item | None, new: Item | None) -> bytes:
        """The line of a changed item. `micros`: when it was last written, in microseconds since the epoch."""


class JsonLines:
    def stored(self, body: bytes) -> bytes:
        return b'{"Item":%b}\n' % body

    def item(self, item: Item) -> bytes:
        return b'{"Item":%b}\n' % orjson.dumps(item)

    def change(self, micros: int, keys: Item, old: Item | None, new: Item | None) -> bytes:
        parts = [b'{"Metadata":{"WriteTimestampMicros":{"N":"%d"}},"Keys":%b' % (micros, orjson.dumps(keys))]
        if old is not None:
            parts.append(b',"OldImage":%b' % orjson.dumps(old))
        if new is not None:
            parts.append(b',"NewImage":%b' % orjson.dumps(new))
        parts.append(b"}\n")
        return b"".join(parts)


class IonLines:
    def stored(self, body: bytes) -> bytes:
        return self.item(orjson.loads(body))

    def item(self, item: Item) -> bytes:
        return f"{VERSION_MARKER} {{Item:{ion_item(item)}}}\n".encode()

    def change(self, micros: int, keys: Item, old: Item | None, new: Item | None) -> bytes:
        parts = [f"Metadata:{{WriteTimestampMicros:{micros}.}}", f"Keys:{ion_item(keys)}"]
        if old is not None:
            parts.append(f"OldImage:{ion_item(old)}")
        if new is not None:
            parts.append(f"NewImage:{ion_item(new)}")
        return f"{VERSION_MARKER} {{{','.join(parts)}}}\n".encode()


FORMATS: dict[ExportFormat, LineFormat] = {"DYNAMODB_JSON": JsonLines(), "ION": IonLines()}
