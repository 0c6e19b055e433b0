"""IAM and STS without a socket: calls go through the dispatcher over a store in memory, as a chosen principal.

botocore serializes the calls and parses the answers, so what a test sees is what boto3 would show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from blotter.database.http.messages import Request, Response
from blotter.database.security import access_records
from blotter.database.security.access import Access
from blotter.database.security.access_state import AccessState
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.services.iam.aws_policies import aws_policy_document
from blotter.database.services.table import make_dispatcher
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.protocol import Storage

T = TypeVar("T")

ACCOUNT = "111122223333"
ROOT = Principal("root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "")


class Refused(Exception):
    """An error as the client sees it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class IamInProcess:
    """`iam.call("CreateUser", UserName="ann")` and `iam.sts("AssumeRole", …)`; `caller` is who calls."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.storage = storage or MemoryStorage(OrderedMaps())
        self.caller = ROOT
        sealer = sealer_in_memory()
        self.access = Access(
            ACCOUNT,
            AccessState(self.storage, sealer, aws_policy_document),
            sealer,
            lambda _: self._authenticate,
            enforced=True,
        )
        self._dispatch = make_dispatcher(lambda _: Response(500), self.access, self.storage)
        self._loop = asyncio.new_event_loop()
        # As the first start of a server makes it, with the root key.
        self._loop.run_until_complete(
            self.storage.write(lambda tx: access_records.save(tx, ACCOUNT, access_records.Account(ACCOUNT, 0.0)))
        )

    def close(self) -> None:
        self._loop.run_until_complete(self.storage.close())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._call("iam", operation, arguments)

    def sts(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._call("sts", operation, arguments)

    def form(self, service: str, text: str) -> Response:
        """The answer to a body as it is."""
        return self._loop.run_until_complete(self._send(service, text))

    def refusal(self, operation: str, **arguments: Any) -> tuple[int, str, str]:
        """Status, code and message of a call that is refused."""
        service = "sts" if operation in _model("sts").operation_names else "iam"
        try:
            self._call(service, operation, arguments)
        except Refused as error:
            return error.status, error.code, error.message
        raise AssertionError(f"{operation} was not refused")

    def become_user(self, name: str) -> None:
        self.access.state.refresh()
        principal = self.access.state.principal_of_user(ACCOUNT, name)
        assert principal is not None
        self.caller = principal

    def become_session(self, credentials: dict[str, Any]) -> None:
        """The caller is who has these temporary credentials."""
        self.access.state.refresh()
        opened = self.access.tokens.open(credentials["SessionToken"])
        assert opened is not None
        assert (opened.access_key, opened.secret) == (credentials["AccessKeyId"], credentials["SecretAccessKey"])
        principal = self.access.state.principal_of(opened.claims)
        assert principal is not None
        self.caller = principal

    def _authenticate(self, _: Request) -> Identity:
        return Identity(self.caller.account, "us-east-1", "AKIA", self.caller)

    def _call(self, service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        model = _model(service).operation_model(operation)
        body = _serializer().serialize_to_request(arguments, model)["body"]
        text = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in body.items())
        response = self._loop.run_until_complete(self._send(service, text))
        headers = {name.lower(): value for name, value in response.headers}
        raw = {"status_code": response.status, "headers": headers, "body": response.body}
        parsed: dict[str, Any] = create_parser("query").parse(raw, model.output_shape)
        if response.status != 200:
            error = parsed["Error"]
            raise Refused(response.status, error["Code"], error["Message"])
        parsed.pop("ResponseMetadata")
        return parsed

    async def _send(self, service: str, text: str) -> Response:
        headers = {
            "authorization": f"AWS4-HMAC-SHA256 Credential=k/20261128/us-east-1/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "x-amz-date": "20261128T000000Z",
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": "test",
        }
        answer = self._dispatch(Request("POST", "/", headers, text.encode(), "127.0.0.1", "ID"))
        return answer if isinstance(answer, Response) else await answer


def allow(*actions: str, resource: str | list[str] = "*", **more: Any) -> str:
    """A policy that allows actions."""
    return document({"Effect": "Allow", "Action": list(actions), "Resource": resource, **more})


def deny(*actions: str, resource: str = "*", **more: Any) -> str:
    return document({"Effect": "Deny", "Action": list(actions), "Resource": resource, **more})


def trust(*principals: str, actions: tuple[str, ...] = ("sts:AssumeRole",), **more: Any) -> str:
    """A trust policy for AWS principals."""
    return document({"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": list(actions), **more})


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@cache
def _serializer() -> Any:
    return create_serializer("query", include_validation=False)


def _quoted(value: object) -> str:
    from urllib.parse import quote_plus

    return quote_plus(str(value))
