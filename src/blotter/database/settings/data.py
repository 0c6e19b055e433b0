"""The settings of data and copies, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from blotter.database.copies.objects import open_objects
from blotter.database.encryption.master_keys import FORMS, MasterKey, parse_master_key
from blotter.database.settings.declaring import YES_OR_NO, Declared, Form, seconds, whole
from blotter.database.storage.postgres.connections.url import StoreUrl


def _read_objects(text: str) -> str:
    if text:
        try:
            open_objects(text)
        except ValueError:
            raise ValueError("file:///FOLDER or s3://BUCKET/PREFIX") from None
    return text


_STORE = Form(lambda text: StoreUrl(text) if text else None, lambda store: "" if store is None else store.shown)
_MASTER_KEY = Form(
    lambda text: parse_master_key(text) if text else None, lambda key: "" if key is None else key.text
)
_OBJECTS = Form(_read_objects)


@dataclass(frozen=True)
class Data:
    """Where data, their copies and the archive are, and what protects them."""

    data_dir: Annotated[
        Path, Declared(Form(Path), "Directory that holds the data; made when missing. One server at a time.")
    ] = Path("blotter-data")
    store: Annotated[
        StoreUrl | None,
        Declared(
            _STORE,
            "PostgreSQL in place of a file: `postgresql://USER@HOST[:PORT][,HOST…]/DATABASE[?schema=NAME]`, for "
            "any number of servers on one store, which `blotter store init` makes. `--data-dir` then holds what "
            "this server has for itself. Passwords belong into `PGPASSWORD`, a password file or `BLOTTER_STORE`.",
            default="none",
            secret=True,
        ),
    ] = None
    in_memory: Annotated[
        bool,
        Declared(
            YES_OR_NO,
            "Keeps all data in memory, in one worker process: nothing is written to disk, and everything is gone "
            "when the server stops. With `--data-dir` or more than one worker it is refused; a data directory "
            "named by the environment is not used.",
            flag_only=True,
        ),
    ] = False
    master_key: Annotated[
        MasterKey | None,
        Declared(
            _MASTER_KEY,
            f"Where the master key is that protects the data on disk: `{FORMS}`. With it, a new data directory is "
            "encrypted, and one that `blotter keys encrypt` has encrypted can be used. Without it, data are not "
            "encrypted.",
            default="none",
            secret=True,
        ),
    ] = None
    objects: Annotated[
        str,
        Declared(
            _OBJECTS,
            "Where backups, exports and imports are: `file:///FOLDER`, or `s3://BUCKET/PREFIX` in any "
            "S3-compatible store, with the credentials, region and endpoint that the AWS SDKs would take "
            "(`AWS_ENDPOINT_URL_S3`). An `S3Bucket` in a request is a folder there, or the bucket of that name. "
            "Default: `objects` in the data directory; with `--in-memory`, memory.",
            default="a folder in the data directory",
        ),
    ] = ""
    archive: Annotated[
        str,
        Declared(
            _OBJECTS,
            "Where everything that the server holds is shipped to, continuously and in order: `file:///FOLDER` on "
            "another disk, or `s3://BUCKET/PREFIX` as for `--objects`. `blotter recover` builds a data directory "
            "out of it when this machine is gone. Encrypted when the data are; otherwise as secret as the data "
            "directory.",
            default="none",
        ),
    ] = ""
    archive_interval: Annotated[
        float,
        Declared(
            seconds(0.1, 3600),
            "Seconds between two shipments to the archive, and so what is lost with this machine.",
        ),
    ] = 1.0
    archive_retention: Annotated[
        int,
        Declared(
            whole(1, 3650),
            "Days that the archive goes back: `blotter recover --at` can ask for any time in them.",
        ),
    ] = 7
