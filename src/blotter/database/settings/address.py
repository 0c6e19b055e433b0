"""The settings of address and TLS, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from blotter.database.settings.declaring import FILE, NAMES, YES_OR_NO, Declared, text, whole


@dataclass(frozen=True)
class Address:
    """Where the server listens, and whether over TLS."""

    host: Annotated[
        str,
        Declared(
            text("a host name or address", lambda name: bool(name) and not name.isspace()),
            "Address to listen on. One that other machines can reach needs `--access enforced` (or "
            "`--insecure-open-access`).",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Declared(whole(0, 65535), "Port to listen on; 0 takes a free one, which the ready line names."),
    ] = 8000
    allowed_hosts: Annotated[
        tuple[str, ...],
        Declared(
            NAMES,
            "Further host names, separated by commas, that clients may use for the server (as in "
            "`http://blotter:8000` within Docker Compose).",
            default="none",
        ),
    ] = ()
    tls_certificate: Annotated[
        Path | None,
        Declared(
            FILE,
            "File with the server's certificate in PEM format, followed by those of the authorities between it "
            "and the root: the server speaks TLS only. Needs `--tls-key`. SIGHUP reads both files anew.",
            default="none",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Declared(
            FILE,
            "File with the private key of `--tls-certificate`, in PEM format, without a passphrase.",
            default="none",
        ),
    ] = None
    tls_self_signed: Annotated[
        bool,
        Declared(
            YES_OR_NO,
            "The server speaks TLS only, with a certificate of an authority of its own in `<data-dir>/tls`, which "
            "it renews. Clients trust it with `AWS_CA_BUNDLE=<data-dir>/tls/ca.pem`.",
            flag_only=True,
        ),
    ] = False
