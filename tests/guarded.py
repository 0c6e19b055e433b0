"""A database in this process that authorizes its requests: the test says who asks.

    database.as_(user("alice", allow("dynamodb:GetItem")))
    status, body = database.call("GetItem", {…})

Signatures are not looked at; who signed is authentication's matter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blotter.database.authorization.stage import Authorization, table_finder
from blotter.database.http.messages import Request
from blotter.database.pipeline import Pipeline
from blotter.database.security.access_state import AccessState
from blotter.database.security.identity import Identity
from blotter.database.security.policy import Policy, parse_policy
from blotter.database.security.principal import Principal
from blotter.database.security.sealing import Sealer
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

ROOT = Principal("root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "")
TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"


class GuardedDatabase(InProcessDatabase):
    """`peer` is the address from which requests come."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.principal = ROOT
        self.peer = "127.0.0.1"
        self.state = AccessState(self.storage, Sealer(lambda: b"k" * 32))
        authorize = Authorization(self.state, table_finder(self.storage))

        def authorized(request: Request, context: Any, plan: Any) -> None:
            authorize(Request("POST", "/", request.headers, b"", self.peer), context, plan)

        self.pipeline = Pipeline(self.storage, self._authenticate, authorize=authorized)

    def as_(self, principal: Principal) -> GuardedDatabase:
        """Requests come from that principal from now on."""
        self.principal = principal
        return self

    async def answer(
        self, operation: str, body: bytes, encoding: str = "identity", region: str = REGION
    ) -> tuple[int, dict[str, Any]]:
        """As in any database; what earlier requests changed about access is known."""
        await self.state.load()
        return await super().answer(operation, body, encoding, region)

    def message(self, operation: str, request: dict[str, Any]) -> str:
        """ "" for a request that succeeds, else the code and message of its error."""
        status, body = self.call(operation, request)
        return (
            ""
            if status == 200
            else f"{body['__type'].partition('#')[2]}: {body.get('message', body.get('Message'))}"
        )

    def allows(self, operation: str, request: dict[str, Any]) -> bool:
        """Whether the request is authorized, whatever else becomes of it."""
        return not self.message(operation, request).startswith("AccessDeniedException")

    def _authenticate(self, _: Request) -> Identity:
        return Identity(self.principal.account, REGION, "AKIAEXAMPLE", self.principal)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(actions: str | list[str], resource: str | list[str] = "*", **elements: Any) -> dict[str, Any]:
    """An allowing statement; `condition` and the like as the grammar spells them."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource} | elements


def allow(actions: str | list[str], resource: str | list[str] = "*", **elements: Any) -> Policy:
    return parse_policy(document(statement(actions, resource, **elements)), "identity")


def deny(actions: str | list[str], resource: str | list[str] = "*", **elements: Any) -> Policy:
    return allow(actions, resource, Effect="Deny", **elements)


def user(name: str, *policies: Policy, account: str = ACCOUNT, **more: Any) -> Principal:
    arn = f"arn:aws:iam::{account}:user/{name}"
    return Principal("user", account, arn, f"AIDA{name.upper()}", name, policies=policies, **more)


def session(role: str, name: str, *policies: Policy, account: str = ACCOUNT, **more: Any) -> Principal:
    return Principal(
        "assumed-role",
        account,
        f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        f"AROA{role.upper()}:{name}",
        role,
        role_arn=f"arn:aws:iam::{account}:role/{role}",
        session_name=name,
        policies=policies,
        **more,
    )
