"""The roles of `blotter up --access enforced`: one each for the set-up, the pages and the workers.

Each part gets a role with the policy that `blotter tables policy` prints for it, and a user who may do nothing
but assume that role. The user's key stands in a private folder of the part's own (`<data-dir>/up/<part>`, files
0600 in the form of AWS's configuration); the SDK takes temporary credentials of the role with it and renews
them. Keys are made anew at every start, the ones before end. The root's key is used here and nowhere else. Must
not import the database.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

Part = Literal["tables", "web", "worker"]

# part → the role of `blotter tables policy`.
ROLES: dict[Part, str] = {"tables": "operator", "web": "api", "worker": "worker"}
_POLICY = "tables"
# What would win over the part's profile, or is the database's alone.
_REMOVED = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "BLOTTER_MASTER_KEY",
)


class RolesError(Exception):
    """Why the roles could not be set up; `str()` is one line for a person."""


def set_up_roles(
    endpoint: str, region: str, root_file: Path, environ: Mapping[str, str], policy_of: Callable[[str], str]
) -> dict[Part, dict[str, str]]:
    """The environment of each part. `policy_of` gives the document for a role of `blotter tables policy`.

    May be repeated, also after an interruption. Raises RolesError.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    iam = _client(endpoint, region, root_file, environ)
    try:
        # Keys come last: a database process that meets an unknown key looks for all changes, roles included.
        arns = {part: _set_up_role(iam, part, policy_of(role)) for part, role in ROLES.items()}
        return {
            part: _environment(
                endpoint, environ, _write_profile(root_file.parent, part, region, arn, _new_key(iam, part))
            )
            for part, arn in arns.items()
        }
    except (BotoCoreError, ClientError, OSError) as error:
        raise RolesError(f"cannot set up the roles of the application: {error}") from None


def name_of(part: Part) -> str:
    """The name of the part's user, and of its role."""
    return f"blotter-up-{part}"


def _client(endpoint: str, region: str, root_file: Path, environ: Mapping[str, str]) -> Any:
    """Of IAM, as the root, past any proxy and any configuration of the person."""
    import boto3
    from botocore.config import Config

    found = configparser.ConfigParser(interpolation=None)
    try:
        with root_file.open(encoding="utf-8") as file:
            found.read_file(file)
        key, secret = (found["default"][name] for name in ("aws_access_key_id", "aws_secret_access_key"))
    except (OSError, KeyError, configparser.Error):  # the reason may quote the file
        raise RolesError(
            f"{root_file} cannot be read: the roles of the application are set up with the root's key. Put the "
            "file back, or have a new one made with `blotter access reset-root`"
        ) from None
    return boto3.Session(key, secret, region_name=region).client(
        "iam", endpoint_url=endpoint, verify=environ.get("AWS_CA_BUNDLE") or True, config=Config(proxies={})
    )


def _set_up_role(iam: Any, part: Part, policy: str) -> str:
    """Brings the part's user and role to what they should be; the role's ARN."""
    name = name_of(part)
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    user = iam.get_user(UserName=name)["User"]["Arn"]
    statement = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    iam.put_role_policy(RoleName=name, PolicyName=_POLICY, PolicyDocument=policy)
    arn: str = iam.get_role(RoleName=name)["Role"]["Arn"]
    return arn


def _new_key(iam: Any, part: Part) -> tuple[str, str]:
    """A key of the part's user, id and secret, the only one it has."""
    name = name_of(part)
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def _write_profile(data_dir: Path, part: Part, region: str, role: str, key: tuple[str, str]) -> dict[str, str]:
    """Writes the part's files; the variables that name them. Raises OSError."""
    folder = data_dir / "up" / part
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, exist_ok=True)
    name = name_of(part)
    _write(
        folder / "config",
        f"[profile {name}]\nrole_arn = {role}\nrole_session_name = {name}\nsource_profile = key\n"
        f"region = {region}\n",
    )
    _write(folder / "credentials", f"[key]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n")
    return {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_PROFILE": name,
    }


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _environment(endpoint: str, environ: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    """Of a part: everybody's, less what belongs to others, with its profile."""
    kind, _, master = environ.get("BLOTTER_MASTER_KEY", "").partition(":")
    removed = (*_REMOVED, master) if kind == "env" else _REMOVED
    kept = {name: value for name, value in environ.items() if name not in removed}
    return {**kept, **profile, "AWS_ENDPOINT_URL_STS": endpoint}
