"""`blotter env`: the exports that point a shell's AWS clients at Blotter.

    eval "$(blotter env)"

`AWS_ENDPOINT_URL` alone is enough for every service that Blotter answers. While access is open, the credentials
are dummies: any are accepted, and the SDKs send none without. Where it is enforced on this machine, AWS's variable
for the credentials file names the file of the root key; no secret is ever printed. Variables that would win over
these, or mix other credentials with them, are removed. Where the endpoint is comes from the same configuration as
everywhere (flag > environment > blotter.toml); without a blotter.toml it is that of `blotter serve` with its own
settings. Every value is quoted for its shell. Where the endpoint is on this machine and has a certificate of its
own (`--tls-self-signed`), AWS_CA_BUNDLE names the authority that clients have to trust. Must not depend on the
database.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from blotter.config import FILE_NAME, Flags, load_configuration
from blotter.hosts import is_loopback
from blotter.user_files import ConfigurationError

# Dummies: while access is open, anything is accepted. A shared spelling, so that logs show where they come from.
_ACCESS_KEY = "local"

# What beats AWS_ENDPOINT_URL in an SDK, switches it off, or would add parts of real credentials.
REMOVED = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_IAM",
)
# What beats a credentials file.
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def exports(
    endpoint: str, region: str, trusted: Path | None = None, credentials_file: Path | None = None
) -> dict[str, str]:
    """The variables to set. `trusted` is the file of the authorities to trust; None: those of the machine.
    `credentials_file` None: access is open."""
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if credentials_file is None:
        variables |= dict.fromkeys(_KEYS, _ACCESS_KEY)
    else:
        variables["AWS_SHARED_CREDENTIALS_FILE"] = str(credentials_file)
    return variables if trusted is None else {**variables, "AWS_CA_BUNDLE": str(trusted)}


def removed(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The variables to remove."""
    return REMOVED if _KEYS[0] in variables else (*REMOVED, *_KEYS)


def root_credentials(endpoint: str, environ: Mapping[str, str]) -> Path | None:
    """The file of the root key of a server on this machine with enforced access; None where access is open, or the
    endpoint is no such server."""
    file = _data_dir(environ) / "root-credentials"
    access = environ.get("BLOTTER_ACCESS")
    if not is_loopback(urlsplit(endpoint).hostname or ""):
        return None
    return file if access == "enforced" or (not access and file.is_file()) else None


def authority(endpoint: str, environ: Mapping[str, str]) -> Path | None:
    """The authority of a server on this machine that has made its own certificate; None where the endpoint is no
    such server."""
    parts = urlsplit(endpoint)
    if parts.scheme != "https" or not is_loopback(parts.hostname or ""):
        return None
    file = authority_file(environ)
    own = is_yes(environ.get("BLOTTER_TLS_SELF_SIGNED"))
    return file if own or (not environ.get("BLOTTER_TLS_CERTIFICATE") and file.is_file()) else None


def authority_file(environ: Mapping[str, str]) -> Path:
    """Where `blotter serve --tls-self-signed` keeps the certificate of its authority."""
    return _data_dir(environ) / "tls" / "ca.pem"


def _data_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("BLOTTER_DATA_DIR") or "blotter-data").absolute()


def is_yes(text: str | None) -> bool:
    """Whether a setting of `blotter serve` that is a switch is on."""
    return (text or "").lower() in ("1", "true", "yes")


def for_sh(variables: Mapping[str, str]) -> str:
    """For sh, bash, zsh: `eval "$(blotter env)"`."""
    lines = [f"unset {' '.join(removed(variables))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(lines)


def for_fish(variables: Mapping[str, str]) -> str:
    """For fish: `blotter env --shell fish | source`. In single quotes only backslash and quote are special."""
    lines = [f"set -e {name}" for name in removed(variables)]
    for name, value in variables.items():
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"set -gx {name} '{escaped}'")
    return "\n".join(lines)


def for_powershell(variables: Mapping[str, str]) -> str:
    """For PowerShell: `blotter env --shell powershell | Invoke-Expression`, one statement a line. In single quotes
    only quotes are special, typographic ones included; each is written twice."""
    lines = [f"Remove-Item -ErrorAction SilentlyContinue Env:{name}" for name in removed(variables)]
    for name, value in variables.items():
        escaped = "".join(character * 2 if character in "'‘’‚‛" else character for character in value)
        lines.append(f"$Env:{name} = '{escaped}'")
    return "\n".join(lines)


SHELLS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "sh": for_sh,
    "fish": for_fish,
    "powershell": for_powershell,
}


def find_endpoint(
    path: str | None, environment: str | None, flags: Flags, environ: Mapping[str, str]
) -> tuple[str, str]:
    """The endpoint and region of the chosen environment. Raises ConfigurationError, also when it is AWS itself."""
    if path is None and environment is None and "BLOTTER_CONFIG" not in environ and not _has_file():
        region = flags.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        return flags.endpoint or _served_here(environ), region or environ.get("BLOTTER_REGION") or "us-east-1"
    configuration = load_configuration(path, environment, flags, environ)
    if configuration.endpoint is None:
        raise ConfigurationError(
            f"environment {configuration.environment} is on AWS: its clients need no endpoint, and credentials of "
            "your own; choose another with --env"
        )
    return configuration.endpoint, configuration.region


def _served_here(environ: Mapping[str, str]) -> str:
    """Where `blotter serve` listens with the settings of this environment."""
    host = environ.get("BLOTTER_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{host}]" if ":" in host else host
    tls = environ.get("BLOTTER_TLS_CERTIFICATE") or is_yes(environ.get("BLOTTER_TLS_SELF_SIGNED"))
    return f"{'https' if tls else 'http'}://{name}:{environ.get('BLOTTER_PORT') or '8000'}"


def _has_file() -> bool:
    here = Path.cwd()
    return any((folder / FILE_NAME).is_file() for folder in (here, *here.parents))


@click.command("env", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--shell", type=click.Choice(list(SHELLS)), default="sh", show_default=True, help="Whose syntax.")
@click.option("--config", "path", metavar="FILE", help="The configuration [BLOTTER_CONFIG; blotter.toml].")
@click.option("--env", "environment", metavar="NAME", help="The environment [BLOTTER_ENV].")
@click.option("--region", metavar="REGION", help="The region [AWS_REGION].")
@click.option("--endpoint-url", "endpoint", metavar="URL", help="The endpoint [AWS_ENDPOINT_URL].")
def env(shell: str, path: str | None, environment: str | None, region: str | None, endpoint: str | None) -> None:
    """Print the exports that point AWS clients at Blotter.

    \b
    eval "$(blotter env)"                                        sh, bash, zsh
    blotter env --shell fish | source                            fish
    blotter env --shell powershell | Out-String | Invoke-Expression
    """
    try:
        found = find_endpoint(path, environment, Flags(region=region, endpoint=endpoint), os.environ)
    except ConfigurationError as error:
        click.echo(f"blotter env: {error}", err=True)
        sys.exit(2)
    endpoint_url, found_region = found
    trusted = authority(endpoint_url, os.environ)
    credentials_file = root_credentials(endpoint_url, os.environ)
    click.echo(SHELLS[shell](exports(endpoint_url, found_region, trusted, credentials_file)))
