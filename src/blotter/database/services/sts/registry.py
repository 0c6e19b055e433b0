"""The operations of STS that are implemented; every other one of its model is refused by name.

Under open access only GetCallerIdentity answers: there is nobody to make credentials for.
"""

from __future__ import annotations

from collections.abc import Mapping

from blotter.database.security.access import Access
from blotter.database.security.principal import Principal
from blotter.database.services.api import Call, Direct, Operation, Output, Reading
from blotter.database.services.authorization import authorize
from blotter.database.services.constraints import Wording, check_constraints
from blotter.database.services.enforced_only import refused_under_open_access
from blotter.database.services.errors import ServiceError
from blotter.database.services.model import load_model
from blotter.database.services.sts.assume_role import assume_role
from blotter.database.services.sts.identity import get_access_key_info, get_caller_identity
from blotter.database.services.sts.user_sessions import get_federation_token, get_session_token
from blotter.database.storage.protocol import ReadTransaction

WORDING = Wording()


def make_registry(access: Access) -> Mapping[str, Operation]:
    """The registry of a server with this access."""
    identity: dict[str, Operation] = {"GetCallerIdentity": Direct(get_caller_identity)}
    if not access.enforced:
        others = ("AssumeRole", "GetAccessKeyInfo", "GetFederationToken", "GetSessionToken")
        return {**identity, **refused_under_open_access("STS", others)}

    def run_assume_role(call: Call, tx: ReadTransaction) -> Output:
        return assume_role(call, tx, access, _caller(call))

    def run_federation_token(call: Call, tx: ReadTransaction) -> Output:
        return get_federation_token(call, tx, access, _caller(call))

    def run_session_token(call: Call) -> Output:
        return get_session_token(call, access, _caller(call))

    def run_key_info(call: Call) -> Output:
        principal = _caller(call)
        authorize(call, principal, "sts:GetAccessKeyInfo", "*", {})
        return get_access_key_info(call)

    return {
        **identity,
        "AssumeRole": Reading(run_assume_role),
        "GetAccessKeyInfo": Direct(run_key_info),
        "GetFederationToken": Reading(run_federation_token),
        "GetSessionToken": Direct(run_session_token),
    }


def _caller(call: Call) -> Principal:
    """The caller of a request with valid arguments. Federated users may call GetCallerIdentity only, sessions of
    GetSessionToken also AssumeRole
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html)."""
    check_constraints(load_model("sts"), call.operation, call.arguments, WORDING)
    principal = call.caller.principal
    if principal is None:
        raise ServiceError("AccessDenied", "The caller has no identity.", 403)
    if principal.kind == "federated-user":
        message = f"Cannot call {call.operation} with federated user credentials"
        raise ServiceError("AccessDenied", message, 403)
    return principal
